"""Evaluation: scores and calibration on arrays, baselines, backtests that keep labels hidden."""

from __future__ import annotations

from tsbnn.evaluation.backtest import backtest
from tsbnn.evaluation.baselines import gluonts_deepar
from tsbnn.evaluation.calibration import (
    Coverage,
    PITDeviation,
    central_interval,
    coverage,
    pit,
    pit_deviation,
    pit_histogram,
    reliability_curve,
)
from tsbnn.evaluation.naive import SeasonalNaiveGaussian, SeasonalNaiveGaussianPredictor
from tsbnn.evaluation.ranks import RankComparison, compare_ranks
from tsbnn.evaluation.result import Backtest, BacktestError
from tsbnn.evaluation.scores import (
    crps,
    crps_ensemble,
    energy_score,
    interval_score,
    mase,
    mean_wql,
    nd,
    normalised_crps,
    quantile_loss,
    rmse,
    sample_quantile,
    seasonal_error,
)
from tsbnn.evaluation.selective import SelectiveScores, selective_scores
from tsbnn.evaluation.statistics import (
    PairedDifference,
    coverage_intervals,
    paired_difference,
    paired_differences,
)
from tsbnn.evaluation.stored_scores import StoredScores

__all__ = [
    "Backtest",
    "BacktestError",
    "Coverage",
    "PITDeviation",
    "PairedDifference",
    "RankComparison",
    "SeasonalNaiveGaussian",
    "SeasonalNaiveGaussianPredictor",
    "SelectiveScores",
    "StoredScores",
    "backtest",
    "central_interval",
    "compare_ranks",
    "coverage",
    "coverage_intervals",
    "crps",
    "crps_ensemble",
    "energy_score",
    "gluonts_deepar",
    "interval_score",
    "mase",
    "mean_wql",
    "nd",
    "normalised_crps",
    "paired_difference",
    "paired_differences",
    "pit",
    "pit_deviation",
    "pit_histogram",
    "quantile_loss",
    "reliability_curve",
    "rmse",
    "sample_quantile",
    "seasonal_error",
    "selective_scores",
]
