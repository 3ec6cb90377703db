"""The patch transformer: what it may see, padding, heads, stacked weights, and that it learns."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from gluonts.core import serde
from gluonts.torch.distributions import (
    BetaOutput,
    GammaOutput,
    LaplaceOutput,
    NegativeBinomialOutput,
    NormalOutput,
    PoissonOutput,
    StudentTOutput,
)
from torch.func import functional_call, stack_module_state, vmap

from tests.networks.random_windows import (
    ALL_FIELDS,
    gain_over_constant_spread,
    inputs,
    windows,
)
from tsbnn.networks import PatchTransformer
from tsbnn.networks.patches import PatchFeatures

SIZES: dict[str, Any] = {"d_model": 8, "nhead": 2, "dim_feedforward": 12}


def build(seed: int = 0, **arguments: Any) -> PatchTransformer:
    """Build a small network with weights large enough for all of them to matter."""
    torch.manual_seed(seed)
    settings = {"context_length": 10, "prediction_length": 6, "patch_len": 4, **SIZES}
    network = PatchTransformer(**{**settings, **arguments})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network.eval()


@pytest.mark.parametrize("context_length", [1, 4, 7, 8])
@pytest.mark.parametrize("prediction_length", [1, 4, 5])
def test_any_length_of_context_and_horizon(context_length: int, prediction_length: int) -> None:
    network = build(context_length=context_length, prediction_length=prediction_length)
    assert network.past_length == network._past_length == context_length
    fields = windows(network)
    args, loc, scale = network(**inputs(fields))
    assert {arg.shape for arg in args} == {(3, prediction_length)}
    assert {loc.shape, scale.shape} == {(3, 1)}
    before = args[1].detach().clone()
    # The first and the last point of the context are both read, by every time of the horizon.
    for place in (0, -1):
        changed = {**fields, "past_target": fields["past_target"].clone()}
        changed["past_target"][:, place] += 1
        assert (network(**inputs(changed))[0][1] != before).all()


def test_patches_by_hand() -> None:
    features = PatchFeatures(3, 3, 2, 1, 1, 1, "mean", None)
    patches, loc, scale = features(
        {
            "past_target": torch.tensor([[2.0, torch.nan, 6.0]]),
            "past_observed_values": torch.tensor([[1.0, 0.0, 1.0]]),
            "past_time_feat": torch.tensor([[[10.0], [11.0], [12.0]]]),
            "future_time_feat": torch.tensor([[[13.0], [14.0], [15.0]]]),
            "past_feat_dynamic_real": torch.tensor([[[7.0], [8.0], [9.0]]]),
            "feat_static_real": torch.tensor([[5.0]]),
        }
    )
    assert (loc.item(), scale.item()) == (0.0, 4.0)
    # Each time: target, observed, time feature, past covariate; at the end static and log scale.
    statics = [5.0, torch.tensor(4.0).log().item()]
    expected = [
        [0, 0, 0, 0, 0.5, 1, 10, 7, *statics],
        [0, 0, 11, 8, 1.5, 1, 12, 9, *statics],
        [0, 0, 13, 0, 0, 0, 14, 0, *statics],
        [0, 0, 15, 0, 0, 0, 0, 0, *statics],
    ]
    torch.testing.assert_close(patches, torch.tensor([expected]))
    assert features.num_features == len(expected[0])


def test_the_horizon_s_targets_are_hidden() -> None:
    network = build(**ALL_FIELDS)
    fields = windows(network)
    before = network.point_losses(**fields)
    fields["future_target"][:, 2] += 3
    after = network.point_losses(**fields)
    changed = before.nll != after.nll
    assert changed[:, 2].all()
    assert int(changed.sum()) == 3


def test_unobserved_points_contribute_nothing() -> None:
    network = build()
    fields = windows(network)
    fields["past_observed_values"][0, 2:5] = 0
    fields["future_observed_values"][1, 2:] = 0
    before = network.point_losses(**fields)
    assert before.nll.shape == before.observed.shape == (3, 6)
    assert torch.equal(before.nll == 0, before.observed == 0)
    fields["past_target"][0, 2:5] = torch.nan
    fields["future_target"][1, 2:] = torch.nan
    after = network.point_losses(**fields)
    assert torch.equal(before.nll, after.nll)
    after.nll.sum().backward()
    gradients = torch.cat([weights.grad.flatten() for weights in network.parameters()])
    assert gradients.isfinite().all()


def test_a_gap_is_no_zero() -> None:
    network = build(scaling=None)
    fields = inputs(windows(network))
    fields["past_target"][:, 3] = 0
    zero = network(**fields)[0][1]
    fields["past_observed_values"][:, 3] = 0
    assert (network(**fields)[0][1] != zero).all()


@pytest.mark.parametrize(
    "name",
    [
        "feat_static_cat",
        "feat_static_real",
        "past_time_feat",
        "future_time_feat",
        "past_feat_dynamic_real",
    ],
)
def test_every_field_matters(name: str) -> None:
    network = build(**ALL_FIELDS)
    fields = inputs(windows(network))
    before = network(**fields)[0][1]
    fields[name] = (fields[name] + 1) % 3 if name == "feat_static_cat" else fields[name] + 1
    assert (network(**fields)[0][1] != before).all()


@pytest.mark.parametrize("scaling", ["mean", "std", None, True, False])
def test_scaling(scaling: Any) -> None:
    network = build(scaling=scaling)
    fields = inputs(windows(network))
    fields["past_target"][0] += 100
    fields["past_observed_values"][0, 0] = 0
    _, loc, scale = network(**fields)
    seen = fields["past_target"][0, 1:]
    expected = {
        "mean": (0.0, seen.mean()),
        "std": (seen.mean(), seen.std(correction=0)),
        None: (0.0, 1.0),
        True: (0.0, seen.mean()),
        False: (0.0, 1.0),
    }[scaling]
    found = torch.stack([loc[0, 0], scale[0, 0]])
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "head",
    [
        StudentTOutput(),
        NormalOutput(),
        LaplaceOutput(),
        NegativeBinomialOutput(),
        PoissonOutput(),
        GammaOutput(),
    ],
)
def test_heads(head: Any) -> None:
    network = build(distr_output=head, nonnegative_pred_samples=True)
    assert network.nonnegative_pred_samples
    fields = windows(network)
    nll, _ = network.point_losses(**fields)
    args, loc, scale = network(**inputs(fields))
    distribution = head.distribution(args, loc, scale)
    expected = -distribution.log_prob(fields["future_target"])
    torch.testing.assert_close(nll, expected, rtol=1e-4, atol=1e-4)
    assert distribution.mean.shape == distribution.variance.shape == (3, 6)


def test_stacked_weights_equal_a_loop() -> None:
    networks = [build(seed, **ALL_FIELDS) for seed in range(3)]
    weights, _ = stack_module_state(networks)
    fields = inputs(windows(networks[0]))
    with warnings.catch_warnings():
        # torch warns where vmap has no rule and loops.
        warnings.simplefilter("error")
        stacked = vmap(lambda own: functional_call(networks[0], own, (), fields))(weights)
    for number, network in enumerate(networks):
        args, loc, scale = network(**fields)
        assert torch.equal(stacked.scale[number], scale)
        assert torch.equal(stacked.loc[number], loc)
        for one, other in zip(stacked.args, args, strict=True):
            torch.testing.assert_close(one[number], other, rtol=1e-5, atol=1e-5)
    assert (stacked.args[1][0] != stacked.args[1][1]).all()


def test_the_number_of_weights_depends_on_no_length() -> None:
    counts = {
        sum(weights.numel() for weights in build(**lengths).parameters())
        for lengths in ({}, {"context_length": 100}, {"prediction_length": 100})
    }
    assert len(counts) == 1


def test_it_learns_a_season() -> None:
    torch.manual_seed(0)
    network = PatchTransformer(
        context_length=24, prediction_length=6, patch_len=6, dropout_rate=0.0, d_model=32
    )
    # Of 1.97 nats that can be gained at most.
    assert gain_over_constant_spread(network, steps=200, learning_rate=5e-3) > 1.2


def test_serde_round_trip_and_deepcopy() -> None:
    network = build(scaling="std", default_scale=2.0, **ALL_FIELDS)
    again = serde.decode(serde.encode(network))
    assert isinstance(again, PatchTransformer)
    assert (again.scaling, again.patch_len, again.default_scale) == ("std", 4, 2.0)
    again.load_state_dict(network.state_dict())
    fields = windows(network)
    for other in (again.eval(), copy.deepcopy(network)):
        assert torch.equal(other.point_losses(**fields).nll, network.point_losses(**fields).nll)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"d_model": 10, "nhead": 4}, "d_model=10: expected a multiple of nhead=4"),
        ({"d_model": 0}, "d_model=0"),
        ({"patch_len": 0}, "patch_len=0"),
        ({"num_layers": 0}, "num_layers=0"),
        ({"dropout_rate": -0.1}, r"dropout_rate=-0\.1"),
        ({"context_length": 0}, "context_length=0"),
        ({"num_feat_dynamic_real": -1}, "num_feat_dynamic_real=-1"),
        ({"cardinality": [3]}, r"cardinality=\[3\]"),
        ({"default_scale": 0.0}, r"default_scale=0\.0"),
        ({"scaling": "median"}, "scaling='median'"),
        ({"scaling": "std", "distr_output": BetaOutput()}, "distr_output=BetaOutput"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**arguments)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"past_target": torch.ones(3, 9)}, r"past_target of shape \(3, 9\)"),
        ({"past_target": None}, "past_target=None"),
        ({"feat_static_cat": None}, "feat_static_cat=None"),
        ({"future_time_feat": torch.ones(3, 5, 2)}, "built for batch x 6 x 2"),
        ({"past_time_feat": torch.ones(3, 10, 1)}, "past_time_feat of shape"),
    ],
)
def test_wrong_fields(field: dict[str, Any], message: str) -> None:
    network = build(**ALL_FIELDS)
    with pytest.raises(ValueError, match=message):
        network(**{**inputs(windows(network)), **field})
