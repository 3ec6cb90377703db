"""What Bayesian training refuses, with the reason and the way out; and what it counts."""

from __future__ import annotations

import logging
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.common import ListDataset
from gluonts.model.seasonal_naive import SeasonalNaivePredictor
from gluonts.torch import SimpleFeedForwardEstimator, TemporalFusionTransformerEstimator
from gluonts.torch.distributions import (
    DistributionOutput,
    GammaOutput,
    NegativeBinomialOutput,
    StudentTOutput,
)
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from tsbnn.forecasting import BayesianEstimator, settings
from tsbnn.forecasting.observed import count_observed
from tsbnn.forecasting.settings import plan_steps, trainer_settings
from tsbnn.inference import ELBOVI, MAP, Laplace, ProximalScoreVI


def test_a_quantile_head_is_refused_with_the_way_out() -> None:
    estimator = TemporalFusionTransformerEstimator(freq="h", prediction_length=4)
    with pytest.raises(ValueError, match=r"QuantileOutput.*distr_output=StudentTOutput\(\)"):
        BayesianEstimator(estimator)


def test_beta_weighted_likelihood_is_refused(tiny) -> None:
    with pytest.raises(ValueError, match=r"StudentTOutput\(beta=0.5\)"):
        BayesianEstimator(tiny("deepar", distr_output=StudentTOutput(beta=0.5)))


def test_weight_decay_is_refused_and_a_learning_rate_said_to_do_nothing(tiny) -> None:
    with pytest.raises(ValueError, match=r"weight_decay=0.01.*prior"):
        BayesianEstimator(tiny("deepar", weight_decay=0.01))
    BayesianEstimator(tiny("deepar", weight_decay=0.0))
    with pytest.warns(UserWarning, match=r"lr=0.02.*ProximalScoreVI\(learning_rate=0.02\)") as said:
        estimator = BayesianEstimator(tiny("deepar", lr=0.02))
    assert [warning.filename for warning in said] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert estimator.with_seed(1).with_seed(2).seed == 2


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (SeasonalNaivePredictor(4, 7), "SeasonalNaivePredictor"),
        ("deepar", "str"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_estimator_is_refused_in_words(given, name) -> None:
    with pytest.raises(TypeError, match=f"must be a GluonTS torch estimator .*, not {name}"):
        BayesianEstimator(given)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"gradient_clip_val": 10.0}, "gradient_clip_val=10.0.*inference='map'"),
        ({"precision": "16-mixed"}, "bf16-mixed"),
        ({"precision": 16}, "bf16-mixed"),
        ({"precision": "bf16-true"}, "bf16-mixed"),
        ({"accumulate_grad_batches": 2}, "batch_size"),
        ({"devices": 2}, "only one device"),
        ({"devices": [0, 1]}, "only one device"),
    ],
)
def test_trainer_settings_that_are_refused(kwargs, message, tiny, tmp_path) -> None:
    estimator = tiny("simple_feedforward", trainer_kwargs=kwargs)
    with pytest.raises(ValueError, match=message):
        trainer_settings(estimator, ProximalScoreVI(), tmp_path)


def test_the_default_clipping_is_dropped_and_said_once(tiny, tmp_path, caplog, monkeypatch) -> None:
    monkeypatch.setattr(settings, "_said", set())
    caplog.set_level(logging.INFO, "tsbnn")
    for _ in range(2):
        given = trainer_settings(tiny("deepar"), ProximalScoreVI(), tmp_path)
        assert "gradient_clip_val" not in given
    assert [record.message for record in caplog.records].count(caplog.records[0].message) == 1
    assert "gradient_clip_val=10.0 is dropped" in caplog.text
    assert trainer_settings(tiny("deepar"), MAP(), tmp_path)["gradient_clip_val"] == 10.0
    clipped = tiny("deepar", trainer_kwargs={"gradient_clip_val": 1.0})
    assert trainer_settings(clipped, MAP(), tmp_path)["gradient_clip_val"] == 1.0


def test_callbacks_are_copied_even_if_gluonts_has_popped_them(tiny, tmp_path) -> None:
    callback = EarlyStopping("train_loss")
    estimator = tiny("deepar", trainer_kwargs={"callbacks": [callback]})
    assert trainer_settings(estimator, MAP(), tmp_path)["callbacks"] == [callback]
    estimator.trainer_kwargs.pop("callbacks")
    again = trainer_settings(estimator, MAP(), tmp_path)
    assert again["callbacks"] == [callback]
    single = tiny("deepar", trainer_kwargs={"callbacks": callback})
    assert trainer_settings(single, MAP(), tmp_path)["callbacks"] == [callback]


def test_checkpoints_are_kept_only_where_a_folder_is_named(tiny, tmp_path) -> None:
    nowhere = trainer_settings(tiny("deepar"), MAP(), tmp_path)
    assert (nowhere["enable_checkpointing"], nowhere["callbacks"]) == (False, [])
    named = tiny("deepar", trainer_kwargs={"default_root_dir": str(tmp_path / "mine")})
    (kept,) = trainer_settings(named, MAP(), tmp_path)["callbacks"]
    assert isinstance(kept, ModelCheckpoint)
    assert kept.dirpath == str(tmp_path / "mine" / "checkpoints")
    homeless = tiny("deepar", trainer_kwargs={"callbacks": [ModelCheckpoint()]})
    with pytest.warns(UserWarning, match="give it a dirpath"):
        trainer_settings(homeless, MAP(), tmp_path)


