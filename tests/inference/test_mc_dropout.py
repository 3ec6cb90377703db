"""MC dropout: masks as weight draws, their moments, and the gradient through the mask."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.inference.scenarios import gather
from tsbnn.inference import IsotropicPrior, MCDropout, posterior_from_config
from tsbnn.inference.flat import slots
from tsbnn.inference.posteriors import DropoutPosterior


class Mixed(nn.Module):
    """One parameter of every kind: kernels both ways round, recurrent, embedding, bias."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(4, 3)
        self.conv = nn.Conv1d(3, 5, 2)
        self.back = nn.ConvTranspose1d(5, 2, 3)
        self.rnn = nn.LSTM(2, 3, dropout=0.0, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(3, 1)

    def forward(self, index: Tensor) -> Tensor:
        rows = self.back(self.conv(self.table(index).transpose(1, 2))).transpose(1, 2)
        return self.head(self.drop(self.rnn(rows)[0]))


@pytest.fixture
def mixed() -> Mixed:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Mixed()


def posterior_of(module: nn.Module, **settings) -> DropoutPosterior:
    return MCDropout(**settings).optimizer(module, num_observations=10).posterior


def draws_of(posterior: DropoutPosterior, n: int) -> Tensor:
    return posterior.sample(n, torch.Generator().manual_seed(0))


def test_mean_and_variance_are_those_of_the_draws(mixed: Mixed) -> None:
    posterior = posterior_of(mixed, dropout_rate=0.3)
    draws = draws_of(posterior, 20_000)
    assert torch.equal(posterior.mean, gather(mixed))
    sds = posterior.variance.sqrt()
    assert bool(((draws.mean(0) - posterior.mean).abs() <= 4.5 * sds / 20_000**0.5 + 1e-5).all())
    torch.testing.assert_close(draws.std(0), sds, rtol=0.05, atol=1e-5)
    names = [slot.name for slot in slots(mixed) if bool((slot.view(sds) > 0).any())]
    recurrent = ["rnn.weight_ih_l0", "rnn.weight_hh_l0"]
    assert names == ["conv.weight", "back.weight", *recurrent, "head.weight"]
    with pytest.raises(ValueError, match="dropped weights have no density"):
        posterior.log_prob(draws)


@pytest.mark.parametrize(
    ("name", "axis"),
    [("conv.weight", 1), ("back.weight", 0), ("rnn.weight_hh_l0", 1), ("head.weight", 1)],
)
def test_whole_input_units_are_dropped_and_the_rest_is_scaled(
    mixed: Mixed, name: str, axis: int
) -> None:
    posterior = posterior_of(mixed, dropout_rate=0.5)
    (slot,) = [slot for slot in slots(mixed) if slot.name == name]
    whole = slot.parameter.detach()
    for draw in draws_of(posterior, 20):
        ratios = (slot.view(draw) / whole).transpose(0, axis).flatten(1)
        for unit in ratios:
            value = 2.0 if unit[0] > 1 else 0.0
            torch.testing.assert_close(unit, torch.full_like(unit, value))
    kept = [float((slot.view(draw) != 0).float().mean()) for draw in draws_of(posterior, 200)]
    assert len(set(kept)) > 1


def test_a_draw_of_a_layer_equals_dropout_of_its_inputs(
    unchanged_global_random_state: None,
) -> None:
    with torch.random.fork_rng():
        layer = nn.Linear(6, 4)
        inputs = torch.randn(5, 6)
    posterior = posterior_of(layer, dropout_rate=0.25)
    mask = posterior.masks(1, torch.Generator().manual_seed(3))[0]
    assert 0 < int((mask == 0).sum()) < 6
    expected = layer(inputs * mask)
    with posterior.drawn(layer, torch.Generator().manual_seed(3)):
        torch.testing.assert_close(layer(inputs), expected)


def test_a_training_step_is_adam_on_the_gradient_through_the_mask() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layer = nn.Linear(6, 1, dtype=torch.float64)
        data = torch.randn(20, 16, 6, dtype=torch.float64)
    labels = data.sum(-1, keepdim=True)
    weight = layer.weight.detach().clone().requires_grad_()
    bias = layer.bias.detach().clone().requires_grad_()
    method = MCDropout(
        dropout_rate=0.4, prior=IsotropicPrior(0.5), learning_rate=0.05, schedule="constant"
    )
    optimizer = method.optimizer(
        layer, num_observations=50, generator=torch.Generator().manual_seed(7)
    )
    adam = torch.optim.Adam([weight, bias], lr=0.05)
    source = torch.Generator().manual_seed(7)
    for inputs, wanted in zip(data, labels, strict=True):

        def closure(inputs=inputs, wanted=wanted) -> Tensor:
            optimizer.zero_grad()
            loss = functional.mse_loss(layer(inputs), wanted)
            loss.backward()
            return loss

        loss = optimizer.step(closure)
        adam.zero_grad()
        mask = optimizer.posterior.masks(1, source)
        expected = functional.mse_loss((inputs * mask) @ weight.T + bias, wanted)
        penalty = 0.5 * (weight.square().sum() + bias.square().sum()) / 0.5**2 / 50
        (expected + penalty).backward()
        adam.step()
        torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(layer.weight.detach(), weight.detach())
    torch.testing.assert_close(layer.bias.detach(), bias.detach())


def test_only_the_named_matrices_are_dropped_and_dropout_layers_are_off(mixed: Mixed) -> None:
    posterior = posterior_of(mixed, dropped_parameters=("head.*", "rnn.*_hh_l0"))
    spread = posterior.variance > 0
    assert int(spread.sum()) == 3 + 36
    assert mixed.drop.p == 0.0


def test_config_and_state_round_trip(mixed: Mixed) -> None:
    posterior = posterior_of(mixed)
    restored = posterior_from_config(posterior.to_config())
    restored.load_state_dict(posterior.state_dict())
    assert torch.equal(draws_of(restored, 3), draws_of(posterior, 3))
    assert posterior.num_atoms is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda m: MCDropout(dropout_rate=1.0),
            "dropout_rate must be above 0 and below 1, not 1.0",
        ),
        (lambda m: MCDropout(dropout_rate=0), "dropout_rate must be above 0 and below 1, not 0"),
        (
            lambda m: MCDropout(dropped_parameters="head"),
            "a tuple of name patterns or None, not 'h",
        ),
        (
            lambda m: posterior_of(m, dropped_parameters=("*.weight", "*.bias")),
            r"'\*\.bias' matches no trainable parameter of: conv\.weight, back\.weight, rnn",
        ),
        (
            lambda m: posterior_of(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))),
            "'1' is a BatchNorm1d: .* those of all masks mixed.* or the method MAP",
        ),
        (lambda m: posterior_of(m.table), "finds no weight matrix to drop input units of in: weig"),
        (
            lambda m: DropoutPosterior(torch.ones(3), torch.tensor(0.1), torch.ones(2)),
            r"layout of shape num_matrices x 4, not \(3,\) and \(2,\)",
        ),
    ],
)
def test_errors(mixed: Mixed, make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(mixed)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cpu_generator_draws_the_same_masks_on_a_gpu(mixed: Mixed) -> None:
    posterior = posterior_of(mixed)
    here = draws_of(posterior, 5)
    torch.testing.assert_close(here, draws_of(posterior.cuda(), 5).cpu())
