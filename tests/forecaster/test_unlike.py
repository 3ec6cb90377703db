"""A warning where the model knows less of its inputs than of any training window."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from tsbnn import Forecaster, from_frame
from tsbnn.forecaster import UnlikeTrainingWarning
from tsbnn.forecaster.unlike import largest_share, shares, warn_of_unlike

HORIZON = 3
QUIET = {"enable_progress_bar": False, "enable_model_summary": False}
SMALL = {"hidden_size": 16, "num_layers": 1, "lags_seq": [1], "trainer_kwargs": QUIET}


def sales(series: int, shift: float, days: int = 30) -> pd.DataFrame:
    """Series that follow a covariate, which is shifted in the horizon."""
    rng = np.random.default_rng(int(shift))
    parts = []
    for number in range(series):
        price = rng.normal(size=days + HORIZON)
        target = 10 + 3 * price + rng.normal(size=days + HORIZON)
        target[days:] = np.nan
        price[days:] += shift
        stamps = pd.date_range("2024-01-01", periods=days + HORIZON)
        parts.append(
            pd.DataFrame({"item_id": number, "timestamp": stamps, "target": target, "price": price})
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def fitted() -> Forecaster:
    forecaster = Forecaster(
        "D", HORIZON, covariates="price", gradient_evaluations=300, model_kwargs=SMALL, seed=1
    )
    return forecaster.fit(sales(25, 0))


def test_covariates_unlike_the_training_data_are_told(fitted, tmp_path) -> None:
    with pytest.warns(UnlikeTrainingWarning, match=r"of 25 series .* any of 25 training windows"):
        fitted.predict(sales(25, 30))
    fitted.save(tmp_path / "model")
    again = Forecaster.load(tmp_path / "model", device="cpu")
    assert again.epistemic_share_ == fitted.epistemic_share_
    with pytest.warns(UnlikeTrainingWarning, match="series") as caught:
        again.predict(sales(25, 30), return_samples=True)
    assert caught[0].filename == __file__


def test_data_like_the_training_data_are_silent(fitted) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnlikeTrainingWarning)
        fitted.predict()
        fitted.predict(sales(25, 0))
        # With so few paths the share is mostly noise.
        fitted.predict(sales(25, 30), num_samples=40)


def test_few_series_are_seen_at_several_windows(fitted) -> None:
    predictor = fitted.predictor_

    def dataset(frame: pd.DataFrame) -> object:
        return from_frame(frame, known_covariates="price").training

    largest, count = largest_share(predictor, dataset(sales(1, 0, days=90)))
    assert count == 20
    assert 0 < largest < 1
    assert largest_share(predictor, dataset(sales(12, 0)))[1] == 24
    assert largest_share(predictor, dataset(sales(1, 0, days=30))) is None
    assert largest_share(predictor, dataset(sales(300, 0, days=6)))[1] == 100


def forecasts(*epistemic: float) -> pd.DataFrame:
    """Series whose epistemic share is e²/(e² + 1)."""
    return pd.DataFrame(
        {
            "item_id": np.repeat([f"shop {n}" for n in range(len(epistemic))], HORIZON),
            "epistemic_std": np.repeat(np.asarray(epistemic), HORIZON),
            "aleatoric_std": 1.0,
        }
    )


def test_shares() -> None:
    np.testing.assert_allclose(shares(forecasts(0, 1, 3), HORIZON), [0, 0.5, 0.9])
    unknown = forecasts(1.0).assign(epistemic_std=np.nan)
    assert np.isnan(shares(unknown, HORIZON)).all()


def test_as_many_as_chance_allows_are_silent() -> None:
    def warned(*epistemic: float) -> bool:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_of_unlike(forecasts(*epistemic), HORIZON, "item_id", 0.5, 99)
        return bool(caught)

    # The largest ratio of variances is 1 in training, and the warning begins at 2.
    assert not warned(1.41)
    assert warned(1.42)
    # One of 100 is expected, and three standard deviations of 1 more.
    assert not warned(*[2.0] * 4, *[0.5] * 96)
    assert warned(*[2.0] * 5, *[0.5] * 95)
    with pytest.warns(UnlikeTrainingWarning, match=r"1 of 2 series.* 80% .*\(series 'shop 1'\)"):
        warn_of_unlike(forecasts(0.1, 2.0), HORIZON, "item_id", 0.5, 99)
