"""Sets of kept weight vectors: streamed moments, thinning, balanced draws."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from tsbnn.inference import SampleSet, posterior_from_config

STATES = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)) + 5.0


def recorded(capacity: int, spacing: int = 1) -> SampleSet:
    posterior = SampleSet.empty(torch.zeros(3), capacity, spacing)
    for state in STATES:
        posterior.record_(state)
    return posterior


def test_moments_are_those_of_all_states() -> None:
    posterior = recorded(4)
    assert posterior.num_states == 40
    torch.testing.assert_close(posterior.mean, STATES.mean(0))
    torch.testing.assert_close(posterior.variance, STATES.var(0, correction=0))


@pytest.mark.parametrize(("capacity", "spacing"), [(1, 32), (4, 16), (5, 8), (40, 1), (39, 2)])
def test_kept_vectors_lie_at_multiples_of_the_spacing(capacity: int, spacing: int) -> None:
    posterior = recorded(capacity)
    assert posterior.spacing == spacing
    assert torch.equal(posterior.kept, STATES[spacing - 1 :: spacing])
    assert torch.equal(
        posterior.samples[posterior.count :], torch.zeros(capacity - posterior.count, 3)
    )


def test_an_empty_set_is_a_point() -> None:
    posterior = SampleSet.empty(STATES[0], 3)
    assert posterior.num_atoms == 1
    assert torch.equal(posterior.sample(2), STATES[0].repeat(2, 1))
    assert torch.equal(posterior.variance, torch.zeros(3))


@pytest.mark.parametrize("n", [1, 3, 7, 10, 23])
def test_draws_do_not_repeat_before_all_are_used(n: int) -> None:
    posterior = SampleSet(STATES[:10])
    for seed in range(20):
        draws = posterior.sample(n, torch.Generator().manual_seed(seed))
        times = (draws[:, None] == STATES[None, :10]).all(2).sum(0)
        assert int(times.sum()) == n
        assert int(times.max()) <= -(-n // 10)
        assert int(times.min()) >= n // 10


def test_single_draws_reach_every_vector() -> None:
    posterior, generator = SampleSet(STATES[:5]), torch.Generator().manual_seed(0)
    seen = {float(posterior.sample(1, generator)[0, 0]) for _ in range(100)}
    assert len(seen) == 5


def test_members_changed_in_place_are_refreshed() -> None:
    posterior = SampleSet(STATES[:5].clone())
    posterior.samples.mul_(2.0)
    posterior.refresh_()
    torch.testing.assert_close(posterior.mean, 2.0 * STATES[:5].mean(0))
    torch.testing.assert_close(posterior.variance, 4.0 * STATES[:5].var(0, correction=0))


def test_config_and_state_round_trip() -> None:
    posterior = recorded(6)
    restored = posterior_from_config(json.loads(json.dumps(posterior.to_config())))
    restored.load_state_dict(posterior.state_dict())
    assert isinstance(restored, SampleSet)
    assert restored.count == posterior.count
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    assert torch.equal(restored.sample(4, generators[0]), posterior.sample(4, generators[1]))
    for one in (restored, posterior):
        one.record_(STATES[0])
    assert torch.equal(restored.mean, posterior.mean)


def test_a_change_of_dtype_keeps_the_counts() -> None:
    posterior = copy.deepcopy(recorded(6)).to(torch.bfloat16)
    assert posterior.mean.dtype == posterior.samples.dtype == torch.bfloat16
    assert posterior.num_states == 40


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"capacity x num_weights .* not of shape \(3,\)"):
        SampleSet(torch.zeros(3))
    with pytest.raises(ValueError, match="no density"):
        SampleSet(STATES).log_prob(STATES)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_counts_stay_on_the_cpu() -> None:
    posterior = recorded(6).cuda()
    assert posterior.samples.is_cuda
    assert not posterior.counters.is_cuda
    posterior.record_(STATES[0].cuda())
    assert posterior.sample(3, torch.Generator().manual_seed(0)).is_cuda
