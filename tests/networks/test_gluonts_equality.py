"""Our DeepAR is GluonTS's at equal weights: point by point, step by step, and in law."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gluonts.torch.distributions import (
    BetaOutput,
    NormalOutput,
    PoissonOutput,
    StudentTOutput,
)
from gluonts.torch.model.deepar.module import DeepARModel
from torch import Tensor

from tests.networks.gluonts_pairs import HEADS, Fields, inputs, pair, windows
from tsbnn.networks import DeepAR, from_gluonts, sampling

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def their_losses(model: DeepARModel, fields: Fields) -> Tensor:
    """GluonTS's loss of every point, ``batch x time``."""
    return model.loss(**fields, aggregate_by=lambda values, dim: values)


def assert_equal_losses(theirs: DeepARModel, ours: DeepAR, fields: Fields) -> None:
    nll, observed = ours.point_losses(**fields)
    expected = their_losses(theirs, fields)
    assert nll.shape == observed.shape == expected.shape
    assert expected.abs().sum() > 0
    torch.testing.assert_close(nll, expected, **CLOSE)
    theirs.zero_grad()
    expected.sum().backward()
    nll.sum().backward()
    for (name, one), (same, other) in zip(
        theirs.named_parameters(), ours.named_parameters(), strict=True
    ):
        assert name == same
        size = float(one.grad.abs().max())
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-5 * (1 + size))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_every_head_gives_gluonts_likelihood_and_gradients(head: Any, gaps: float) -> None:
    # Beta lives on (0, 1): scaled values leave it, in GluonTS and here.
    theirs, ours = pair(distr_output=head(), scaling=head is not BetaOutput)
    assert_equal_losses(theirs, ours, windows(ours, gaps=gaps))


@pytest.mark.parametrize("context_length", [1, 3, 40])
@pytest.mark.parametrize("lags_seq", [[1], [1, 2, 3], [2, 7, 30], [7, 1, 24, 3]])
def test_every_context_and_lag_set_gives_gluonts_likelihood(
    context_length: int, lags_seq: list[int]
) -> None:
    theirs, ours = pair(context_length=context_length, lags_seq=lags_seq)
    assert ours.past_length == ours._past_length == theirs.past_length
    # A context without a point is scaled by the past behind it here, by the batch in GluonTS.
    assert_equal_losses(theirs, ours, windows(ours, gaps=0.2 if context_length > 1 else 0.0))


def test_small_targets_have_gluonts_smallest_scale() -> None:
    theirs, ours = pair()
    fields = windows(ours)
    for name in ("past_target", "future_target"):
        fields[name] = fields[name] * 1e-12
    assert_equal_losses(theirs, ours, fields)


@pytest.mark.parametrize(
    "settings",
    [
        {"scaling": False},
        {"default_scale": 3.5},
        {"num_layers": 1},
        {"num_layers": 3},
        {"prediction_length": 1},
        {"prediction_length": 9},
        {"num_feat_static_cat": 1, "cardinality": [1], "embedding_dimension": None},
        {"embedding_dimension": None},
        {"distr_output": StudentTOutput(beta=0.5)},
        {"distr_output": NormalOutput(beta=0.5)},
    ],
)
def test_settings_mean_what_they_mean_in_gluonts(settings: dict[str, Any]) -> None:
    theirs, ours = pair(**settings)
    assert_equal_losses(theirs, ours, windows(ours, gaps=0.2))


@pytest.mark.parametrize("default_scale", [None, 3.5])
def test_a_window_without_a_point_has_gluonts_scale(default_scale: float | None) -> None:
    theirs, ours = pair(default_scale=default_scale)
    fields = windows(ours)
    fields["past_observed_values"][1] = 0.0
    fields["past_target"][1] = 0.0
    assert_equal_losses(theirs, ours, fields)


@pytest.mark.parametrize("head", [StudentTOutput, NormalOutput, PoissonOutput])
def test_predictive_distributions_are_gluonts(head: Any) -> None:
    theirs, ours = pair(distr_output=head())
    fields = windows(ours, gaps=0.2)
    args, loc, scale = ours.distribution_args(**fields)
    known = inputs(fields) | {"future_target": fields["future_target"]}
    known.pop("past_observed_values")
    expected_args, expected_scale, *_ = theirs.unroll_lagged_rnn(
        **known, past_observed_values=fields["past_observed_values"]
    )
    assert torch.equal(loc, torch.zeros_like(loc))
    torch.testing.assert_close(scale, expected_scale, **CLOSE)
    for one, other in zip(args, expected_args, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)
    expected = theirs.output_distribution([arg.clone() for arg in expected_args], scale=scale)
    built = sampling.heads.distribution(ours.distr_output, args, loc, scale)
    torch.testing.assert_close(built.mean, expected.mean, **CLOSE)


