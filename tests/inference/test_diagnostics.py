"""Diagnostics: known figures on known posteriors, warnings only where they are due."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from torch import nn

from tests.inference.scenarios import correlated_gaussian, infer, linear_regression
from tests.inference.test_method import (
    ALL_PHASES,
    batches,
    built,
    optimizer_of,
    train,
)
from tsbnn.inference import (
    ELBOVI,
    MAP,
    METHODS,
    CentredPrior,
    IsotropicPrior,
    PatternPrior,
    ProximalScoreVI,
    method,
)
from tsbnn.inference.loss_average import LossAverage
from tsbnn.inference.optimizer import BayesianOptimizer


def trained(name: str, steps: int = 40, **settings) -> tuple[BayesianOptimizer, nn.Module]:
    module = built("convolution")
    inference = method(name, **{**ALL_PHASES.get(name, {}), **settings})
    optimizer = optimizer_of(inference, module, steps=steps)
    train(optimizer, module, batches(steps))
    return optimizer, module


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_diagnostics(name: str, unchanged_global_random_state: None) -> None:
    optimizer, module = trained(name)
    before = copy.deepcopy(optimizer.state_dict())
    found = optimizer.diagnostics()
    after = optimizer.state_dict()
    assert str(after) == str(before), "looking changes nothing"
    described = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert described["method"] == name
    assert described["num_observations"] == 1000
    assert [layer["name"] for layer in described["layers"]] == [
        parameter for parameter, _ in module.named_parameters()
    ]
    assert sum(layer["num_weights"] for layer in described["layers"]) == len(
        optimizer.posterior.mean
    )
    variance = optimizer.posterior.variance if optimizer.ready else torch.zeros(1)
    assert sum(layer.num_spread for layer in found.layers) == int((variance > 0).sum())
    assert (found.elbo is None) == (found.elbo_note is not None)
    assert (found.learnt_nothing is not None) == (
        METHODS[name].is_posterior and bool((variance > 0).any())
    )
    for layer in found.layers:
        if layer.spread is not None:
            low, middle, high = layer.spread
            assert 0 < low <= middle <= high
    text = str(found)
    assert text.startswith(f"{name} ({METHODS[name].family}")
    assert all(layer.name in text for layer in found.layers)


@pytest.mark.parametrize("name", METHODS)
def test_the_running_loss_survives_a_resume(name: str) -> None:
    optimizer, _ = trained(name)
    resumed = optimizer_of(method(name, **ALL_PHASES.get(name, {})), built("convolution"), steps=40)
    resumed.load_state_dict(optimizer.state_dict())
    assert resumed.losses.mean == optimizer.losses.mean
    assert resumed.losses.count == optimizer.losses.count
    first, second = optimizer.diagnostics(), resumed.diagnostics()
    assert first.to_dict() == second.to_dict()


def test_elbo_and_divergence_are_exact() -> None:
    target = correlated_gaussian(5, condition=25.0, seed=0)
    method = ELBOVI(antithetic=True, learning_rate=2e-2, prior=IsotropicPrior(1.0), warm_start=0.2)
    found = infer(target, method, 800).diagnostics()
    sd = target.mean_field_sd
    q = torch.distributions.Normal(target.mean, sd)
    prior = torch.distributions.Normal(torch.zeros_like(sd), torch.ones_like(sd))
    kl = float(torch.distributions.kl_divergence(q, prior).sum())
    # The loss is quadratic: N E[loss] = (m - c)' L (m - c) / 2 + sum(L_ii sd_i^2) / 2.
    curvature = target.precision - torch.eye(5, dtype=torch.double)
    centre = torch.linalg.solve(curvature, target.precision @ target.mean)
    offset = target.mean - centre
    loss = 0.5 * (offset @ curvature @ offset + (curvature.diagonal() * sd**2).sum())
    assert found.kl == pytest.approx(kl, rel=0.02)
    assert found.loss_error is not None
    expected = -float(loss + kl) / target.num_observations
    assert found.elbo == pytest.approx(expected, abs=4 * found.loss_error + 1e-4)


@pytest.mark.parametrize("name", ["elbo", "bam"])
def test_the_elbo_is_largest_at_the_tempered_posterior(name: str) -> None:
    """N=10, curvature 1, T=4: the posterior's variance is T/(N + 1)."""
    settings = {"temperature": 4.0, "prior": IsotropicPrior(1.0), "warm_start": 0.0}
    optimizer = method(name, **settings).optimizer(nn.Linear(1, 1, bias=False), num_observations=10)
    found = []
    for factor in (0.9, 0.95, 1.0, 1.05, 1.1):
        variance = torch.tensor(factor * 4 / 11)
        optimizer.posterior.mean.zero_()
        if name == "elbo":
            optimizer.posterior.precision.fill_(1 / variance)
        else:
            optimizer.posterior.scale_tril.fill_(variance.sqrt())
        optimizer.losses = LossAverage()
        optimizer.losses.add(0.5 * variance)  # Of the mean loss weight^2 / 2.
        found.append(optimizer.diagnostics())
        exact = torch.distributions.kl_divergence(
            torch.distributions.Normal(0.0, variance.sqrt()), torch.distributions.Normal(0.0, 2.0)
        )
        assert found[-1].kl == pytest.approx(float(exact), rel=1e-4)
    elbos = [one.elbo or math.nan for one in found]
    assert elbos[0] < elbos[1] < elbos[2] > elbos[3] > elbos[4]


