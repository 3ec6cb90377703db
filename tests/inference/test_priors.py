"""Priors: which parameter gets which moments, and the exact terms against torch.distributions."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal

from tests.inference.scenarios import gather
from tsbnn.inference import (
    CentredPrior,
    FanInPrior,
    IsotropicPrior,
    MeanFieldGaussian,
    PatternPrior,
    Prior,
)
from tsbnn.inference.flat import slots
from tsbnn.inference.priors import prior_from_dict


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(9, 4)
        self.convolution = nn.Conv1d(3, 5, kernel_size=7)
        self.norm = nn.LayerNorm(4)
        self.embedding = nn.Embedding(6, 2)
        self.rnn = nn.LSTM(16, 4)


def test_fan_in_moments_follow_the_layer() -> None:
    moments = {slot.name: FanInPrior(gain=2.0).moments(slot) for slot in slots(Mixed())}
    assert moments["linear.weight"] == (0.0, 2.0 / 3.0)
    assert moments["linear.bias"] == (0.0, 1.0)
    assert moments["convolution.weight"] == (0.0, 2.0 / math.sqrt(21))
    assert moments["norm.weight"] == (1.0, 1.0)
    assert moments["norm.bias"] == (0.0, 1.0)
    assert moments["embedding.weight"] == (0.0, 1.0)
    assert moments["rnn.weight_ih_l0"] == (0.0, 0.5)
    assert moments["rnn.weight_hh_l0"] == (0.0, 1.0)
    assert moments["rnn.bias_ih_l0"] == (0.0, 1.0)


def test_fan_in_of_transposed_convolutions_counts_the_inputs_of_one_output() -> None:
    layer = nn.ConvTranspose1d(12, 10, kernel_size=5, groups=2, stride=1, bias=False)
    [slot] = slots(layer)
    assert FanInPrior().moments(slot) == (0.0, 1.0 / math.sqrt(6 * 5))
    # Outputs away from the edges have the variance of the inputs.
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        layer.weight.normal_(generator=generator).mul_(FanInPrior().moments(slot)[1])
        outputs = layer(torch.randn(2000, 12, 9, generator=generator))[:, :, 4:9]
    assert float(outputs.var()) == pytest.approx(1.0, abs=0.15)


def centred(module: nn.Module) -> CentredPrior:
    generator = torch.Generator().manual_seed(1)
    size = gather(module).numel()
    return CentredPrior(
        torch.randn(size, generator=generator), torch.rand(size, generator=generator) + 0.5
    )


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda m: IsotropicPrior(0.7), id="isotropic"),
        pytest.param(lambda m: FanInPrior(), id="fan_in"),
        pytest.param(
            lambda m: PatternPrior(overrides={"rnn.*": IsotropicPrior(3.0)}), id="pattern"
        ),
        pytest.param(lambda m: CentredPrior(0.5, 2.0), id="centred_floats"),
        pytest.param(centred, id="centred_vectors"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exact_terms_equal_those_of_torch_distributions(make, dtype: torch.dtype) -> None:
    module = Mixed().to(dtype)
    prior: Prior = make(module)
    places = slots(module)
    weights = gather(module)
    resolved = prior.resolve(places, weights)
    pairs = [prior.moments(slot) for slot in places]
    sizes = [slot.size for slot in places]

    def spread(values: list[float | torch.Tensor]) -> torch.Tensor:
        parts = [torch.as_tensor(v).to(dtype).expand(n) for v, n in zip(values, sizes, strict=True)]
        return torch.cat(parts)

    reference = Normal(spread([m for m, _ in pairs]), spread([s for _, s in pairs]))
    probe = weights.clone().requires_grad_()
    negative_log_density = -reference.log_prob(probe).sum()
    negative_log_density.backward()

    gradient = torch.ones_like(weights)
    resolved.add_gradient_(gradient, weights, factor=0.3)
    assert probe.grad is not None
    torch.testing.assert_close(gradient, 1.0 + 0.3 * probe.grad)
    precision = torch.ones_like(weights)
    resolved.add_precision_(precision, factor=0.3)
    torch.testing.assert_close(precision, 1.0 + 0.3 * reference.variance.reciprocal())
    scaled = torch.ones_like(weights)
    resolved.add_precision_(scaled, factor=0.3, times=weights)
    torch.testing.assert_close(scaled, 1.0 + 0.3 * weights / reference.variance)
    sds = torch.full_like(weights, 2.0)
    resolved.multiply_by_scale_(sds)
    torch.testing.assert_close(sds, 2.0 * reference.stddev)


def test_a_posterior_becomes_a_prior_and_weights_without_spread_fall_back() -> None:
    module = nn.Linear(4, 1)
    posterior = MeanFieldGaussian(
        torch.arange(5.0), torch.tensor([4.0, torch.inf, 4.0, 4.0, torch.inf])
    )
    prior = CentredPrior.from_posterior(posterior, module, fallback=FanInPrior())
    weight, bias = [prior.moments(slot) for slot in slots(module)]
    torch.testing.assert_close(weight[0], torch.tensor([0.0, 1.0, 2.0, 3.0]))
    torch.testing.assert_close(weight[1], torch.tensor([0.5, 0.5, 0.5, 0.5]))
    torch.testing.assert_close(bias[0], torch.tensor([4.0]))
    torch.testing.assert_close(bias[1], torch.tensor([1.0]))
    assert torch.equal(posterior.mean, torch.arange(5.0))


@pytest.mark.parametrize(
    "prior",
    [
        IsotropicPrior(0.3),
        FanInPrior(1.5),
        CentredPrior(0.0, 2.0),
        PatternPrior(FanInPrior(2.0), {"*.bias": IsotropicPrior(np.float32(0.1))}),
    ],
    ids=lambda prior: prior.name,
)
def test_description_round_trip(prior: Prior) -> None:
    described = json.loads(json.dumps(prior.to_dict()))
    assert prior_from_dict(described).to_dict() == prior.to_dict()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IsotropicPrior(0.0), "scale must be a positive finite number, not 0.0"),
        (lambda: FanInPrior(float("nan")), "gain must be a positive"),
        (lambda: CentredPrior(0.0, torch.tensor([1.0, 0.0])), "positive and finite"),
        (lambda: CentredPrior(torch.tensor([0.0, torch.nan]), 1.0), "mean .* must be finite"),
        (lambda: prior_from_dict({"name": "flat"}), "unknown prior 'flat'; known: centred, fan_in"),
        (lambda: prior_from_dict({"name": "fan_in", "settings": {"x": 1}}), "cannot be built"),
        (lambda: prior_from_dict({"name": "centred", "settings": {}}), "cannot be built"),
        (lambda: PatternPrior({"*.bias": IsotropicPrior()}), "default must be a Prior, not"),
        (lambda: PatternPrior(overrides={"*.bias": 0.1}), "overrides must be a mapping of"),
        (lambda: IsotropicPrior(True), "scale must be a positive finite number, not True"),
    ],
)
def test_bad_priors_say_what_is_wrong(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_pattern_prior_needs_no_settings() -> None:
    assert prior_from_dict({"name": "pattern"}).to_dict() == PatternPrior().to_dict()


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm1d(3), nn.InstanceNorm2d(3, affine=True), nn.GroupNorm(1, 3)]
)
def test_gains_of_normalisation_layers_are_near_one(layer: nn.Module) -> None:
    weight, bias = [FanInPrior().moments(slot) for slot in slots(layer)]
    assert (weight, bias) == ((1.0, 1.0), (0.0, 1.0))


def test_a_pattern_without_match_lists_the_names() -> None:
    module = Mixed()
    prior = PatternPrior(overrides={"head.*": IsotropicPrior()})
    with pytest.raises(ValueError, match=r"'head\.\*' matches no .* linear\.weight, linear\.bias"):
        prior.resolve(slots(module), gather(module))


def test_vectors_of_another_module_are_refused() -> None:
    module = Mixed()
    for length in (5, gather(module).numel() + 1):
        with pytest.raises(ValueError, match="belongs to another module"):
            CentredPrior(torch.zeros(length), 1.0).resolve(slots(module), gather(module))
