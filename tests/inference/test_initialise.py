"""New initialisations: the layers' own, elsewhere the prior's, and nothing else is touched."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tests.inference.scenarios import gather
from tsbnn.inference import CentredPrior, FanInPrior, IsotropicPrior, Prior
from tsbnn.inference.flat import FlatWeights, slots
from tsbnn.inference.initialise import fresh_weights


class Bare(nn.Module):
    """A parameter of its own beside layers of torch; a tied, a frozen one, and running statistics.

    ``reset_parameters`` of the last two layers must not reach the caller.
    """

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.full((50, 40), 7.0))
        self.encoder = nn.Linear(20, 20, bias=False)
        self.decoder = nn.Linear(20, 20)
        self.decoder.weight = self.encoder.weight
        self.frozen = nn.Linear(3, 3).requires_grad_(False)
        self.norm = nn.BatchNorm1d(5)
        self.norm.running_mean.fill_(4.0)


def fresh(module: nn.Module, seed: int = 0, prior: Prior | None = None) -> Tensor:
    resolved = (prior or FanInPrior()).resolve(slots(module), gather(module))
    return fresh_weights(module, resolved, torch.Generator().manual_seed(seed))


def built(make, seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(40, 30),
        lambda: nn.LSTM(10, 20, num_layers=2),
        lambda: nn.MultiheadAttention(32, 4),
        lambda: nn.Conv1d(8, 16, 5),
        lambda: nn.Embedding(50, 20),
        lambda: nn.TransformerEncoderLayer(16, 4, 32),
    ],
    ids=["linear", "lstm", "attention", "convolution", "embedding", "encoder"],
)
def test_layers_of_torch_start_as_torch_starts_them(
    make, unchanged_global_random_state: None
) -> None:
    module = built(make, 0)
    drawn = fresh(module)
    for slot in slots(module):
        here, there = slot.view(drawn), slot.parameter.detach()
        if there.numel() >= 200:
            assert not torch.equal(here, there)
            assert float(here.std() / there.std()) == pytest.approx(1.0, abs=0.25)
            assert float(here.abs().max() / there.abs().max()) == pytest.approx(1.0, abs=0.25)
        elif bool((there == there.reshape(-1)[0]).all()):
            assert torch.equal(here, there)


def test_a_parameter_without_a_reset_comes_from_its_prior() -> None:
    module = built(Bare, 0)
    drawn = slots(module)[0].view(fresh(module, prior=IsotropicPrior(0.5)))
    assert float(drawn.std()) == pytest.approx(0.5, rel=0.1)
    assert abs(float(drawn.mean())) < 4 * 0.5 / math.sqrt(2000)
    mean = torch.arange(float(gather(module).numel()))
    drawn = fresh(module, prior=CentredPrior(mean, 1e-3))
    torch.testing.assert_close(drawn[:2000], mean[:2000], atol=1e-2, rtol=0.0)


def test_the_module_stays_as_it_is() -> None:
    module = built(Bare, 0)
    flat = FlatWeights(module)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    objects = list(module.parameters())
    drawn = fresh(module)
    assert drawn.shape == (flat.num_weights,)
    assert not flat.synchronise()
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(a is b for a, b in zip(objects, module.parameters(), strict=True))
    assert module.decoder.weight is module.encoder.weight


def test_the_seed_decides(unchanged_global_random_state: None) -> None:
    module = built(Bare, 0)
    assert torch.equal(fresh(module, 1), fresh(module, 1))
    assert not torch.equal(fresh(module, 1), fresh(module, 2))
    generator = torch.Generator().manual_seed(1)
    prior = FanInPrior().resolve(slots(module), gather(module))
    first, second = (fresh_weights(module, prior, generator) for _ in range(2))
    assert not torch.equal(first, second)
    assert fresh(module.double()).dtype == torch.float64


def test_a_reset_that_asks_for_arguments_is_not_called() -> None:
    class Asking(nn.Linear):
        def reset_parameters(self, scale: float | None = None) -> None:
            super().reset_parameters()

    class Requiring(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(30, 30))

        def reset_parameters(self, scale: float) -> None:
            raise AssertionError

    assert float(fresh(built(lambda: Asking(30, 30), 0)).abs().max()) <= 1 / math.sqrt(30)
    drawn = fresh(Requiring(), prior=IsotropicPrior(2.0))
    assert float(drawn.std()) == pytest.approx(2.0, rel=0.2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_one_seed_gives_the_same_weights_on_a_gpu() -> None:
    module = built(Bare, 0)
    here = fresh(module)
    there = fresh(module.cuda())
    assert there.is_cuda
    torch.testing.assert_close(here, there.cpu())
