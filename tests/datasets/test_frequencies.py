"""Both vocabularies of frequencies, and whether GluonTS takes what comes out."""

from __future__ import annotations

import datetime
import warnings

import numpy as np
import pandas as pd
import pytest
from gluonts.time_feature import get_lags_for_frequency, time_features_from_frequency_str

from tsbnn.datasets import FrequencyError, from_frame, parse_frequency
from tsbnn.datasets.frequencies import Frequency

VOCABULARY = [
    (("s", "S", "1s"), Frequency("s"), True),
    (("10s", "10S"), Frequency("s", 10), True),
    (("min", "T"), Frequency("min"), True),
    (("15min", "15T", pd.Timedelta("15min")), Frequency("min", 15), True),
    (("1h30min", "90min", "90T"), Frequency("min", 90), True),
    (("h", "H", pd.offsets.Hour(), datetime.timedelta(hours=1)), Frequency("h"), True),
    (("D", "d", "1D", pd.offsets.Day()), Frequency("D"), True),
    (("B", "b", pd.offsets.BDay()), Frequency("B"), True),
    (("W", "w"), Frequency("W", 1, 6), False),
    (("W-SUN", "W-sun"), Frequency("W", 1, 6), True),
    (("2W-MON",), Frequency("W", 2, 0), True),
    (("M", "ME", "MS", "BM", "BME", "BMS", pd.offsets.MonthBegin()), Frequency("M"), True),
    (("6M", "2Q", "2QE-DEC", "2QS"), Frequency("M", 6), True),
    (("Q", "QE", "QS", "BQ", "BQE"), Frequency("Q", 1, 12), False),
    (("Q-DEC", "QE-DEC", "QS-JAN", "QS-OCT", "BQS-APR"), Frequency("Q", 1, 12), True),
    (("QE-OCT", "Q-OCT"), Frequency("Q", 1, 10), True),
    (("QS-FEB", "QS-NOV"), Frequency("Q", 1, 1), True),
    (("A", "Y", "YE", "YS", "AS", "BYE"), Frequency("Y", 1, 12), False),
    (("A-MAR", "Y-MAR", "YE-MAR", "YS-APR", "AS-APR"), Frequency("Y", 1, 3), True),
    (("YS-JAN", "AS-JAN"), Frequency("Y", 1, 12), True),
]
SPELLINGS = [
    (spelling, frequency, anchored)
    for spellings, frequency, anchored in VOCABULARY
    for spelling in spellings
]


@pytest.mark.parametrize(("spelling", "frequency", "anchored"), SPELLINGS, ids=str)
def test_both_vocabularies_mean_the_same_grid(
    spelling: object, frequency: Frequency, anchored: bool
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, has_anchor = parse_frequency(spelling)
    # an even number of quarters becomes months
    if frequency.unit == "M" and str(spelling).startswith("2Q"):
        anchored = True
    assert (found, has_anchor) == (frequency, anchored)


@pytest.mark.parametrize("frequency", sorted({f for _, f, _ in VOCABULARY}, key=str), ids=str)
def test_gluonts_takes_every_frequency(frequency: Frequency) -> None:
    """Lags, time features and a range of periods, from the alias and the period alone."""
    lags = get_lags_for_frequency(frequency.alias)
    assert lags[:7] == [1, 2, 3, 4, 5, 6, 7]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # GluonTS's own business-day periods
        start = frequency.period(100 * frequency.n)
        index = pd.period_range(start, periods=30, freq=start.freq)
    assert np.all(np.diff(index.asi8) == frequency.n)
    for feature in time_features_from_frequency_str(frequency.alias):
        values = feature(index)
        assert values.shape == (30,)
        assert np.abs(values).max() <= 0.5


@pytest.mark.parametrize(
    "wrong",
    ["m", "ms", "us", "foo", "", "0D", "-1D", "W-XXX", "Q-XXX", "D-MON", "SME", "CBME", 5, None],
)
def test_other_frequencies_are_refused(wrong: object) -> None:
    with pytest.raises(FrequencyError) as caught:
        parse_frequency(wrong)
    assert "min, h, D, B, W" in str(caught.value)
    assert caught.value.value == wrong


def test_m_gets_a_hint() -> None:
    with pytest.raises(FrequencyError, match="'min' is minutes, 'ME' months"):
        parse_frequency("m")


@pytest.mark.parametrize("freq", ["H", "MS", "QS", "W-MON", "B", "AS", "15T"])
def test_a_deepar_makes_batches_of_it(freq: str) -> None:
    """GluonTS's own DeepAR turns the dataset into a training batch and trains on it."""
    from gluonts.torch import DeepAREstimator

    modern = {"H": "h", "AS": "YS", "15T": "15min"}.get(freq, freq)
    stamps = pd.date_range("2001-01-01", periods=60, freq=modern)
    frame = pd.DataFrame({"timestamp": stamps, "target": np.arange(60.0) % 7})
    dataset = from_frame(frame, freq=freq)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of GluonTS and Lightning
        estimator = DeepAREstimator(
            freq=dataset.freq, prediction_length=3, context_length=4, hidden_size=4, batch_size=4
        )
        module = estimator.create_lightning_module()
        transformed = estimator.create_transformation().apply(dataset, is_train=True)
        loader = estimator.create_training_data_loader(transformed, module)
        batch = next(iter(loader))
        loss = module.training_step(batch, 0)
    assert batch["past_target"].shape == (4, 4 + max(module.model.lags_seq))
    assert np.isfinite(loss.item())
