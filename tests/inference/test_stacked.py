"""A module at many weight vectors in one pass: values, gradients, tied and frozen parameters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.inference.test_method import attention, convolution
from tsbnn.inference import count_weights, evaluate_at, weights_at
from tsbnn.inference.stacked import stacked_parameters


class Odd(nn.Module):
    """Tied and frozen parameters, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 3, bias=False)
        self.decoder = nn.Linear(3, 3)
        self.decoder.weight = self.encoder.weight
        self.frozen = nn.Linear(3, 3).requires_grad_(False)
        self.register_buffer("shift", torch.arange(3.0))

    def forward(self, data: Tensor) -> Tensor:
        return self.decoder(self.frozen(self.encoder(data)) + self.shift).tanh()


@pytest.mark.parametrize("build", [Odd, attention, convolution], ids=lambda f: f.__name__)
def test_values_and_gradients_are_those_of_one_vector_after_the_other(build) -> None:
    module = build().double()
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(4, count_weights(module), generator=generator, dtype=torch.float64)
    shape = (6, 3) if build is Odd else (6, 5, 3)
    data = torch.randn(shape, generator=generator, dtype=torch.float64)

    def function(module: nn.Module) -> dict[str, Tensor]:
        return {"loss": module(data).square().mean(), "count": data.sum()}

    own = [parameter.detach().clone() for parameter in module.parameters()]
    leaf = weights.clone().requires_grad_()
    found = evaluate_at(module, leaf, function)
    found["loss"].sum().backward()
    assert torch.equal(found["count"], data.sum().expand(4))
    for row, loss, gradient in zip(weights, found["loss"], leaf.grad, strict=True):
        with weights_at(module, row):
            expected = function(module)["loss"]
            module.zero_grad()
            expected.backward()
            wanted = [p.grad.reshape(-1) for p in module.parameters() if p.requires_grad]
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(gradient, torch.cat(wanted))
    for parameter, before in zip(module.parameters(), own, strict=True):
        assert torch.equal(parameter, before)


def test_random_numbers_differ_between_vectors() -> None:
    module = nn.Sequential(nn.Linear(50, 1), nn.Dropout(0.5))
    weights = torch.randn(1, 51).expand(2, -1)
    with torch.random.fork_rng():
        first, second = evaluate_at(module, weights, lambda module: module(torch.ones(40, 50)))
    assert not torch.equal(first, second)


def test_parameters_are_views() -> None:
    module = attention()
    weights = torch.zeros(2, count_weights(module))
    parameters = stacked_parameters(module, weights)
    assert {k: tuple(v.shape) for k, v in parameters.items()} == {
        k: (2, *v.shape) for k, v in module.named_parameters()
    }
    parameters["0.bias"].fill_(1.0)
    assert float(weights.sum()) == 2 * 4


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.zeros(15), r"shape \(15,\), the module needs \(draws, 15\)"),
        (torch.zeros(2, 3), r"shape \(2, 3\), the module needs \(draws, 15\)"),
        (torch.zeros(2, 15, dtype=torch.float64), "float64"),
    ],
)
def test_what_does_not_fit_is_refused(weights: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_at(nn.Linear(14, 1), weights, lambda module: module)
