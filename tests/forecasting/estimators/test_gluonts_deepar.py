"""DeepAREstimator and GluonTS's: one network, fed with the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gluonts.dataset.common import ListDataset
from gluonts.torch import DeepAREstimator as GluontsDeepAREstimator
from gluonts.torch.distributions import GammaOutput, NegativeBinomialOutput, StudentTOutput
from gluonts.transform.sampler import UniformSplitSampler

from tsbnn import DeepAREstimator
from tsbnn.forecasting import window_losses
from tsbnn.forecasting.likelihood import prepared
from tsbnn.foreign.random_state import RandomStream
from tsbnn.inference import count_weights
from tsbnn.networks import from_gluonts

FEATURES = {
    "num_feat_dynamic_real": 2,
    "num_feat_static_real": 1,
    "num_feat_static_cat": 2,
    "cardinality": [3, 9],
}
CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "features": FEATURES,
    "sizes": {"num_layers": 3, "hidden_size": 7, "context_length": 11, "embedding_dimension": [3]},
    # Not less: gaps are two steps long, and contexts without a point are scaled otherwise here.
    "three steps of context": {"context_length": 3, "lags_seq": [1, 5]},
    "unscaled": {"scaling": False, "distr_output": NegativeBinomialOutput()},
    "default scale": {"default_scale": 2.0, "time_features": []},
    "gamma": {"distr_output": GammaOutput()},
}


@pytest.fixture(scope="module")
def data() -> ListDataset:
    rng = np.random.default_rng(5)
    entries = []
    for number, length in enumerate([5, 45, 60]):
        target = rng.gamma(3.0, size=length).round(2) + 1.0
        target = np.round(target)
        target[length // 2 : length // 2 + 2] = np.nan
        entries.append(
            {
                "start": "2021-01-01",
                "target": target,
                "feat_static_cat": [number, 8 - number],
                "feat_static_real": [0.5 * number],
                "feat_dynamic_real": rng.normal(size=(2, length)),
            }
        )
    return ListDataset(entries, freq="D")


def windows(estimator, module, data) -> list[dict[str, torch.Tensor]]:
    transformed = estimator.create_transformation().apply(data, is_train=True)
    batches = estimator.create_validation_data_loader(transformed, module)
    return [prepared(batch, module.model) for batch in batches]


@pytest.mark.parametrize("case", CASES)
def test_the_same_network_on_the_same_numbers(case, data) -> None:
    def build(cls, **more):
        sampler = UniformSplitSampler(p=0.5, min_future=3)
        arguments = {"prediction_length": 3, "validation_sampler": sampler, **CASES[case], **more}
        estimator = cls(freq="D", **arguments)
        with RandomStream(1).active():
            module = estimator.create_lightning_module()
            return module.model.eval(), windows(estimator, module, data)

    theirs, their_batches = build(GluontsDeepAREstimator)
    initial, our_batches = build(DeepAREstimator, age_feature=True)
    assert count_weights(initial) == count_weights(theirs)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(initial.state_dict()[name], value, rtol=0, atol=0)
    ours = from_gluonts(theirs).eval()
    assert len(our_batches) == len(their_batches) > 1
    with torch.no_grad():
        for mine, other in zip(our_batches, their_batches, strict=True):
            for name, value in other.items():
                torch.testing.assert_close(mine[name], value, rtol=0, atol=0)
            expected = window_losses(theirs, other)
            for network in (ours, initial):
                found = window_losses(network, mine)
                torch.testing.assert_close(found.total, expected.total, rtol=1e-5, atol=1e-5)
                torch.testing.assert_close(found.observed, expected.observed)


def test_heads_stay_what_they_are(data) -> None:
    """The shared default of the arguments is never changed."""
    for cls in (DeepAREstimator, GluontsDeepAREstimator):
        assert repr(cls(freq="D", prediction_length=3).distr_output) == repr(StudentTOutput())


def test_weights_of_a_trained_gluonts_deepar_forecast_the_same(data) -> None:
    """Two thousand paths of both have the same quantiles, up to sampling."""
    quiet = {"max_epochs": 1, "enable_progress_bar": False, "enable_model_summary": False}
    settings = {"freq": "D", "prediction_length": 3, "num_batches_per_epoch": 20}
    with RandomStream(2).active():
        estimator = DeepAREstimator(**settings, trainer_kwargs=quiet).adapted_to(data)
        settings |= {"lags_seq": estimator.lags_seq, "time_features": estimator.time_features}
        predictor = estimator.train(data)
        theirs = GluontsDeepAREstimator(**settings)
        module = theirs.create_lightning_module()
        module.model.load_state_dict(predictor.network.model.state_dict())
        twin = theirs.create_predictor(theirs.create_transformation(), module)
        samples = [
            np.stack([f.samples for f in p.predict(data, num_samples=2000)])
            for p in (predictor, twin)
        ]
    ours, others = (np.quantile(each, [0.1, 0.5, 0.9], axis=1) for each in samples)
    width = (ours[2] - ours[0]).mean()
    np.testing.assert_allclose(ours, others, atol=0.12 * width)
