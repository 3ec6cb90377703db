"""The counterfactual of score VI with clipped gradients: what is clipped, and what is not."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.clipped import ClippedScoreVI
from tests.inference.scenarios import infer, linear_regression
from tsbnn.inference import IsotropicPrior, ProximalScoreVI

PRIOR = IsotropicPrior(1.0)


def test_gradients_that_are_short_enough_are_left_alone() -> None:
    methods = (ProximalScoreVI(prior=PRIOR), ClippedScoreVI(prior=PRIOR, max_norm=math.inf))
    # A target's minibatches go on where they were: each method has one of its own.
    plain, clipped = (infer(linear_regression(5, 500, 0), method, 100, 0) for method in methods)
    assert torch.equal(plain.posterior.mean, clipped.posterior.mean)
    assert torch.equal(plain.posterior.precision, clipped.posterior.precision)


@pytest.mark.parametrize("steps", [20, 100], ids=["warm start", "until the end"])
def test_what_moves_the_mean_is_no_longer_than_the_norm(steps: int) -> None:
    target = linear_regression(5, 500, 0)
    optimizer = infer(target, ClippedScoreVI(prior=PRIOR, max_norm=1e-3), steps, 0)
    _, second_moment = optimizer.gradient_moments()
    # The average of squared lengths, of which none is above the norm's.
    assert 0.0 < float(second_moment.sum()) <= 1.001e-6 * (1 - 0.999**optimizer.steps)
    if not optimizer.probing:
        # Curvature is measured from whole gradients: the data tell far more than the prior.
        assert float(optimizer.posterior.precision.min()) > 2.0
