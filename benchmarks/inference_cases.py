"""The table of benchmarks.inference: which method is run on which target and held to what.

Settings were chosen on seed 100 (`python -m benchmarks.inference --tune METHOD ...`), the table's
seeds are 0 to 4. What is not here is a method's default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.inference.scenarios import (
    Target,
    correlated_gaussian,
    linear_regression,
    logistic_regression,
    low_rank_gaussian,
    two_modes,
    without_noise,
)

# Targets by name. Minibatches of 32, except where the name says otherwise.
SCENARIOS: dict[str, Callable[[int], Target]] = {
    "regression": lambda s: linear_regression(20, 10_000, s),
    "regression, standardised": lambda s: linear_regression(
        10, 10_000, s, batch_size=128, standardised=True
    ),
    "Gaussian D=20 condition 100": lambda s: correlated_gaussian(20, 100, s),
    "Gaussian D=5 condition 25": lambda s: correlated_gaussian(5, 25, s),
    "Gaussian diagonal + rank 3": lambda s: low_rank_gaussian(20, 3, s),
    "logistic regression": logistic_regression,
    "logistic regression, no noise": lambda s: without_noise(logistic_regression(s)),
    "two modes": lambda s: two_modes(3, s),
    "two modes, near": lambda s: two_modes(3, s, separation=4.0),
}


@dataclass(frozen=True)
class Case:
    """One line of the table: what is run where, and which figure is held to what.

    ``against`` is ``"mean field"``, ``"posterior"`` or ``"modes"``; ``held`` names the column that
    must not exceed ``tolerance``. See :func:`benchmarks.inference.figures`.
    """

    scenario: str
    label: str
    minibatches: int
    settings: dict[str, Any]
    against: str
    held: str
    tolerance: float

    @property
    def method(self) -> str:
        """Name of the method: the first word of the label."""
        return self.label.split(",")[0]


def cases() -> list[Case]:
    """Lay the table out: scenario, label (its first word the method), minibatches, settings."""
    table = []

    def add(scenario: str, against: str, held: str, tolerance: float, lines: list[Any]) -> None:
        for label, minibatches, settings, *other in lines:
            limit = other[0] if other else tolerance
            table.append(Case(scenario, label, minibatches, settings, against, held, limit))

    calm = {"warm_start": 0.0}
    pairs = {**calm, "antithetic": True, "scale_learning_rate": 3e-3}
    low_rank, mixture = {"family": "low_rank"}, {"family": "mixture"}
    chain = {"warm_start": 0.1, "burn_in": 0.1, "num_samples": 4_000}
    # Mean-field methods against the best mean-field Gaussian: the worst of all sds.
    add(
        "regression",
        "mean field",
        "sd_error_max",
        0.10,
        [
            ("score", 5_000, {}),
            ("elbo", 5_000, pairs),
            ("elbo_natural", 5_000, {}),
            ("alpha, 0.5", 5_000, {"alpha": 0.5}),
            ("alpha, 1", 5_000, {"alpha": 1.0}),
            (
                "ssvi, density 1",
                10_000,
                {**calm, "density": 1.0, "scale_learning_rate": 3e-3},
                0.25,
            ),
            ("laplace", 1_500, {"last_pass": 2_000, "learning_rate": 2e-2}, 0.15),
        ],
    )
    add(
        "Gaussian D=20 condition 100",
        "mean field",
        "sd_error_max",
        0.10,
        [
            ("score", 10_000, {}),
            ("elbo", 10_000, {**calm, "scale_learning_rate": 3e-3}),
            ("elbo_natural", 5_000, {}),
            ("alpha, 0.5", 5_000, {"alpha": 0.5}),
            ("alpha, 1", 5_000, {"alpha": 1.0}),
            ("ssvi, density 1", 10_000, {**calm, "density": 1.0, "scale_learning_rate": 3e-3}),
        ],
    )
    add(
        "logistic regression",
        "mean field",
        "sd_error_max",
        0.10,
        [
            ("score", 5_000, {}),
            ("elbo", 5_000, pairs),
            ("elbo_natural", 5_000, {}),
            ("alpha, 0.5", 5_000, {"alpha": 0.5}),
            ("alpha, 1", 5_000, {"alpha": 1.0}),
            (
                "ssvi, density 1",
                10_000,
                {**calm, "density": 1.0, "scale_learning_rate": 3e-3},
                0.25,
            ),
        ],
    )
    # Low rank: how much of the way from the best mean field to the best low rank is left.
    for scenario, rank in (("Gaussian diagonal + rank 3", 3), ("Gaussian D=20 condition 100", 5)):
        settings = {**low_rank, "rank": rank}
        add(
            scenario,
            "posterior",
            "gap_left",
            0.20,
            [
                ("score, low rank", 10_000, settings),
                ("elbo, low rank", 10_000, {**settings, **calm, "scale_learning_rate": 3e-3}),
            ],
        )
    add(
        "logistic regression",
        "posterior",
        "sd_error_max",
        0.15,
        [
            ("score, low rank", 10_000, low_rank),
            ("elbo, low rank", 10_000, {**low_rank, **pairs}),
        ],
    )
    # Full Gaussians by score matching: exact gradients only.
    add(
        "Gaussian D=5 condition 25",
        "posterior",
        "covariance_error",
        0.01,
        [
            ("bam", 100, {**calm, "decaying": False}),
            ("gsm", 400, calm),
        ],
    )
    add(
        "logistic regression, no noise",
        "posterior",
        "sd_error_max",
        0.10,
        [
            ("bam", 1_000, calm),
            ("gsm", 2_000, {**calm, "learning_rate": 0.02}, 0.20),
        ],
    )
    add(
        "regression, standardised",
        "posterior",
        "covariance_error",
        0.25,
        [("laplace, full", 1_500, {"structure": "full", "last_pass": 2_000})],
    )
    # Chains: exact gradients against the whole covariance, minibatches against marginal sds.
    add(
        "Gaussian D=5 condition 25",
        "posterior",
        "covariance_error",
        0.20,
        [
            ("sgld", 60_000, {**chain, "learning_rate": 0.8}),
            ("psgld", 60_000, chain),
            ("sghmc", 60_000, {**chain, "learning_rate": 4.0}),
            ("cyclical", 60_000, chain),
        ],
    )
    rate = 2.5e-3
    add(
        "regression, standardised",
        "posterior",
        "sd_error_max",
        0.20,
        [
            ("sgld", 60_000, {**chain, "learning_rate": rate}),
            ("psgld", 60_000, {**chain, "learning_rate": rate}),
            ("sghmc", 60_000, {**chain, "learning_rate": rate}),
            ("sghmc, noise estimate", 60_000, {**chain, "learning_rate": rate}),
            ("cyclical", 60_000, {**chain, "learning_rate": 2 * rate}),
        ],
    )
    # Too large steps on purpose: what half of them takes off the excess is in the summary.
    for name in ("sgld", "sghmc"):
        for part, share in (("wide step", 1.0), ("half of it", 0.5)):
            settings = {**chain, "learning_rate": 1.5e-2 * share}
            line = (f"{name}, {part}", 30_000, settings)
            add("regression, standardised", "posterior", "mean_error", 0.2, [line])
    add(
        "logistic regression",
        "posterior",
        "sd_error_max",
        0.20,
        [
            ("sgld", 100_000, {**chain, "learning_rate": 0.02}),
            ("psgld", 100_000, {**chain, "learning_rate": 0.02}),
            ("sghmc", 100_000, {**chain, "learning_rate": 0.02}),
            ("cyclical", 100_000, {**chain, "learning_rate": 0.04}),
        ],
    )
    # Several modes: their shares; and for one Gaussian, the mode that it found.
    add(
        "two modes",
        "modes",
        "share_error",
        0.10,
        [
            ("score, mixture", 4_000, {**mixture, "num_components": 4}),
            ("elbo, mixture", 4_000, {**mixture, **calm, "num_components": 4}),
        ],
    )
    add(
        "two modes, near",
        "modes",
        "share_error",
        0.10,
        [
            ("sgld", 100_000, {**chain, "learning_rate": 5.0}),
            ("psgld", 100_000, chain),
            ("sghmc", 100_000, {**chain, "learning_rate": 5.0}),
        ],
    )
    add(
        "two modes",
        "modes",
        "modes_missed",
        0.0,
        [
            ("cyclical", 40_000, {**chain, "cycles": 20}),
            ("ensemble", 1_000, {"num_members": 10, "learning_rate": 2e-2}),
        ],
    )
    add(
        "two modes",
        "modes",
        "sd_error_max",
        0.10,
        [
            ("score", 2_000, {}),
            ("elbo", 4_000, {**calm, "scale_learning_rate": 3e-3}),
            ("elbo_natural", 2_000, {}),
            ("bam", 500, calm, 0.20),
            ("gsm", 1_000, calm, 0.20),
        ],
    )
    # Methods that know a mode and no spread, or another spread than the posterior's.
    add(
        "regression",
        "mean field",
        "mean_error",
        1.0,
        [
            ("map", 5_000, {}),
            ("ensemble", 5_000, {"num_members": 3}),
            ("swag", 5_000, {}),
        ],
    )
    return table


CASES = cases()

# Why a method has no row on a target.
REASONS = {
    "bam, gsm: minibatches": "biased by their noise, as benchmarks.minibatch_noise shows",
    "bam, gsm: D=20, condition 100": "nothing that D=5 does not show",
    "map: sds": "a point has none; its mean is held to the answer",
    "ensemble, swag: sds": "their spread is that of starts and of the optimizer's path: means are "
    "held to the answer, sds stand in the table as found",
    "mc_dropout": "its spread is set by the dropout rate, and a bare vector has no inputs to drop: "
    "tests/inference/test_mc_dropout.py holds it to the moments of its masks",
    "laplace: logistic regression": "its answer is the curvature at the mode, which is half an sd "
    "off the mean: tests/inference/test_laplace.py holds it to that",
    "laplace: Gaussians, two modes": "no observations there whose gradients could vary",
    "chains: regression": "feature scales from 0.1 to 3.2 are a condition of 1,000: no budget here "
    "lets a chain forget its start. Standardised features instead",
    "chains: two modes 6 sds apart": "a chain crosses too seldom for shares: 4 sds instead",
    "cyclical: shares of modes": "cycles find modes, and weigh them by basins of attraction",
    "ssvi: density below 1": "no known answer; benchmarks.sparse holds it to dense VI",
}
