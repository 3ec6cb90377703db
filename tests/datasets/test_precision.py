"""What float32 loses is told, and what it keeps is not."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from tsbnn.datasets import from_frame

LENGTH = 60
RNG = np.random.default_rng(0)
STEPS = np.arange(LENGTH)


def long(**series: np.ndarray) -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=LENGTH)
    return pd.concat(
        (
            pd.DataFrame({"item_id": item, "timestamp": days, "target": values, "price": 1.0})
            for item, values in series.items()
        ),
        ignore_index=True,
    )


def told(frame: pd.DataFrame) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        from_frame(frame, known_covariates="price")
    assert all(one.filename == __file__ for one in caught)
    return [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("values", "left"),
    [
        (1.23456789e8 + 0.4 * STEPS, "leaves 4 of 60 different values"),
        (1e9 + RNG.normal(size=LENGTH), "leaves 1 of 60 different values"),
        (np.where(STEPS % 3 == 1, np.nan, 1e12 + 0.4 * STEPS), "leaves 1 of 40 different values"),
        (1e-42 + 1e-46 * STEPS, "different values"),
    ],
)
def test_lost_digits_are_told_with_column_and_series(values: np.ndarray, left: str) -> None:
    plain = RNG.normal(50, 10, LENGTH)
    frame = long(a=plain, b=values, c=plain)
    (message,) = told(frame.sample(frac=1, random_state=1))
    assert message.startswith("series 'b', column 'target': float32, with which networks compute")
    assert left in message
    assert "subtract" in message
    swapped = frame.assign(price=frame["target"], target=1.0)
    if not np.isnan(values).any():
        assert told(swapped)[0].startswith("series 'b', column 'price': float32")


def test_a_frame_is_told_once() -> None:
    level = 1e9 + RNG.normal(size=LENGTH)
    frame = long(a=RNG.normal(size=LENGTH), b=level, c=level)
    (message,) = told(frame.assign(price=frame["target"]))
    assert "series 'b', column 'target' (2 such series): " in message
    assert message.endswith(" This concerns the columns 'target', 'price'.")


@pytest.mark.parametrize("values", [1e-50 * (1 + STEPS), np.full(LENGTH, -1e-300)])
def test_values_that_become_zero_are_told(values: np.ndarray) -> None:
    (message,) = told(long(a=np.ones(LENGTH), b=values))
    assert "series 'b', column 'target': 60 values other than 0 are too small" in message
    assert "multiply the column by a power of ten" in message


@pytest.mark.parametrize(
    "values",
    [
        RNG.integers(0, 2**24, LENGTH),
        2**24 - 1 - STEPS,
        np.round(RNG.normal(99_000, 50, LENGTH), 2),
        60_000 + RNG.normal(size=LENGTH),
        # Computed constants differ in the last digits of float64, and rarely change in truth.
        np.where(STEPS % 2, 0.3, 0.1 + 0.2),
        np.where(STEPS % 2, 0.3, 0.1 + 0.2) + (STEPS > 40),
        np.where(STEPS == 7, 1e-60, RNG.normal(size=LENGTH)),
        np.zeros(LENGTH),
    ],
)
def test_ordinary_values_are_not(values: np.ndarray) -> None:
    assert not told(long(a=np.ones(LENGTH), b=values))


def test_many_values_that_meet_are_no_loss() -> None:
    """Seven digits are fewer than ten million values need, and enough for each of them."""
    values = RNG.uniform(1, 1.02, 200_000)
    assert len(np.unique(values.astype(np.float32))) < 0.9 * len(values)
    stamps = pd.date_range("2024-01-01", periods=len(values), freq="min")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_frame(pd.Series(values, index=stamps))


def test_neighbouring_series_are_not_compared() -> None:
    first = np.where(STEPS == LENGTH - 1, 1e9, STEPS)
    second = np.where(STEPS == 0, 1e9 + 1, STEPS)
    assert not told(long(a=first, b=second))


DAYS = np.arange(730.0)


@pytest.mark.parametrize(
    "values",
    [
        # Days to Christmas, a promotion that fades, a thermostat, a launch, a gauge at rest.
        np.exp(-((DAYS % 365 - 359) ** 2) / 98),
        np.exp(-DAYS / 5),
        pd.Series(np.repeat([20.0, 22.0, 19.0], [250, 250, 230])).ewm(alpha=0.3).mean().to_numpy(),
        1 / (1 + np.exp(-(DAYS - 100) / 10)),
        np.where(DAYS < 400, 5.0, 7.0) + 1e-9 * np.sin(DAYS),
    ],
)
def test_what_is_nothing_beside_the_rest_of_a_series_is_no_loss(values: np.ndarray) -> None:
    days = pd.date_range("2024-01-01", periods=len(values))
    assert told(pd.DataFrame({"timestamp": days, "target": values, "price": values})) == []
