"""DeepAR as a module: arguments, copies, gaps, cold starts, learning."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from gluonts.core import serde
from gluonts.torch.distributions import (
    GammaOutput,
    NegativeBinomialOutput,
    NormalOutput,
    QuantileOutput,
    StudentTOutput,
)

from tests.networks.gluonts_pairs import inputs, windows
from tsbnn.networks import DeepAR

EVERYTHING: dict[str, Any] = {
    "context_length": 4,
    "prediction_length": 3,
    "lags_seq": [1, 2, 5],
    "num_feat_dynamic_real": 2,
    "num_past_feat_dynamic_real": 1,
    "num_feat_static_real": 1,
    "num_feat_static_cat": 2,
    "cardinality": [3, 2],
    "hidden_size": 5,
}
LEAST: dict[str, Any] = {"context_length": 1, "prediction_length": 1, "lags_seq": [1]}


def network(seed: int = 0, **settings: Any) -> DeepAR:
    torch.manual_seed(seed)
    return DeepAR(**EVERYTHING | settings).eval()


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("context_length", 0, "at least 1"),
        ("prediction_length", -1, "at least 1"),
        ("num_layers", 0, "at least 1"),
        ("hidden_size", 0, "at least 1"),
        ("num_parallel_samples", 0, "at least 1"),
        ("num_feat_dynamic_real", -1, "at least 0"),
        ("num_past_feat_dynamic_real", -2, "at least 0"),
        ("num_feat_static_real", -1, "at least 0"),
        ("lags_seq", [], "list of whole numbers of at least 1"),
        ("lags_seq", [1, 0], "at least 1"),
        ("cardinality", [3], "found 1"),
        ("cardinality", [3, 0], "at least 1"),
        ("embedding_dimension", [3], "found 1"),
        ("dropout_rate", 1.0, "below 1"),
        ("dropout_rate", -0.1, "at least 0"),
        ("scaling", "median", '"mean"'),
        ("default_scale", 0.0, "positive"),
        ("default_scale", float("inf"), "positive"),
        ("distr_output", GammaOutput(), 'scaling="std" with'),
    ],
)
def test_wrong_arguments_are_named(name: str, value: Any, right: str) -> None:
    others = {"scaling": "std"} if isinstance(value, GammaOutput) else {}
    with pytest.raises(ValueError, match=name) as error:
        network(**others | {name: value})
    assert right in str(error.value)


def test_a_head_without_a_likelihood_is_refused() -> None:
    with pytest.raises(ValueError, match="distr_output"):
        network(distr_output=QuantileOutput([0.1, 0.9]))


@pytest.mark.parametrize(
    ("scaling", "meaning"),
    [(True, "mean"), ("mean", "mean"), (False, None), (None, None), ("std", "std")],
)
def test_scaling_is_a_name_or_gluonts_flag(scaling: Any, meaning: str | None) -> None:
    ours = network(scaling=scaling)
    assert ours.scaling == meaning
    # One more column than GluonTS's tokens: log(1 + abs(loc)).
    assert ours.input_size - network().input_size == (meaning == "std")


@pytest.mark.parametrize("settings", [LEAST, LEAST | {"lags_seq": [3]}, LEAST | {"num_layers": 1}])
def test_nothing_but_a_target_is_enough(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    ours = DeepAR(**settings)
    fields = windows(ours)
    needed = {
        name: fields[name]
        for name in (
            "past_target",
            "past_observed_values",
            "future_target",
            "future_observed_values",
        )
    }
    nll, observed = ours.point_losses(**needed)
    assert nll.shape == observed.shape == (4, 1)
    assert nll.isfinite().all()
    assert ours(**inputs(needed)).shape == (4, 100, 1)


@pytest.mark.parametrize("head", [StudentTOutput(), NegativeBinomialOutput()])
@pytest.mark.parametrize("scaling", ["mean", "std", None])
def test_copies_are_equal(head: Any, scaling: str | None) -> None:
    ours = network(distr_output=head, scaling=scaling, embedding_dimension=[2, 4])
    fields = windows(ours)
    expected = ours.point_losses(**fields).nll
    rebuilt = serde.decode(serde.encode(ours))
    assert isinstance(rebuilt, DeepAR)
    assert not torch.equal(rebuilt.rnn.weight_ih_l0, ours.rnn.weight_ih_l0)
    rebuilt.load_state_dict(ours.state_dict())
    for other in (rebuilt, copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert other is not ours
        torch.testing.assert_close(other.eval().point_losses(**fields).nll, expected)


@pytest.mark.parametrize("head", [StudentTOutput(), NormalOutput(), NegativeBinomialOutput()])
@pytest.mark.parametrize("scaling", ["mean", "std", None])
def test_unobserved_points_contribute_nothing(head: Any, scaling: str | None) -> None:
    """Not even through a later token, where the imputed value is the same."""
    ours = network(distr_output=head, scaling=scaling)
    fields = windows(ours)
    fields["future_observed_values"][0] = 0.0
    fields["past_observed_values"][1, -2:] = 0.0
    nll, observed = ours.point_losses(**fields)
    assert (nll != 0).equal(observed > 0)
    reference = nll.detach()
    # The last point of the horizon is no token's lag: whatever stands there, nothing changes.
    fields["future_target"] = fields["future_target"].clone()
    fields["future_target"][0, -1] = float("nan")
    nll, _ = ours.point_losses(**fields)
    assert torch.equal(nll, reference)
    nll.sum().backward()
    assert all(weights.grad.isfinite().all() for weights in ours.parameters())


def test_a_window_without_a_point_has_no_gradient() -> None:
    ours = network(default_scale=1.0)
    fields = windows(ours)
    for name in ("past_observed_values", "future_observed_values"):
        fields[name] = torch.zeros_like(fields[name])
    nll, observed = ours.point_losses(**fields)
    nll.sum().backward()
    assert not observed.any()
    assert not nll.any()
    assert all(torch.equal(w.grad, torch.zeros_like(w)) for w in ours.parameters())


@pytest.mark.parametrize("scaling", ["mean", "std", None])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_series_that_nobody_has_seen_gets_a_forecast(scaling: str | None, batch: int) -> None:
    ours = network(scaling=scaling)
    fields = inputs(windows(ours, batch=batch))
    for name in ("past_target", "past_observed_values"):
        fields[name] = torch.zeros_like(fields[name])
    torch.manual_seed(0)
    paths = ours(**fields)
    assert paths.isfinite().all()
    # The head of an untrained network is about as wide as the scale, which is 1.
    assert 0.1 < float(paths.quantile(0.9) - paths.quantile(0.1)) < 30


def test_std_forecasts_follow_level_and_spread() -> None:
    """Shifted and stretched series have shifted and stretched distributions."""
    ours = network(scaling="std", distr_output=NormalOutput())
    # The window's own columns would tell the series apart.
    fields = windows(ours)
    window = len(ours.lags_seq) + sum(ours.embedding_dimension) + ours.num_feat_static_real
    with torch.no_grad():
        ours.rnn.weight_ih_l0[:, window : window + 2] = 0.0
    moved = dict(fields)
    for name in ("past_target", "future_target"):
        moved[name] = 3.0 * fields[name] + 500.0
    one, other = ours.distribution_args(**fields), ours.distribution_args(**moved)
    torch.testing.assert_close(other.loc, 3 * one.loc + 500, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(other.scale, 3 * one.scale, rtol=1e-3, atol=1e-3)
    for ours_args, theirs in zip(one.args, other.args, strict=True):
        torch.testing.assert_close(theirs, ours_args, rtol=1e-3, atol=1e-3)
    # Dense in the target's units: stretching by 3 costs log 3 at every point.
    nll = [ours.point_losses(**batch).nll for batch in (fields, moved)]
    shift = torch.full_like(nll[0], 3.0).log()
    torch.testing.assert_close(nll[1] - nll[0], shift, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("head", [StudentTOutput(), NegativeBinomialOutput()])
def test_densities_and_paths_stay_in_full_precision_under_autocast(head: Any) -> None:
    ours = network(distr_output=head)
    fields = windows(ours, gaps=0.2)
    expected = ours.point_losses(**fields).nll
    with torch.autocast("cpu", dtype=torch.bfloat16):
        nll, _ = ours.point_losses(**fields)
        paths = ours(**inputs(fields))
    assert nll.dtype == paths.dtype == torch.float32
    torch.testing.assert_close(nll, expected, rtol=0.02, atol=0.02)
    nll.sum().backward()
    assert all(weights.grad.isfinite().all() for weights in ours.parameters())


def test_double_precision_goes_through() -> None:
    ours = network().double()
    fields = {
        name: field.double() if field.is_floating_point() else field
        for name, field in windows(network()).items()
    }
    nll, _ = ours.point_losses(**fields)
    assert nll.dtype == ours(**inputs(fields)).dtype == torch.float64
    single = network().point_losses(**windows(network())).nll
    torch.testing.assert_close(nll.float(), single, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("scaling", ["mean", "std", None])
def test_a_gpu_gives_the_numbers_of_the_cpu(scaling: str | None) -> None:
    ours = network(scaling=scaling)
    fields = windows(ours, gaps=0.2)
    expected = ours.point_losses(**fields).nll
    on_gpu = {name: field.cuda() for name, field in fields.items()}
    nll, _ = ours.cuda().point_losses(**on_gpu)
    torch.testing.assert_close(nll.cpu(), expected, rtol=1e-3, atol=1e-3)
    paths = ours(**inputs(on_gpu))
    assert paths.device.type == "cuda"
    assert paths.isfinite().all()


@pytest.mark.parametrize("scaling", ["mean", "std"])
def test_it_learns_a_seasonal_series(scaling: str) -> None:
    """After a few steps the loss lies far below that of an untrained network."""
    torch.manual_seed(0)
    ours = DeepAR(context_length=12, prediction_length=6, lags_seq=[1, 6, 12], scaling=scaling)
    time = torch.arange(29.0)
    starts = 12 * torch.rand(32, 1)
    target = 10 + 5 * torch.sin((time + starts) * torch.pi / 6)
    fields = {
        "past_target": target[:, :23],
        "past_observed_values": torch.ones(32, 23),
        "future_target": target[:, 23:],
        "future_observed_values": torch.ones(32, 6),
    }
    optimizer = torch.optim.Adam(ours.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = ours.point_losses(**fields).nll.mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 1.0
    median = ours.eval()(**inputs(fields), num_parallel_samples=200).median(1).values
    assert float((median - fields["future_target"]).abs().mean()) < 1.5
