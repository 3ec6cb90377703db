"""The autoregressive transformer: causality, its cache, stacked weights, and that it learns."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
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
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.utils._pytree import tree_map

from tests.networks.random_windows import (
    ALL_FIELDS,
    gain_over_constant_spread,
    inputs,
    windows,
)
from tsbnn.networks import Transformer, sample_paths

SIZES: dict[str, Any] = {"d_model": 8, "nhead": 2, "dim_feedforward": 12}


def build(seed: int = 0, **arguments: Any) -> Transformer:
    """Build a small network with weights large enough for all of them to matter."""
    torch.manual_seed(seed)
    settings = {"context_length": 5, "prediction_length": 6, "lags_seq": [1, 2, 9], **SIZES}
    network = Transformer(**{**settings, **arguments})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network.eval()


def seeded(draw: Callable[[], Tensor]) -> Tensor:
    torch.manual_seed(5)
    return draw()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"context_length": 1},
        {"context_length": 1, "prediction_length": 1, "lags_seq": [1]},
        {"prediction_length": 13, "scaling": "std", **ALL_FIELDS},
        {"scaling": None, "lags_seq": [7, 1], **ALL_FIELDS},
        {"distr_output": NegativeBinomialOutput()},
        {"distr_output": NormalOutput(), "nonnegative_pred_samples": True},
    ],
)
def test_the_cache_gives_the_paths_of_computing_all_anew(arguments: dict[str, Any]) -> None:
    network = build(**arguments).double()
    fields = inputs(windows(network))
    with_cache = seeded(lambda: network(**fields, num_parallel_samples=4))
    network.use_cache = False
    without = seeded(lambda: network(**fields, num_parallel_samples=4))
    assert with_cache.shape == (3, 4, network.prediction_length)
    assert with_cache.std() > 0
    torch.testing.assert_close(with_cache, without, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("context_length", [1, 4])
def test_steps_of_many_paths_equal_whole_windows(use_cache: bool, context_length: int) -> None:
    """Each path of a series goes on with true values of its own."""
    network = build(context_length=context_length, use_cache=use_cache, **ALL_FIELDS)
    paths = [windows(network, seed=0) for _ in range(3)]
    for number, fields in enumerate(paths):
        fields["future_target"] = windows(network, seed=number + 1)["future_target"]
    expected = [network.distribution_args(**fields).args for fields in paths]
    tokens = [
        network.features(inputs(fields), fields["future_target"], None).values for fields in paths
    ]
    stacked = torch.stack(tokens, dim=2)
    static_cat = paths[0]["feat_static_cat"]
    hidden, state = network.encode(tokens[0][:, :context_length], static_cat)
    state = network.branch(state, 3)
    for step in range(context_length, stacked.shape[1]):
        hidden, state = network.advance(stacked[:, step], static_cat, state)
        assert hidden.shape == (3, 3, 8)
        for place, found in enumerate(network.param_proj(hidden)):
            whole = torch.stack([args[place][:, step] for args in expected], dim=1)
            torch.testing.assert_close(found, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("changed", [0, 3, 5])
def test_a_later_target_changes_no_earlier_distribution(changed: int) -> None:
    network = build()
    fields = windows(network)
    before = network.distribution_args(**fields).args
    fields["future_target"][:, changed] += 5.0
    after = network.distribution_args(**fields).args
    # The token after the changed target is the first to know it.
    first = network.context_length + changed
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one[:, :first], other[:, :first])
        assert first == one.shape[1] or (one[:, first:] != other[:, first:]).all()


def test_unobserved_points_contribute_nothing() -> None:
    network = build()
    fields = windows(network)
    fields["past_observed_values"][0, -2] = 0
    fields["future_observed_values"][1, 2:] = 0
    fields["future_target"][1, -1] = torch.nan
    losses = network.point_losses(**fields)
    assert losses.nll.shape == losses.observed.shape == (3, 10)
    assert torch.equal(losses.nll == 0, losses.observed == 0)
    assert int((losses.observed == 0).sum()) == 5
    losses.nll.sum().backward()
    gradients = torch.cat([weights.grad.flatten() for weights in network.parameters()])
    assert gradients.isfinite().all()
    network.zero_grad()
    fields["future_target"][1, -1] = 1e6
    again = network.point_losses(**fields)
    assert torch.equal(again.nll, losses.nll)


@pytest.mark.parametrize(
    "name",
    [
        "feat_static_cat",
        "feat_static_real",
        "past_time_feat",
        "future_time_feat",
        "past_feat_dynamic_real",
        "past_target",
    ],
)
def test_every_field_matters(name: str) -> None:
    network = build(**ALL_FIELDS)
    fields = windows(network)
    before = network.distribution_args(**fields).args[1]
    fields[name] = (fields[name] + 1) % 3 if name == "feat_static_cat" else 1.5 * fields[name] + 1
    assert (network.distribution_args(**fields).args[1][:, -1] != before[:, -1]).all()


def test_places_in_the_window_are_told_apart() -> None:
    network = build(lags_seq=[1], scaling=None)
    hidden, _ = network.encode(torch.ones(1, 6, network.features.num_features), None)
    assert torch.cdist(hidden[0], hidden[0]).add(torch.eye(6)).min() > 1e-2


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
    fields = windows(network)
    nll, _ = network.point_losses(**fields)
    args, loc, scale = network.distribution_args(**fields)
    target = torch.cat((fields["past_target"][:, -4:], fields["future_target"]), dim=1)
    expected = -head.distribution([arg.clone() for arg in args], loc, scale).log_prob(target)
    torch.testing.assert_close(nll, expected, rtol=1e-4, atol=1e-4)
    samples = network(**inputs(fields), num_parallel_samples=50)
    assert samples.shape == (3, 50, 6)
    assert samples.min() >= 0
    if isinstance(head, NegativeBinomialOutput | PoissonOutput):
        assert torch.equal(samples, samples.round())


def test_samples_below_zero_are_kept_unless_asked() -> None:
    network = build()
    assert network(**inputs(windows(network))).shape == (3, 100, 6)
    assert network(**inputs(windows(network))).min() < 0


def test_windows_without_observations_have_finite_paths() -> None:
    network = build()
    fields = inputs(windows(network))
    fields["past_target"].zero_()
    fields["past_observed_values"].zero_()
    assert network(**fields).isfinite().all()


class Draws:
    """Evaluates several networks of one kind: one by one, or with stacked weights."""

    def __init__(self, networks: Sequence[Transformer], batched: bool) -> None:
        self.networks, self.batched = networks, batched
        self.weights, _ = stack_module_state(list(networks))

    def run(self, method: str, *arguments: Any, stacked: Sequence[bool]) -> Any:
        if not self.batched:
            results = []
            for number, network in enumerate(self.networks):
                own = [
                    tree_map(lambda leaf, row=number: leaf[row], argument) if has else argument
                    for argument, has in zip(arguments, stacked, strict=True)
                ]
                results.append(getattr(network, method)(*own))
            return tree_map(lambda *leaves: torch.stack(leaves), *results)
        shell = Method(self.networks[0], method)

        def one(weights: dict[str, Tensor], *arguments: Any) -> Any:
            named = {f"network.{name}": weight for name, weight in weights.items()}
            return functional_call(shell, named, arguments)

        in_dims = (0, *(0 if has else None for has in stacked))
        return vmap(one, in_dims=in_dims)(self.weights, *arguments)

    def encode(self, tokens: Tensor, static_cat: Tensor) -> Any:
        return self.run("encode", tokens, static_cat, stacked=(False, False))

    def branch(self, state: Any, num_paths: int) -> Any:
        return self.run("branch", state, num_paths, stacked=(True, False))

    def advance(self, tokens: Tensor, static_cat: Tensor, state: Any) -> Any:
        return self.run("advance", tokens, static_cat, state, stacked=(True, False, True))

    def param_proj(self, hidden: Tensor) -> Any:
        return self.run("param_proj", hidden, stacked=(True,))


class Method(nn.Module):
    def __init__(self, network: Transformer, method: str) -> None:
        super().__init__()
        self.network, self.method = network, method

    def forward(self, *arguments: Any) -> Any:
        return getattr(self.network, self.method)(*arguments)


@pytest.mark.parametrize("use_cache", [True, False])
def test_stacked_weights_equal_a_loop(use_cache: bool) -> None:
    networks = [
        build(seed, use_cache=use_cache, prediction_length=7, **ALL_FIELDS) for seed in range(3)
    ]
    fields = inputs(windows(networks[0]))
    paths = {}
    with warnings.catch_warnings():
        # torch warns where vmap has no rule and loops.
        warnings.simplefilter("error")
        for batched in (False, True):
            draws = Draws(networks, batched)
            torch.manual_seed(5)
            paths[batched] = sample_paths(networks[0], draws, fields, num_paths=4)
    assert paths[True].shape == (3, 3, 4, 7)
    assert (paths[True][0] != paths[True][1]).all()
    torch.testing.assert_close(paths[True], paths[False], rtol=1e-4, atol=1e-4)
    training = windows(networks[0])
    stacked = [
        networks[0].distribution_args(**training, evaluator=Draws(networks, batched)).args
        for batched in (True, False)
    ]
    for one, other in zip(*stacked, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_it_learns_a_season() -> None:
    torch.manual_seed(0)
    network = Transformer(
        context_length=6, prediction_length=6, lags_seq=[1, 12], dropout_rate=0.0, **SIZES
    )
    # Of 1.97 nats that can be gained at most.
    assert gain_over_constant_spread(network, steps=150, learning_rate=1e-2) > 1.2


def test_serde_round_trip_and_deepcopy() -> None:
    network = build(scaling="std", default_scale=2.0, use_cache=False, **ALL_FIELDS)
    again = serde.decode(serde.encode(network))
    assert isinstance(again, Transformer)
    assert (again.scaling, again.use_cache, again.default_scale) == ("std", False, 2.0)
    again.load_state_dict(network.state_dict())
    fields = windows(network)
    for other in (again.eval(), copy.deepcopy(network)):
        assert torch.equal(other.point_losses(**fields).nll, network.point_losses(**fields).nll)
    # Places are computed, not saved.
    assert not [name for name in network.state_dict() if "positions" in name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"d_model": 10, "nhead": 4}, "d_model=10: expected a multiple of nhead=4"),
        ({"d_model": 0}, "d_model=0"),
        ({"nhead": 0}, "nhead=0"),
        ({"num_layers": 0}, "num_layers=0"),
        ({"dim_feedforward": 0}, "dim_feedforward=0"),
        ({"dropout_rate": 1.0}, r"dropout_rate=1\.0"),
        ({"context_length": 0}, "context_length=0"),
        ({"lags_seq": []}, r"lags_seq=\[\]"),
        ({"scaling": "median"}, "scaling='median'"),
        ({"scaling": "std", "distr_output": BetaOutput()}, "distr_output=BetaOutput"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**arguments)


def test_no_layer_normalises_over_the_batch() -> None:
    network = build(dropout_rate=0.0, **ALL_FIELDS).train()
    fields = windows(network, batch=4)
    alone = network.point_losses(**{name: field[:1] for name, field in fields.items()}).nll
    torch.testing.assert_close(network.point_losses(**fields).nll[:1], alone, rtol=1e-5, atol=1e-5)
