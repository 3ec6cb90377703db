"""From a series to the fields of our networks: statics, calendar, age, covariates, gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gluonts.dataset.field_names import FieldName
from gluonts.transform import (
    AddAgeFeature,
    AddConstFeature,
    AddObservedValuesIndicator,
    AddTimeFeatures,
    AsNumpyArray,
    Chain,
    RemoveFields,
    RenameFields,
    SelectFields,
    SetField,
    Transformation,
    VstackFeatures,
)

from tsbnn.forecasting.estimators.check_fields import CheckFields

if TYPE_CHECKING:
    from tsbnn.forecasting.estimators.base import NetworkEstimator

_READ = [
    FieldName.ITEM_ID,
    FieldName.INFO,
    FieldName.START,
    FieldName.TARGET,
    FieldName.FEAT_STATIC_CAT,
    FieldName.FEAT_STATIC_REAL,
    FieldName.FEAT_DYNAMIC_REAL,
    FieldName.PAST_FEAT_DYNAMIC_REAL,
]


def transformation(estimator: NetworkEstimator) -> Transformation:
    """Build GluonTS's transformation of its DeepAR, with checks before it and past covariates.

    The fields that come out are ``target``, ``observed_values``, ``feat_static_cat``,
    ``feat_static_real``, ``time_feat`` (calendar, age or 0, known covariates) and, if there are
    past covariates, these as ``feat_dynamic_real``: the splitter puts ``past_`` before the names
    of what it cuts.
    """
    known = [FieldName.FEAT_DYNAMIC_REAL] if estimator.num_feat_dynamic_real else []
    past = [FieldName.PAST_FEAT_DYNAMIC_REAL] if estimator.num_past_feat_dynamic_real else []
    unused = {FieldName.FEAT_DYNAMIC_REAL, FieldName.PAST_FEAT_DYNAMIC_REAL} - {*known, *past}
    steps: list[Transformation] = [
        SelectFields(_READ, allow_missing=True),
        CheckFields(
            prediction_length=estimator.prediction_length,
            num_feat_dynamic_real=estimator.num_feat_dynamic_real,
            num_past_feat_dynamic_real=estimator.num_past_feat_dynamic_real,
            num_feat_static_real=estimator.num_feat_static_real,
            cardinality=estimator.cardinality if estimator.num_feat_static_cat else [],
            freq=estimator.freq,
        ),
        RemoveFields(field_names=sorted(unused)),
    ]
    if not estimator.num_feat_static_cat:
        steps.append(SetField(output_field=FieldName.FEAT_STATIC_CAT, value=[0]))
    if not estimator.num_feat_static_real:
        steps.append(SetField(output_field=FieldName.FEAT_STATIC_REAL, value=[0.0]))
    steps += [
        AsNumpyArray(field=FieldName.FEAT_STATIC_CAT, expected_ndim=1, dtype=int),
        AsNumpyArray(field=FieldName.FEAT_STATIC_REAL, expected_ndim=1),
        AsNumpyArray(field=FieldName.TARGET, expected_ndim=1),
        AddObservedValuesIndicator(
            target_field=FieldName.TARGET,
            output_field=FieldName.OBSERVED_VALUES,
            imputation_method=estimator.imputation_method,
        ),
        AddTimeFeatures(
            start_field=FieldName.START,
            target_field=FieldName.TARGET,
            output_field=FieldName.FEAT_TIME,
            time_features=estimator.time_features,
            pred_length=estimator.prediction_length,
        ),
        _age(estimator),
        VstackFeatures(
            output_field=FieldName.FEAT_TIME,
            input_fields=[FieldName.FEAT_TIME, FieldName.FEAT_AGE, *known],
        ),
        AsNumpyArray(FieldName.FEAT_TIME, expected_ndim=2),
    ]
    if past:
        steps += [
            RenameFields({FieldName.PAST_FEAT_DYNAMIC_REAL: FieldName.FEAT_DYNAMIC_REAL}),
            AsNumpyArray(FieldName.FEAT_DYNAMIC_REAL, expected_ndim=2),
        ]
    return Chain(steps)


def _age(estimator: NetworkEstimator) -> Transformation:
    place: dict[str, Any] = {
        "target_field": FieldName.TARGET,
        "output_field": FieldName.FEAT_AGE,
        "pred_length": estimator.prediction_length,
    }
    if estimator.age_feature:
        return AddAgeFeature(**place, log_scale=True)
    return AddConstFeature(**place, const=0.0)
