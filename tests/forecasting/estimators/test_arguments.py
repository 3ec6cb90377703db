"""Bad arguments and bad series: the message names what was found and what would be right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.common import ListDataset
from gluonts.torch.distributions import GammaOutput
from gluonts.transform import ExpectedNumInstanceSampler

from tsbnn.forecasting.estimators.check_fields import CheckFields

SHORT = ExpectedNumInstanceSampler(num_instances=1.0, min_future=3)
BAD = [
    ({"prediction_length": 0}, "prediction_length=0: expected a whole number of at least 1"),
    ({"context_length": 0}, "context_length=0"),
    ({"num_layers": 0}, "num_layers=0"),
    ({"batch_size": 0}, "batch_size=0"),
    ({"num_batches_per_epoch": 0}, "num_batches_per_epoch=0"),
    ({"num_parallel_samples": 0}, "num_parallel_samples=0"),
    ({"patience": -1}, "patience=-1"),
    ({"num_feat_dynamic_real": -1}, "num_feat_dynamic_real=-1"),
    ({"num_past_feat_dynamic_real": -1}, "num_past_feat_dynamic_real=-1"),
    ({"lr": 0.0}, "lr=0.0: expected a finite number above 0"),
    ({"lr": float("inf")}, "lr=inf"),
    ({"weight_decay": -1.0}, "weight_decay=-1.0"),
    ({"dropout_rate": 1.0}, "dropout_rate=1.0"),
    ({"scaling": "max"}, "scaling='max': expected"),
    ({"scaling": "std", "distr_output": GammaOutput()}, "scaled values do not"),
    ({"default_scale": 0.0}, "default_scale=0.0"),
    ({"num_feat_static_cat": 2}, "cardinality=\\[\\]: expected 2 whole numbers"),
    ({"num_feat_static_cat": 1}, "expected 1 whole number, one"),
    ({"cardinality": [3, 5]}, "num_feat_static_cat=0: .* Pass num_feat_static_cat=2"),
    ({"train_sampler": SHORT}, "train_sampler has min_future=3: expected at least .*=4"),
    ({"validation_sampler": SHORT}, "validation_sampler has min_future=3"),
    ({"num_feat_static_cat": 1, "cardinality": [0]}, "cardinality\\[0\\]=0"),
    ({"embedding_dimension": [1, 2]}, "embedding_dimension=\\[1, 2\\]"),
    ({"freq": "fortnight"}, "freq='fortnight'"),
    ({"freq": None}, "freq"),
    ({"prediction_length": "many"}, "prediction_length"),
    ({"trainer_kwargs": 3}, "trainer_kwargs"),
    ({"distr_output": "student"}, "distr_output"),
    ({"age_feature": "sometimes"}, "age_feature"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda value: str(value)[:40])
def test_bad_arguments(name, arguments, message, build) -> None:
    settings = {"freq": "h", "prediction_length": 4, **arguments}
    with pytest.raises(ValueError, match=message):
        type(build(name))(**settings)


@pytest.mark.parametrize("name", ["deepar", "transformer"])
def test_bad_lags(name, build) -> None:
    for lags in ([], [0, 1], [-3]):
        with pytest.raises(ValueError, match="lags_seq"):
            build(name, lags_seq=lags)
    with pytest.raises(ValueError, match="freq='2Q'"):
        build(name, lags_seq=None, freq="2Q")


@pytest.mark.parametrize("name", ["transformer", "patch_transformer"])
def test_bad_sizes_of_transformers(name, build) -> None:
    with pytest.raises(ValueError, match="d_model=6: expected a multiple of nhead=4"):
        build(name, d_model=6, nhead=4)
    with pytest.raises(ValueError, match="nhead=0"):
        build(name, nhead=0)
    with pytest.raises(ValueError, match="dim_feedforward=0"):
        build(name, dim_feedforward=0)
    with pytest.raises(ValueError, match="patch_len=0"):
        build("patch_transformer", patch_len=0)
    with pytest.raises(ValueError, match="hidden_size=0"):
        build("deepar", hidden_size=0)


EXPECTED = {
    "num_feat_dynamic_real": 2,
    "num_past_feat_dynamic_real": 1,
    "num_feat_static_real": 1,
    "num_feat_static_cat": 1,
    "cardinality": [3],
}
GOOD = {
    "item_id": "Ω",
    "start": "2021-01-01",
    "target": np.arange(20.0),
    "feat_dynamic_real": np.ones((2, 20)),
    "past_feat_dynamic_real": np.ones((1, 20)),
    "feat_static_real": [1.0],
    "feat_static_cat": [2],
}
WRONG = [
    ({"feat_dynamic_real": np.ones((3, 20))}, r"feat_dynamic_real has shape \(3, 20\).*\(2, 20\)"),
    ({"feat_dynamic_real": np.ones((2, 24))}, r"\(2, 24\); expected \(2, 20\).*target's length"),
    ({"feat_dynamic_real": np.full((2, 20), np.nan)}, "feat_dynamic_real has a missing"),
    ({"past_feat_dynamic_real": np.ones((1, 19))}, r"past_feat_dynamic_real has shape \(1, 19\)"),
    ({"feat_static_real": [1.0, 2.0]}, r"feat_static_real has shape \(2,\); expected \(1,\)"),
    ({"feat_static_real": [np.inf]}, "feat_static_real has a missing or infinite"),
    ({"feat_static_cat": [3]}, r"feat_static_cat has 3 at position 0; .*0\.\.2"),
    ({"feat_static_cat": [0, 1]}, r"feat_static_cat has shape \(2,\)"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=lambda value: str(value)[:30])
def test_series_that_do_not_fit(changes, message, build) -> None:
    estimator = build("deepar", **EXPECTED)
    data = ListDataset([GOOD | changes], freq="h")
    with pytest.raises(ValueError, match=f"series 'Ω': .*{message}"):
        estimator.train(data)


def test_fields_that_are_missing_or_end_too_early(build) -> None:
    estimator = build("deepar", trainer_kwargs={"max_epochs": 1}, **EXPECTED)
    for field in ("feat_dynamic_real", "past_feat_dynamic_real", "feat_static_real"):
        lacking = {key: value for key, value in GOOD.items() if key != field}
        with pytest.raises(ValueError, match=f"series 'Ω' has no field '{field}'"):
            estimator.train(ListDataset([lacking], freq="h"))
    predictor = estimator.train(ListDataset([GOOD], freq="h"))
    for length in (20, 30):
        entry = GOOD | {"feat_dynamic_real": np.ones((2, length))}
        message = rf"\(2, {length}\); expected \(2, 24\).*and the horizon.*prediction_length=4"
        with pytest.raises(ValueError, match=message):
            next(predictor.predict(ListDataset([entry], freq="h")))


def test_targets_of_several_dimensions_and_infinite_ones(build) -> None:
    estimator = build("deepar")
    pair = ListDataset(
        [{"start": "2021-01-01", "target": np.ones((2, 20))}], freq="h", one_dim_target=False
    )
    with pytest.raises(ValueError, match="target has 2 dimensions; expected one"):
        estimator.train(pair)
    good = ListDataset([{"start": "2021-01-01", "target": np.arange(20.0)}], freq="h")
    predictor = estimator.train(good)
    endless = np.arange(20.0)
    endless[3] = np.inf
    bad = ListDataset([{"start": "2021-01-01", "target": endless}], freq="h")
    with pytest.raises(ValueError, match="infinite"):
        estimator.train(bad)
    with pytest.raises(ValueError, match="target has an infinite value; expected NaN"):
        next(predictor.predict(bad))


HOUR = pd.Period("2021-01-01", freq="h")
STARTS = [
    ({}, "no field 'start'"),
    ({"start": "2021-01-01"}, "start has '2021-01-01', a str; expected a pandas Period"),
    ({"start": pd.Timestamp("2021-01-01")}, "a Timestamp; expected a pandas Period"),
    ({"start": HOUR.asfreq("D")}, "start has frequency 'D'; expected 'h', the estimator's freq"),
    ({"start": HOUR.asfreq("15min")}, "start has frequency '15min'"),
]


@pytest.mark.parametrize(("start", "message"), STARTS, ids=lambda value: str(value)[:30])
def test_starts_that_do_not_fit(start, message, build) -> None:
    data = [{"item_id": 3, "target": np.arange(20.0), **start}]
    with pytest.raises(ValueError, match=f"series 3.*{message}"):
        build("deepar").train(data)


@pytest.mark.parametrize(
    ("freq", "period"),
    [
        *(("60min", "h"), ("MS", "M"), ("ME", "M"), ("W", "W-WED"), ("QS", "Q-NOV"), ("YE", "Y")),
        # Multiples of one alias may be another.
        *(("7D", "W-SUN"), ("2W", "14D"), ("3ME", "Q-DEC"), ("12ME", "Y"), ("4QE", "Y")),
    ],
)
def test_frequencies_of_one_step_go_together(freq, period) -> None:
    check = CheckFields(prediction_length=2, freq=freq)
    entry = {"start": pd.Period("2021-01-01", freq=period), "target": np.arange(5.0)}
    assert check.map_transform(entry, is_train=True) is entry
    with pytest.raises(ValueError, match="start has frequency"):
        CheckFields(prediction_length=2, freq="2D").map_transform(entry, is_train=True)


def test_targets_that_are_missing_or_text(build) -> None:
    good = {"start": HOUR, "target": np.arange(20.0)}
    for bad, message in (
        ({"item_id": "b", "start": HOUR}, "series 'b' has no field 'target'"),
        ({"item_id": "b", "start": HOUR, "target": ["x"]}, "series 'b': target has no numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            build("deepar").train([good, bad])
