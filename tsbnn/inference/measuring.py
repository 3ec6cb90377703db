"""Measure an optimizer's posterior for its diagnostics: a few passes over the weights."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsbnn.inference.adam import BETA1, BETA2
from tsbnn.inference.diagnostics import (
    COLLAPSED_SPREAD,
    NOTHING_SHIFT,
    NOTHING_SPREAD,
    Diagnostics,
    LayerDiagnostics,
)

if TYPE_CHECKING:
    from tsbnn.inference.optimizer import BayesianOptimizer

_LEVELS = (0.05, 0.5, 0.95)
_MOST_SORTED = 20_000
# Columns of the table of one row a tensor that is fetched from the device in one go.
_NUM, _NOTHING, _COLLAPSED, _PRIOR, _NOISE, _SHIFT, _QUANTILES = range(7)


@torch.no_grad()
def diagnose(optimizer: BayesianOptimizer) -> Diagnostics:
    """Measure what an optimizer has found; see :class:`Diagnostics`."""
    method, places = optimizer.method, optimizer.flat.slots
    ready = optimizer.ready
    rows = _rows(optimizer, ready).tolist()
    judged = ready and method.is_posterior
    own = {
        name: value.float().tolist() if isinstance(value, Tensor) else value
        for name, value in optimizer.method_diagnostics().items()
    }
    per_layer = {name: values for name, values in own.items() if isinstance(values, list)}
    layers = []
    for place, (slot, row) in enumerate(zip(places, rows, strict=True)):
        count = int(row[_NUM])
        layers.append(
            LayerDiagnostics(
                name=slot.name,
                num_weights=slot.size,
                num_spread=count,
                spread=(row[_QUANTILES], row[_QUANTILES + 1], row[_QUANTILES + 2])
                if count
                else None,
                shift=row[_SHIFT] if count else None,
                learnt_nothing=row[_NOTHING] / count if judged and count else None,
                collapsed=row[_COLLAPSED] / count if judged and count else None,
                gradient_noise=_known(row[_NOISE]),
                details={name: _known(values[place]) for name, values in per_layer.items()},
            )
        )
    total = sum(layer.num_spread for layer in layers)
    losses = optimizer.losses
    kl, note = _divergence(optimizer, sum(row[_PRIOR] for row in rows), total, ready)
    elbo = None
    if kl is not None and losses.mean is not None:
        elbo = -losses.mean - kl / optimizer.likelihood_weight
        note = None
    noises = [(row[_NOISE], slot.size) for row, slot in zip(rows, places, strict=True)]
    known = [(noise, size) for noise, size in noises if not math.isnan(noise)]
    return Diagnostics(
        method=method.name,
        family=method.family,
        phase=optimizer.phase,
        prior=method.prior.name,
        num_observations=optimizer.num_observations,
        temperature=optimizer.temperature,
        steps=optimizer.steps,
        gradient_evaluations=optimizer.gradient_evaluations,
        layers=tuple(layers),
        loss=losses.mean,
        loss_error=losses.standard_error,
        kl=kl,
        elbo=elbo,
        elbo_note=note,
        gradient_noise=sum(noise * size for noise, size in known) / sum(size for _, size in known)
        if known
        else None,
        learnt_nothing=sum(row[_NOTHING] for row in rows) / total if judged and total else None,
        collapsed=sum(row[_COLLAPSED] for row in rows) / total if judged and total else None,
        details={name: value for name, value in own.items() if not isinstance(value, list)},
    )


def _rows(optimizer: BayesianOptimizer, ready: bool) -> Tensor:
    """One row of figures for each parameter tensor; NaN where there is none."""
    prior, temperature = optimizer.prior, optimizer.temperature
    sizes = [slot.size for slot in optimizer.flat.slots]
    if ready:
        mean, variance = optimizer.posterior.mean.float(), optimizer.posterior.variance.float()
    else:
        mean = variance = torch.zeros_like(optimizer.flat.values, dtype=torch.float32)
    noise = _gradient_noise(optimizer)
    bound = COLLAPSED_SPREAD / math.sqrt(optimizer.num_observations)
    generator = torch.Generator().manual_seed(0)
    levels = mean.new_tensor(_LEVELS)
    rows = []
    for place, (middle, width) in enumerate(
        zip(torch.split(mean, sizes), torch.split(variance, sizes), strict=True)
    ):
        row = mean.new_full((_QUANTILES + len(_LEVELS),), math.nan)
        rows.append(row)
        if noise is not None:
            row[_NOISE] = noise[place]
        # Of the prior at the target's temperature.
        precision = prior.precisions[place].float() / temperature
        spread = width * precision
        shift = (middle - prior.means[place].float()).square_().mul_(precision)
        free = spread > 0
        row[_NUM] = free.sum()
        if not bool(row[_NUM] > 0):
            row[_NUM : _PRIOR + 1] = 0.0
            continue
        # Twice -E log p, but for the constant log(2 pi) of each weight.
        log_scale = torch.where(free, precision.log(), 0.0)
        row[_PRIOR] = torch.where(free, spread + shift, 0.0).sum() - log_scale.sum()
        spread, shift = spread.sqrt_(), shift.sqrt_()
        nothing = (spread > NOTHING_SPREAD) & (shift < NOTHING_SHIFT)
        row[_NOTHING] = nothing.sum()
        row[_COLLAPSED] = (free & (spread < bound)).sum()
        some = free.nonzero().reshape(-1)
        if some.numel() > _MOST_SORTED:
            chosen = torch.randint(some.numel(), (_MOST_SORTED,), generator=generator)
            some = some[chosen.to(some.device)]
        row[_QUANTILES:] = torch.quantile(spread[some], levels)
        row[_SHIFT] = shift[some].median()
    return torch.stack(rows).cpu()


def _divergence(
    optimizer: BayesianOptimizer, prior: float, total: int, ready: bool
) -> tuple[float | None, str | None]:
    """KL from the prior at the target's temperature in nats, or why it is not known."""
    method = optimizer.method
    if not ready:
        return None, f"there is no posterior yet ({optimizer.phase})"
    if not total:
        return None, "the weights have no spread"
    if not method.is_posterior or method.last_pass:
        return None, f"{method.name} does not evaluate the loss at draws of its posterior"
    posterior = optimizer.posterior
    if torch.finfo(posterior.mean.dtype).bits < 32:
        # The sum over all weights would keep three digits.
        posterior = copy.deepcopy(posterior).float()
    entropy = posterior.entropy()
    if entropy is None:
        return None, f"the entropy of the family {posterior.family} has no closed form"
    return 0.5 * (prior + total * math.log(2 * math.pi)) - float(entropy), None


def _gradient_noise(optimizer: BayesianOptimizer) -> Tensor | None:
    r"""Share of noise in the gradient's mean square, one number a tensor; NaN without gradients.

    Of a gradient with mean g and noise variance n, Adam's second moment tends to
    :math:`g^2 + n`, and the square of its momentum to :math:`g^2 + a n`, where a is the sum of
    squares of the momentum's weights. The average of their quotient over weights gives the rest.
    """
    moments = optimizer.gradient_moments()
    if moments is None or not optimizer.steps:
        return None
    first, second = (moment.float() for moment in moments)
    t = optimizer.steps
    a = (1 - BETA1) / (1 + BETA1) * (1 - BETA1 ** (2 * t)) / (1 - BETA1**t) ** 2
    unbiased = (1 - BETA2**t) / (1 - BETA1**t) ** 2
    quotient = torch.where(second > 0, first.square().mul_(unbiased).div_(second), math.nan)
    means = torch.stack([view.nanmean() for view in optimizer.flat.views(quotient)])
    # After one step nothing tells them apart.
    return ((1.0 - means) / (1.0 - a)).clamp_(0.0, 1.0) if t > 1 else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
