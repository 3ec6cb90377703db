"""Our networks inside BayesianEstimator: methods of every kind, and models on disk."""

from __future__ import annotations

import numpy as np
import pytest
from gluonts.core.serde import dump_json, load_json
from gluonts.model.predictor import Predictor
from gluonts.torch.distributions import ImplicitQuantileNetworkOutput, NormalOutput, QuantileOutput

import tsbnn
from tsbnn import BayesianEstimator


def paths(predictor, data):
    return np.stack([forecast.samples for forecast in predictor.predict(data)])


@pytest.mark.usefixtures("empty_working_directory", "unchanged_global_random_state")
@pytest.mark.parametrize("inference", ["score", "map", "mc_dropout", "ensemble"])
def test_train_predict_save_and_load(name, inference, build, series, tmp_path) -> None:
    estimator = BayesianEstimator(
        build(name, dropout_rate=0.3), inference, num_draws=3, num_samples=9
    )
    assert estimator.describe()["network"] == name
    predictor = estimator.train(series, series if inference == "score" else None)
    assert np.isfinite(predictor.training_summary["train_loss"])
    samples = paths(predictor, series)
    assert samples.shape == (3, 9, 4)
    assert np.isfinite(samples).all()
    np.testing.assert_array_equal(samples, paths(predictor, series))
    forecast = next(iter(predictor.predict(series)))
    # A point estimate is one network; the others draw three.
    assert len(set(forecast.draw_index)) == (1 if inference == "map" else 3)
    tsbnn.save(predictor, tmp_path / "model")
    predictor.serialize(tmp_path)
    for again in (tsbnn.load(tmp_path / "model"), Predictor.deserialize(tmp_path)):
        np.testing.assert_array_equal(paths(again, series), samples)


def test_serde_and_training_from_an_earlier_posterior(name, build, series) -> None:
    estimator = load_json(dump_json(BayesianEstimator(build(name), num_draws=2)))
    old = estimator.train(series)
    assert np.isfinite(paths(estimator.train_from(old, series), series)).all()
    other = BayesianEstimator(build("deepar" if name != "deepar" else "transformer"))
    with pytest.raises(ValueError, match="is not the estimator's"):
        other.train_from(old, series)


def test_heads_without_a_likelihood_are_refused(name, build) -> None:
    for head in (QuantileOutput([0.1, 0.9]), ImplicitQuantileNetworkOutput("Real")):
        with pytest.raises(ValueError, match=r"distr_output=.*not a log-likelihood"):
            build(name, distr_output=head)
    # Alone, a network may be trained with it.
    weighted = build(name, distr_output=NormalOutput(beta=0.5))
    with pytest.raises(ValueError, match=r"NormalOutput\(beta=0.5\)"):
        BayesianEstimator(weighted)