class Forced:
    """A distribution whose sample is known before."""

    def __init__(self, value: Tensor) -> None:
        self.value = value

    def sample(self) -> Tensor:
        return self.value


@pytest.mark.parametrize("scaling", [True, False])
@pytest.mark.parametrize("lags_seq", [[1, 2, 3], [1, 4, 30], [9, 1, 5], [12]])
def test_prediction_goes_gluonts_way_step_by_step(
    lags_seq: list[int], scaling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On given paths, the arguments of the head at every step are GluonTS's."""
    batch, paths, horizon = 3, 2, 8
    theirs, ours = pair(lags_seq=lags_seq, prediction_length=horizon, scaling=scaling)
    fields = inputs(windows(ours, batch=batch, gaps=0.2))
    forced = torch.randn(batch, paths, horizon).cumsum(-1) * 3
    expected: list[list[Tensor]] = []
    found: list[list[Tensor]] = []

    def their_distribution(params: Any, scale: Tensor, trailing_n: Any = None) -> Forced:
        expected.append([param[:, -1].view(batch, paths) for param in params])
        return Forced(forced[..., len(expected) - 1].reshape(-1, 1))

    def our_sample(head: Any, args: Any, loc: Tensor, scale: Tensor) -> Tensor:
        found.append(list(args))
        return forced[..., len(found) - 1]

    monkeypatch.setattr(theirs, "output_distribution", their_distribution)
    monkeypatch.setattr(sampling.heads, "sample", our_sample)
    with torch.no_grad():
        their_paths = theirs(**fields, num_parallel_samples=paths)
        our_paths = ours(**fields, num_parallel_samples=paths)
    assert len(found) == len(expected) == horizon
    for step in range(horizon):
        for one, other in zip(found[step], expected[step], strict=True):
            torch.testing.assert_close(one, other, **CLOSE)
    torch.testing.assert_close(our_paths, their_paths)


@pytest.mark.parametrize("head", [StudentTOutput, NormalOutput, PoissonOutput])
def test_paths_follow_gluonts_law(head: Any) -> None:
    """Means, spreads and the correlation of successive times, within four standard errors."""
    count = 12_000
    theirs, ours = pair(distr_output=head(), lags_seq=[1, 2, 7], prediction_length=4)
    fields = inputs(windows(ours, batch=2))
    torch.manual_seed(3)
    with torch.no_grad():
        samples = [network(**fields, num_parallel_samples=count) for network in (theirs, ours)]
    # Arctangents in units of the scale: moments of heavy tails have no useful standard error.
    scale = fields["past_target"][:, -ours.context_length :].abs().mean(1)
    one, other = (torch.atan(paths / scale[:, None, None]).double() for paths in samples)

    def features(paths: Tensor) -> Tensor:
        return torch.cat((paths, paths.square(), paths[..., 1:] * paths[..., :-1]), dim=-1)

    means = [features(paths).mean(1) for paths in (one, other)]
    variance = sum(features(paths).var(1) for paths in (one, other)) / count
    assert (variance > 0).all()
    assert float(((means[0] - means[1]) / variance.sqrt()).abs().max()) < 4


@pytest.mark.parametrize("nonnegative", [False, True])
def test_conversion_keeps_settings_names_dtype_and_mode(nonnegative: bool) -> None:
    theirs, _ = pair(
        default_scale=2.0, num_layers=3, dropout_rate=0.25, nonnegative_pred_samples=nonnegative
    )
    theirs = theirs.double().train()
    ours = from_gluonts(theirs)
    assert ours.training
    assert ours.rnn.dropout == theirs.rnn.dropout == 0.25
    assert ours.default_scale == 2.0
    assert ours.nonnegative_pred_samples is nonnegative
    weights, copies = theirs.state_dict(), ours.state_dict()
    assert list(weights) == list(copies)
    for name, value in weights.items():
        assert torch.equal(copies[name], value)
        assert copies[name].dtype == torch.float64
        assert copies[name].data_ptr() != value.data_ptr()


def test_one_seed_gives_gluonts_initial_weights() -> None:
    settings: dict[str, Any] = {
        "context_length": 3,
        "prediction_length": 2,
        "lags_seq": [1, 4],
        "num_feat_dynamic_real": 2,
        "num_feat_static_real": 1,
        "num_feat_static_cat": 1,
        "cardinality": [5],
    }
    torch.manual_seed(5)
    theirs = DeepARModel(freq="D", **settings)
    torch.manual_seed(5)
    ours = DeepAR(**settings)
    for one, other in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("model", [None, "deepar", torch.nn.LSTM(1, 1), DeepAR])
def test_other_networks_are_not_converted(model: Any) -> None:
    with pytest.raises(TypeError, match=r"model=.*expected .*DeepARModel"):
        from_gluonts(model)
