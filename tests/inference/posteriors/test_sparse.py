"""The sparse Gaussian: dense moments and draws from what few active weights say."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from tsbnn.inference import SparseGaussian, posterior_from_config

INDEX = torch.tensor([1, 4, 5], dtype=torch.int32)
MEAN = torch.tensor([0.5, -1.0, 2.0])
PRECISION = torch.tensor([4.0, torch.inf, 0.25])


def posterior() -> SparseGaussian:
    return SparseGaussian(7, INDEX.clone(), MEAN.clone(), PRECISION.clone())


def test_moments_are_zero_where_no_weight_is_active() -> None:
    q = posterior()
    assert (q.num_weights, q.num_active) == (7, 3)
    assert q.mean.tolist() == [0.0, 0.5, 0.0, 0.0, -1.0, 2.0, 0.0]
    assert q.variance.tolist() == [0.0, 0.25, 0.0, 0.0, 0.0, 4.0, 0.0]
    assert q.active.tolist() == [False, True, False, False, True, True, False]


def test_draws_have_the_moments_and_exact_zeros() -> None:
    q = posterior()
    draws = q.sample(20_000, torch.Generator().manual_seed(0))
    assert draws.shape == (20_000, 7)
    assert bool((draws[:, [0, 2, 3, 6]] == 0).all())
    assert bool((draws[:, 4] == -1).all())
    torch.testing.assert_close(draws.mean(0), q.mean, atol=0.05, rtol=0.0)
    torch.testing.assert_close(draws.var(0), q.variance, atol=0.0, rtol=0.05)


def test_density_is_that_of_the_active_weights_with_a_spread() -> None:
    weights = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    expected = Normal(0.5, 0.5).log_prob(weights[..., 1]) + Normal(2.0, 2.0).log_prob(
        weights[..., 5]
    )
    torch.testing.assert_close(posterior().log_prob(weights), expected)
    entropy = Normal(0.5, 0.5).entropy() + Normal(2.0, 2.0).entropy()
    torch.testing.assert_close(posterior().entropy(), entropy)


def test_config_and_state_restore_it_and_conversions_keep_the_index() -> None:
    q = posterior().double()
    assert q.mean.dtype == torch.float64
    assert q.index.dtype == torch.int32
    other = posterior_from_config(q.to_config())
    assert isinstance(other, SparseGaussian)
    other.load_state_dict(q.state_dict())
    assert torch.equal(
        other.sample(2, torch.Generator().manual_seed(1)).ne(0), q.active.expand(2, 7)
    )
    torch.testing.assert_close(other.double().mean, q.mean)


def test_a_module_runs_at_a_draw() -> None:
    module = nn.Linear(6, 1)
    before = module.weight.detach().clone()
    with posterior().drawn(module, torch.Generator().manual_seed(0)):
        assert bool((module.weight[0, [0, 2, 3]] == 0).all())
        assert module.weight[0, 1].item() != 0.0
    assert torch.equal(module.weight, before)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (torch.tensor([1, 2]), r"vectors of one length, not \(2,\), \(3,\) and \(3,\)"),
        (torch.tensor([1, 2, 7]), "indices must lie from 0 to 6, not from 1 to 7"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(index: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SparseGaussian(7, index, MEAN, PRECISION)