def test_sums_over_half_precision_weights_are_made_in_single() -> None:
    kls = []
    for dtype in (torch.bfloat16, torch.float32):
        module = nn.Linear(3000, 1, bias=False).to(dtype)
        optimizer = optimizer_of(ELBOVI(warm_start=0.0, prior=IsotropicPrior(1.0)), module)
        optimizer.posterior.mean.zero_()
        optimizer.posterior.precision.fill_(2.0**14)
        optimizer.losses.add(torch.tensor(1.0))
        kls.append(optimizer.diagnostics().kl)
        assert optimizer.posterior.precision.dtype == dtype
    assert kls[0] == pytest.approx(kls[1], rel=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_spreads_are_counted_against_the_prior_at_this_temperature(temperature: float) -> None:
    module = nn.Sequential(nn.Linear(10, 4), nn.Linear(4, 1))
    prior = PatternPrior(IsotropicPrior(2.0), {"1.bias": CentredPrior(3.0, 0.5)})
    method = ELBOVI(prior=prior, temperature=temperature, warm_start=0.0)
    optimizer = optimizer_of(method, module)
    posterior, places = optimizer.posterior, {s.name: s for s in optimizer.flat.slots}
    posterior.mean.zero_()
    posterior.precision.fill_(1.0 / (temperature * 4.0))
    matrix = places["0.weight"].view(posterior.precision)
    matrix[0] *= 100.0  # A tenth of the prior's spread.
    matrix[1] *= 1e12  # A millionth.
    places["0.weight"].view(posterior.mean)[2, :5] = 1.1 * temperature**0.5  # Moved.
    places["0.bias"].view(posterior.precision).fill_(math.inf)
    places["1.bias"].view(posterior.mean).fill_(3.0)
    places["1.bias"].view(posterior.precision).fill_(1.0 / (temperature * 0.25))
    layers = {layer.name: layer for layer in optimizer.diagnostics().layers}
    matrix_found = layers["0.weight"]
    assert matrix_found.learnt_nothing == pytest.approx(15 / 40)
    assert matrix_found.collapsed == pytest.approx(10 / 40)
    assert matrix_found.spread == pytest.approx((1e-6, 0.55, 1.0), rel=1e-3)
    assert layers["0.bias"].num_spread == 0
    assert layers["0.bias"].spread is None
    assert layers["1.bias"].learnt_nothing == 1.0
    assert layers["1.bias"].shift == pytest.approx(0.0, abs=1e-6)
    total = optimizer.diagnostics()
    assert total.learnt_nothing == pytest.approx((15 + 4 + 1) / 45)
    assert "collapsed" in str(total)


def test_quantiles_of_a_large_tensor_are_those_of_all_its_weights() -> None:
    optimizer = optimizer_of(ELBOVI(warm_start=0.0), nn.Linear(60_000, 1))
    spread = torch.rand(60_001, generator=torch.Generator().manual_seed(0)) / 60_000**0.5
    optimizer.posterior.precision.copy_(spread.pow(-2))
    quantiles = optimizer.diagnostics().layers[0].spread
    assert quantiles == pytest.approx((0.05, 0.5, 0.95), abs=0.01)


@pytest.mark.parametrize(("signal", "noise", "expected"), [(1.0, 0.0, 0.0), (0.0, 1.0, 1.0)])
def test_gradient_noise_of_known_gradients(signal: float, noise: float, expected: float) -> None:
    """Also halfway: g^2 = n gives one half."""
    generator = torch.Generator().manual_seed(0)
    for g, n, share in ((signal, noise, expected), (1.0, 1.0, 0.5)):
        module = nn.Linear(1000, 1, bias=False)
        optimizer = optimizer_of(MAP(learning_rate=1e-9, prior=IsotropicPrior(1e9)), module)
        for _ in range(200):
            gradient = g + n * torch.randn(1, 1000, generator=generator)

            def closure(gradient: torch.Tensor = gradient) -> torch.Tensor:
                optimizer.zero_grad()  # noqa: B023
                loss = (module.weight * gradient).sum()  # noqa: B023
                loss.backward()
                return loss

            optimizer.step(closure)
        assert optimizer.diagnostics().gradient_noise == pytest.approx(share, abs=0.03)


def test_a_running_mean_and_its_error() -> None:
    losses = LossAverage()
    assert losses.mean is losses.standard_error is None
    values = 5.0 + torch.randn(5000, generator=torch.Generator().manual_seed(0))
    for value in values[:50]:
        losses.add(value)
    assert losses.mean == pytest.approx(float(values[:50].mean()), rel=1e-5)
    assert losses.standard_error == pytest.approx(float(values[:50].std()) / 50**0.5, rel=1e-3)
    for value in values[50:]:
        losses.add(value)
    assert losses.mean == pytest.approx(5.0, abs=0.3)
    assert losses.standard_error == pytest.approx(199**-0.5, rel=0.2)


def test_the_score_method_tells_its_strengths() -> None:
    early = optimizer_of(method("score"), built(), steps=1000)
    assert early.diagnostics().phase == "warm start"
    assert early.diagnostics().elbo_note == "there is no posterior yet (warm start)"
    optimizer, _ = trained("score")
    found = optimizer.diagnostics()
    assert found.phase == "posterior"
    strengths = [layer.details["strength"] for layer in found.layers]
    noises = [layer.details["curvature_noise"] for layer in found.layers]
    after_probe = 40 - optimizer.phase_ends["probe"]
    assert all(noise is not None and noise > 0 for noise in noises)
    assert strengths == pytest.approx([max(20 + 0.5 * after_probe, 10 * v) for v in noises])
    assert "curvature_noise" in str(found)


@pytest.mark.parametrize("name", ["score", "elbo"])
@pytest.mark.parametrize("family", ["low_rank", "mixture"])
def test_richer_families(name: str, family: str) -> None:
    optimizer, _ = trained(name, family=family)
    found = optimizer.diagnostics()
    assert found.phase == "posterior"
    assert found.learnt_nothing is not None
    assert json.dumps(found.to_dict(), allow_nan=False)
    if family == "mixture":
        assert found.elbo_note == "the entropy of the family mixture has no closed form"
        return
    posterior = optimizer.posterior
    scale = torch.ones_like(posterior.mean)
    optimizer.prior.multiply_by_scale_(scale)
    exact = torch.distributions.kl_divergence(
        torch.distributions.LowRankMultivariateNormal(
            posterior.mean, posterior.factor, posterior.scale.square()
        ),
        torch.distributions.LowRankMultivariateNormal(
            torch.zeros_like(scale), torch.zeros_like(posterior.factor), scale.square()
        ),
    )
    assert found.kl == pytest.approx(float(exact), rel=1e-3)


SOUND = (
    ProximalScoreVI(prior=IsotropicPrior(1.0)),
    ELBOVI(prior=IsotropicPrior(1.0), warm_start=0.0, scale_learning_rate=0.2),
)


@pytest.mark.parametrize("method", SOUND, ids=lambda m: m.name)
def test_a_sound_posterior_gives_no_warning(method) -> None:
    target = linear_regression(20, 10_000, seed=0)
    found = infer(target, method, 500).diagnostics()
    assert found.warnings == []
    assert found.learnt_nothing == 0.0


@pytest.mark.parametrize("method", SOUND, ids=lambda m: m.name)
def test_data_that_say_nothing_are_noticed(method) -> None:
    target = linear_regression(20, 10, seed=0)
    losses = target.losses
    target.losses = lambda n: (lambda w, f=f: 1e-4 * f(w) for f in losses(n))
    [warning] = infer(target, method, 500).diagnostics().warnings
    assert warning.startswith("The posterior has collapsed to the prior: 100.0% of the weights")
    assert "in every layer" in warning
    assert "N = 10 counts" in warning


def test_a_loss_that_is_summed_instead_of_averaged_is_noticed() -> None:
    target = correlated_gaussian(20, condition=25.0, seed=0)
    losses = target.losses
    target.losses = lambda n: (lambda w, f=f: 1e9 * f(w) for f in losses(n))
    [warning] = infer(target, SOUND[0], 500).diagnostics().warnings
    assert warning.startswith("The posterior has collapsed to a point: ")
    assert "mean per observation, not a sum" in warning


def test_warnings_name_the_layers() -> None:
    optimizer, _ = trained("elbo")
    optimizer.posterior.precision.fill_(1e20)
    optimizer.flat.views(optimizer.posterior.precision)[-1].fill_(1.0)
    [warning] = optimizer.diagnostics().warnings
    assert "above all in 0.weight, 0.bias, 3.weight)" in warning


def test_a_posterior_that_has_run_away_is_noticed() -> None:
    optimizer, _ = trained("elbo")
    optimizer.flat.views(optimizer.posterior.precision)[0].fill_(1e-6)
    [warning] = optimizer.diagnostics().warnings
    assert "has run away: standard deviations reach" in warning
    assert "(in 0.weight)" in warning


@pytest.mark.parametrize("name", sorted(METHODS))
def test_weights_of_another_type_than_torchs_default(name: str, request) -> None:
    module = built("convolution")
    request.getfixturevalue("default_float64")
    optimizer = optimizer_of(method(name, **ALL_PHASES.get(name, {})), module, steps=10)
    train(optimizer, module, [(x.float(), y.float()) for x, y in batches(10)])
    assert optimizer.diagnostics().num_observations == optimizer.num_observations
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
