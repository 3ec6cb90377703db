"""Conformal calibration: the promised coverage, widths that adapt, bounds that never cross."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tsbnn.forecasting import ConformalCalibration
from tsbnn.forecasting.frames import FrameColumns
from tsbnn.forecasting.prediction.prediction import Predicted

STEPS = 3
# The model's standard deviations: far too small at the first step, right, and far too large.
BELIEVED = np.array([0.3, 1.0, 4.0])


def simulated(count: int, seed: int) -> pd.DataFrame:
    """Forecasts of noise whose size the model knows up to a factor of the step."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.5, 5.0, (count, 1)) * np.ones((1, STEPS))
    frame = pd.DataFrame(
        {
            "step": np.tile(np.arange(1, STEPS + 1), count),
            "target": (size * rng.normal(size=(count, STEPS))).ravel(),
            "median": 0.0,
            "believed": (size * BELIEVED).ravel(),
        }
    )
    edge = stats.norm.ppf(0.9) * frame["believed"]
    return frame.assign(**{"lo-80": -edge, "hi-80": edge})


def bounds(calibration: ConformalCalibration, frame: pd.DataFrame, level: float) -> np.ndarray:
    middle, lower, upper = (
        frame[name].to_numpy().reshape(-1, STEPS) for name in ("median", "lo-80", "hi-80")
    )
    quantile = (1 - level) / 2
    return np.stack(
        [calibration.quantile(q, middle, lower, upper) for q in (quantile, 1 - quantile)]
    )


def test_coverage_on_average_over_calibrations() -> None:
    scores, levels = 39, np.array([0.5, 0.8, 0.95])
    found = []
    for seed in range(150):
        calibration = ConformalCalibration.from_frame(simulated(scores, seed))
        new = simulated(50, 10_000 + seed)
        y = new["target"].to_numpy().reshape(-1, STEPS)
        edges = [bounds(calibration, new, level) for level in levels]
        found.append([((lower <= y) & (y <= upper)).mean(axis=0) for lower, upper in edges])
    coverage, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    # Exactly ceil((n + 1) level) / (n + 1), at every step, whatever the model believed.
    expected = np.ceil(np.round((scores + 1) * levels, 9)) / (scores + 1)
    assert (expected >= levels).all()
    np.testing.assert_array_less(np.abs(coverage - expected[:, None]), 4 * error)
    assert (error < 0.01).all()


def test_widths_adapt_to_what_the_model_believes() -> None:
    calibration = ConformalCalibration.from_frame(simulated(500, 0))
    new = simulated(40, 1)
    lower, upper = bounds(calibration, new, 0.9)
    believed = new["believed"].to_numpy().reshape(-1, STEPS)
    ratio = (upper - lower) / believed
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape))
    expected = 2 * stats.norm.ppf(0.95) / BELIEVED
    np.testing.assert_allclose(ratio[0], expected, rtol=0.15)


def test_the_rank_of_the_formula() -> None:
    calibration = ConformalCalibration([np.array([9.0, 1, 8, 2, 7, 3, 6, 4, 5])])
    assert calibration.factors(0.9) == [9.0]
    assert calibration.factors(0.8) == [8.0]
    assert calibration.factors(0.81) == [9.0]
    with pytest.raises(ValueError, match=r"95 % needs at least 19 scores, and step 1 has 9"):
        calibration.factors(0.95)
    assert repr(calibration) == "ConformalCalibration(1 steps, 9 scores each)"


def test_columns_of_a_frame_follow_the_calibration() -> None:
    samples = np.random.default_rng(0).gamma(2.0, size=(6, 80, STEPS)).astype(np.float32)
    calibration = ConformalCalibration.from_frame(simulated(99, 2))
    predicted, draws = Predicted(samples, None, None), np.repeat(np.arange(8), 10)
    plain, moved = (
        dict(zip(columns.names, columns.of(predicted, draws, num_atoms=None), strict=True))
        for columns in (
            FrameColumns((0.1, 0.5, 0.9), (50, 80, 95), some) for some in (None, calibration)
        )
    )
    order = ["lo-95", "lo-80", "lo-50", "median", "hi-50", "hi-80", "hi-95"]
    assert (np.diff([moved[name] for name in order], axis=0) >= 0).all()
    for same in ("median", "0.5", "mean", "epistemic_std", "aleatoric_std"):
        np.testing.assert_array_equal(plain["median" if same == "0.5" else same], moved[same])
    np.testing.assert_array_equal(moved["0.1"], moved["lo-80"])
    np.testing.assert_array_equal(moved["0.9"], moved["hi-80"])
    wider = (moved["hi-80"] - moved["lo-80"]) / (plain["hi-80"] - plain["lo-80"])
    assert (wider[:, 0] > 1.5).all()
    assert (wider[:, 2] < 0.7).all()


def test_what_cannot_calibrate_is_named() -> None:
    frame = simulated(20, 0)
    with pytest.raises(ValueError, match=r"no column 'lo-80': .* with 80 among its levels"):
        ConformalCalibration.from_frame(frame.drop(columns="lo-80"))
    with pytest.raises(ValueError, match="step 2 of the horizon has no actual value"):
        ConformalCalibration.from_frame(
            frame.assign(target=frame["target"].where(frame["step"] != 2))
        )
    calibration = ConformalCalibration.from_frame(frame)
    four = np.ones((1, 4))
    with pytest.raises(ValueError, match="of 3 steps, the forecast of 4"):
        calibration.quantile(0.9, four, four, four)


def test_no_bound_falls_below_the_minimum() -> None:
    calibration = ConformalCalibration.from_frame(simulated(99, 0), minimum=0)
    middle, lower, upper = (np.full((2, STEPS), value) for value in (1.0, 0.2, 3.0))
    low = calibration.quantile(0.025, middle, lower, upper)
    assert (low >= 0).all()
    assert (low == 0).any()
    assert (calibration.quantile(0.975, middle, lower, upper) > 1).all()


def test_intervals_without_width_do_no_harm() -> None:
    frame = simulated(30, 0)
    frame.loc[frame["step"] == 1, ["lo-80", "hi-80"]] = 0.0
    calibration = ConformalCalibration.from_frame(frame)
    lower, upper = bounds(calibration, frame, 0.9)
    assert (lower[:, 0] == 0).all()
    assert (upper[:, 0] == 0).all()
    assert np.isfinite(upper).all()
