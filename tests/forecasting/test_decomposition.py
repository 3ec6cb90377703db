"""The analysis of variance over draws: right on average, right errors, NaN where it cannot know."""

from __future__ import annotations

import numpy as np
import pytest

from tsbnn.forecasting.decomposition import decompose_moments, decompose_samples

STEPS = 1000


def planted(share: float, index: np.ndarray, seed: int) -> np.ndarray:
    """Paths of total variance 1 of which `share` lies between draws."""
    rng = np.random.default_rng(seed)
    draws = rng.normal(scale=np.sqrt(share), size=(index.max() + 1, STEPS))
    return draws[index] + rng.normal(scale=np.sqrt(1 - share), size=(len(index), STEPS))


LAYOUTS = {
    "20 draws of 5": np.repeat(np.arange(20), 5),
    "11 of 5 and 9 of 4": np.repeat(np.arange(20), [5] * 11 + [4] * 9),
    "10 of 2 and 10 of 1": np.repeat(np.arange(20), [2] * 10 + [1] * 10),
}


@pytest.mark.parametrize("index", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_planted_shares_are_recovered(share: float, index: np.ndarray) -> None:
    parts = decompose_samples(planted(share, index, seed=3), index)
    errors = parts.epistemic - share
    # Averages over 1,000 independent steps: within three standard errors, and those are right.
    assert abs(errors.mean()) < 3 * errors.std() / np.sqrt(STEPS)
    assert abs((parts.aleatoric - (1 - share)).mean()) < 3 * parts.aleatoric.std() / np.sqrt(STEPS)
    # Mean square of the claimed standard error against the variance that there is.
    assert np.mean(parts.epistemic_se**2) == pytest.approx(errors.var(), rel=0.15)
    np.testing.assert_allclose(parts.total, parts.epistemic + parts.aleatoric)


def test_no_weight_uncertainty_shows_as_none_on_average() -> None:
    index = np.repeat(np.arange(20), 5)
    parts = decompose_samples(planted(0.0, index, seed=11), index)
    assert abs(np.mean(parts.epistemic) / np.mean(parts.total)) < 0.01
    assert (parts.epistemic < 0).mean() > 0.3, "an estimate floored at 0 could not average to 0"


def test_balanced_case_is_the_textbook_formula() -> None:
    index = np.repeat(np.arange(4), 3)
    paths = np.random.default_rng(0).normal(size=(12, 5))
    grouped = paths.reshape(4, 3, 5)
    within = grouped.var(axis=1, ddof=1).mean(axis=0)
    parts = decompose_samples(paths, index)
    np.testing.assert_allclose(parts.aleatoric, within)
    np.testing.assert_allclose(
        parts.epistemic, grouped.mean(axis=1).var(axis=0, ddof=1) - within / 3
    )


def test_order_of_paths_and_names_of_draws_do_not_matter() -> None:
    index = np.repeat(np.arange(6), [3, 3, 2, 2, 2, 2])
    paths = planted(0.5, index, seed=1)
    order = np.random.default_rng(2).permutation(len(index))
    for a, b in zip(
        decompose_samples(paths, index),
        decompose_samples(paths[order], 100 - 7 * index[order]),
        strict=True,
    ):
        np.testing.assert_allclose(a, b)


def test_large_means_cost_no_precision() -> None:
    index = np.repeat(np.arange(20), 5)
    paths = planted(0.5, index, seed=4)
    near, far = decompose_samples(paths, index), decompose_samples(paths + 1e6, index)
    np.testing.assert_allclose(far.epistemic, near.epistemic, atol=1e-6)


def test_unknown_parts_are_nan() -> None:
    paths = np.random.default_rng(0).normal(size=(6, 2))
    lonely = decompose_samples(paths, np.arange(6))
    assert np.isnan(lonely.epistemic).all()
    assert np.isnan(lonely.aleatoric).all()
    np.testing.assert_allclose(lonely.total, paths.var(axis=0, ddof=1))
    single = decompose_samples(paths, np.zeros(6, int))
    assert np.isnan(single.epistemic).all()
    np.testing.assert_allclose(single.aleatoric, paths.var(axis=0, ddof=1))


@pytest.mark.parametrize("num_draws", [5, 8])
@pytest.mark.parametrize("scale", [0.0, 0.2, 1.0])
def test_of_finitely_many_atoms_the_variance_is_theirs(num_draws: int, scale: float) -> None:
    rng = np.random.default_rng(7)
    atoms = scale * rng.normal(size=8)
    drawn = rng.permuted(np.broadcast_to(atoms, (STEPS, 8)), axis=1)[:, :num_draws].T
    index = np.repeat(np.arange(num_draws), 5)
    paths = drawn[index] + rng.normal(size=(len(index), STEPS))
    parts = decompose_samples(paths, index, num_atoms=8)
    errors = parts.epistemic - atoms.var()
    assert abs(errors.mean()) < 3 * errors.std() / np.sqrt(STEPS)
    assert np.mean(parts.epistemic_se**2) == pytest.approx(errors.var(), rel=0.25)
    exact = decompose_moments(drawn, np.ones_like(drawn), num_atoms=8)
    assert exact.epistemic.mean() == pytest.approx(atoms.var(), rel=0.05)
    if num_draws == 8:
        np.testing.assert_allclose(exact.epistemic, atoms.var())
        np.testing.assert_array_equal(exact.epistemic_se, 0.0)


def test_of_one_atom_nothing_is_epistemic() -> None:
    paths = np.random.default_rng(0).normal(size=(6, 2))
    point = decompose_samples(paths, np.zeros(6, int), num_atoms=1)
    np.testing.assert_array_equal(point.epistemic, 0.0)
    np.testing.assert_allclose(point.total, paths.var(axis=0, ddof=1))
    with pytest.raises(ValueError, match="6 draws of a posterior of num_atoms=5"):
        decompose_samples(paths, np.arange(6), num_atoms=5)


def test_exact_moments_need_no_correction_for_paths() -> None:
    means = np.random.default_rng(0).normal(size=(20, STEPS))
    variances = np.full((20, STEPS), 4.0)
    parts = decompose_moments(means, variances)
    np.testing.assert_allclose(parts.epistemic, means.var(axis=0, ddof=1))
    np.testing.assert_allclose(parts.aleatoric, 4.0)
    assert np.mean(parts.epistemic_se**2) == pytest.approx(parts.epistemic.var(), rel=0.15)
