"""Tokens hold what is known just before their target, in training as at prediction."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.networks.gluonts_pairs import inputs, windows
from tsbnn.networks import DeepAR, sampling

SETTINGS: dict[str, Any] = {
    "context_length": 4,
    "prediction_length": 6,
    "lags_seq": [3, 1, 2, 9],
    "num_feat_dynamic_real": 2,
    "num_past_feat_dynamic_real": 2,
    "num_feat_static_real": 1,
    "num_feat_static_cat": 1,
    "cardinality": [3],
    "hidden_size": 5,
}


def network(seed: int = 0, **settings: Any) -> DeepAR:
    torch.manual_seed(seed)
    return DeepAR(**SETTINGS | settings).eval()


@pytest.mark.parametrize("scaling", ["mean", "std", None])
def test_every_column_is_where_the_table_says(scaling: str | None) -> None:
    ours = network(scaling=scaling)
    fields = windows(ours, batch=3, gaps=0.2)
    tokens, loc, scale = ours.features(
        fields, fields["future_target"], fields["future_observed_values"]
    )
    past = ours.past_length
    assert past == 4 + 9 - 1
    values = torch.cat((fields["past_target"], fields["future_target"]), dim=1)
    observed = torch.cat((fields["past_observed_values"], fields["future_observed_values"]), dim=1)
    times = torch.cat((fields["past_time_feat"], fields["future_time_feat"]), dim=1)
    assert tokens.shape == (3, 4 - 1 + 6, ours.features.num_features)
    for row in range(3):
        for place in range(tokens.shape[1]):
            t = past - 4 + 1 + place
            lags = torch.stack([values[row, t - lag] for lag in SETTINGS["lags_seq"]])
            known = torch.stack([observed[row, t - lag] for lag in SETTINGS["lags_seq"]])
            scaled = (lags - loc[row]) / scale[row]
            window = [scale[row].log()]
            if scaling == "std":
                # Nothing is known of a gap but the window's mean.
                scaled = scaled * known
                window.append(loc[row].abs().log1p())
            covariates = torch.zeros(3)
            if t - 1 < past:
                covariates[:2] = fields["past_feat_dynamic_real"][row, t - 1]
                covariates[2] = 1.0
            statics = fields["feat_static_real"][row]
            expected = torch.cat((scaled, statics, *window, times[row, t], covariates))
            torch.testing.assert_close(tokens[row, place], expected)


@pytest.mark.parametrize("scaling", ["mean", "std", None])
@pytest.mark.parametrize("lags_seq", [[1], [3, 1, 2, 9], [12, 4], [6, 5]])
def test_prediction_reads_the_tokens_of_training(scaling: str | None, lags_seq: list[int]) -> None:
    """A path that was sampled, taken as the truth, gives the tokens that sampled it."""
    ours = network(scaling=scaling, lags_seq=lags_seq)
    fields = windows(ours, batch=3, gaps=0.2)
    seen: list[Tensor] = []

    class Recorder:
        """The network itself, whose tokens are kept."""

        branch, param_proj = ours.branch, ours.param_proj

        def encode(self, tokens: Tensor, static_cat: Tensor | None) -> Any:
            seen.extend(tokens.unsqueeze(2).expand(-1, -1, 2, -1).unbind(1))
            return ours.encode(tokens, static_cat)

        def advance(self, tokens: Tensor, static_cat: Tensor | None, state: Any) -> Any:
            seen.append(tokens.clone())
            return ours.advance(tokens, static_cat, state)

    torch.manual_seed(2)
    paths = sampling.sample_paths(ours, Recorder(), inputs(fields), 2)
    assert len(seen) == SETTINGS["context_length"] - 1 + SETTINGS["prediction_length"]
    for path in range(2):
        tokens, _, _ = ours.features(fields, paths[:, path])
        found = torch.stack([token[:, path] for token in seen], dim=1)
        torch.testing.assert_close(found, tokens)


def test_past_covariates_count_up_to_the_forecast_start_and_not_beyond() -> None:
    ours = network()
    fields = windows(ours, batch=3)
    reference = ours.point_losses(**fields).nll
    start = ours.past_length - SETTINGS["context_length"]
    for time in range(ours.past_length):
        changed = fields["past_feat_dynamic_real"].clone()
        changed[:, time] += 1.0
        nll = ours.point_losses(**fields | {"past_feat_dynamic_real": changed}).nll
        # The token after it is the first that knows it.
        first = max(time - start, 0)
        assert torch.equal(nll[:, :first], reference[:, :first])
        assert (nll[:, first] != reference[:, first]).all() == (time >= start)


def test_covariates_after_the_forecast_start_change_nothing() -> None:
    """Their columns are 0 there in training too, and a batch that brings them is refused."""
    ours = network()
    fields = windows(ours, batch=3)
    tokens, _, _ = ours.features(fields, fields["future_target"])
    columns = slice(tokens.shape[2] - 3, None)
    assert torch.equal(tokens[:, 4:, columns], torch.zeros(3, 5, 3))
    assert tokens[:, :4, columns].ne(0).all()
    known = fields["past_feat_dynamic_real"]
    fields["past_feat_dynamic_real"] = torch.cat((known, known[:, -6:]), dim=1)
    with pytest.raises(ValueError, match=r"past_feat_dynamic_real of shape .* batch x 12 x 2"):
        ours.point_losses(**fields)


def test_unobserved_lags_hold_the_imputed_value_as_in_gluonts() -> None:
    ours = network(scaling="mean")
    fields = windows(ours, batch=3)
    fields["past_observed_values"][:, -2] = 0.0
    tokens, _, scale = ours.features(fields, fields["future_target"])
    expected = fields["past_target"][:, -2:-1] / scale
    torch.testing.assert_close(tokens[:, 4 - 1, 2:3], expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("past_target", "expected a tensor"),
        ("past_observed_values", "expected a tensor"),
        ("past_time_feat", "built for 2 of them"),
        ("future_time_feat", "built for 2 of them"),
        ("feat_static_real", "built for 1 of them"),
        ("feat_static_cat", "built for 1 of them"),
        ("past_feat_dynamic_real", "built for 2 of them"),
        ("future_target", "expected a tensor"),
        ("future_observed_values", "expected a tensor"),
    ],
)
def test_missing_fields_are_named(name: str, message: str) -> None:
    ours = network()
    fields = windows(ours)
    del fields[name]
    with pytest.raises(ValueError, match=f"{name}=None: .*{message}"):
        ours.point_losses(**fields)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("past_time_feat", "built for batch x 12 x 2"),
        ("feat_static_cat", "built for batch x 1"),
        ("past_target", "expected batch x 12, context_length=4 and 8 points for lags"),
    ],
)
def test_fields_of_another_size_are_named(name: str, message: str) -> None:
    ours = network()
    fields = windows(ours)
    fields[name] = torch.cat((fields[name], fields[name]), dim=-1)
    with pytest.raises(ValueError, match=rf"{name} of shape \(4, .*{message}"):
        ours(**inputs(fields))