@pytest.mark.parametrize(
    ("trainer", "batches", "steps"),
    [
        ({"max_epochs": 3}, 50, 150),
        ({"max_epochs": 3, "max_steps": 20}, 50, 20),
        ({"max_epochs": -1, "max_steps": 20}, 50, 20),
        ({"max_epochs": 3, "limit_train_batches": 10}, 50, 30),
        ({"max_epochs": 3, "overfit_batches": 10}, 50, 30),
        ({"max_epochs": 3, "limit_train_batches": 1.0}, 50, 150),
        ({"max_epochs": -1}, 50, None),
        ({"max_epochs": 3}, None, None),
        ({"fast_dev_run": True}, 50, 1),
    ],
)
def test_steps_to_come(trainer, batches, steps) -> None:
    assert plan_steps(dict(trainer), {}, batches, ProximalScoreVI(), None) == steps


def test_a_budget_of_gradient_evaluations_sets_the_steps() -> None:
    for method in (MAP(), ELBOVI(), ProximalScoreVI()):
        trainer = {"max_epochs": 100}
        steps = plan_steps(trainer, {}, 50, method, 1001)
        assert method.evaluations(steps) <= 1001 < method.evaluations(steps + 1)
        assert trainer == {"max_steps": steps, "max_epochs": math.ceil(steps / 50)}
    for batches, trainer in ((None, {}), (50, {"goes_on": True})):
        found: dict[str, object] = {}
        plan_steps(found, {}, batches, MAP(), 1001, **trainer)
        assert found == {"max_steps": 1001, "max_epochs": -1}
    for limit in ("limit_train_batches", "overfit_batches"):
        found = {limit: 10}
        plan_steps(found, {}, 50, MAP(), 1001)
        assert found["max_epochs"] == 101
    with pytest.raises(
        ValueError, match=r"gradient_evaluations=10 and trainer_kwargs .*max_epochs"
    ):
        plan_steps({}, {"max_epochs": 3}, 50, MAP(), 10)


def test_a_budget_below_one_step_is_refused_before_training(tiny) -> None:
    with pytest.raises(ValueError, match=r"less than one step of 'score' takes \(2\)"):
        BayesianEstimator(tiny("deepar"), "score", gradient_evaluations=1)
    message = (
        r"=120 is less than one step of 'laplace' \(1\) and the pass after its last step \(200\) "
        "take: give it 201 and what training needs, or a smaller last_pass"
    )
    with pytest.raises(ValueError, match=message):
        BayesianEstimator(tiny("deepar"), "laplace", gradient_evaluations=120)
    assert BayesianEstimator(tiny("deepar"), Laplace(last_pass=5), gradient_evaluations=6)
    assert BayesianEstimator(tiny("deepar"), "map", gradient_evaluations=1)


def test_observed_points_are_counted_once(series, multivariate) -> None:
    assert count_observed(series).points == 60 + 35 + 90 - 3 * 4
    assert count_observed(multivariate).points == 2 * 90 - 2 * 5
    infinite = ListDataset(
        [{"start": "2021-01-01", "target": [1.0, np.inf], "item_id": "north"}], freq="h"
    )
    with pytest.raises(ValueError, match="'north' has an infinite target at position 1"):
        count_observed(infinite)
    with pytest.raises(ValueError, match="'north' has no field 'target'"):
        count_observed([{"item_id": "north"}])
    with pytest.raises(ValueError, match="'north': target has no numbers"):
        count_observed([{"item_id": "north", "target": ["one", "two"]}])
    with pytest.raises(ValueError, match="no observed target"):
        count_observed(ListDataset([{"start": "2021-01-01", "target": [np.nan] * 3}], freq="h"))


@pytest.mark.parametrize(
    ("head", "value"),
    [(NegativeBinomialOutput(), 2.5), (NegativeBinomialOutput(), -3.0), (GammaOutput(), -1.0)],
)
def test_targets_that_the_head_cannot_describe_are_found_before_training(
    head: DistributionOutput, value: float
) -> None:
    start = pd.Period("2021", "h")
    fine = {"start": start, "target": np.array([0.0, np.nan, 3.0]), "item_id": "fine"}
    assert count_observed([fine], head=head).points == 2
    wrong = {"start": start, "target": np.array([0.0, np.nan, value]), "item_id": "wrong"}
    assert count_observed([fine, wrong]).points == 4
    with pytest.raises(
        ValueError, match=f"'wrong' has the target {value:g} at position 2, outside"
    ):
        count_observed([fine, wrong], head=head)


def test_series_too_short_for_a_window_count_for_nothing(tiny, series) -> None:
    some = [*series, {"start": pd.Period("2021", "h"), "target": np.ones(3), "item_id": "new"}]
    found = count_observed(some, 5)
    assert found == (count_observed(series).points, len(some), ["new"])
    only_short = count_observed(some[-1:], 5)
    assert only_short == (3, 1, []), "the loader says what is missing"
    estimator = tiny("deepar")
    with pytest.warns(UserWarning, match=r"learnt from 1 of 4 series: .* window takes \('new'\)"):
        predictor = BayesianEstimator(estimator, "map").train(some)
    assert predictor.training_summary["num_observations"] == found.points


def test_batch_normalisation_is_refused_by_posterior_methods(tiny, series) -> None:
    estimator = tiny("simple_feedforward", batch_norm=True, hidden_dimensions=[4, 4])
    assert isinstance(estimator, SimpleFeedForwardEstimator)
    with pytest.raises(ValueError, match="BatchNorm1d"):
        BayesianEstimator(estimator, "score").train(series)
