r"""What an inference run has found so far, and advice where it looks wrong.

Spreads are compared with what a weight has that the data say nothing of: the prior at the target's
temperature, :math:`\mathcal N(m_0, T s_0^2)`. In these units a weight has the spread
:math:`\sigma / (s_0 \sqrt T)` and the shift :math:`|m - m_0| / (s_0 \sqrt T)`. It has **learnt
nothing** if its spread is above 0.95 and its shift below 0.5: the data then told it less than 0.13
nats. It is **collapsed** if its spread is below :math:`0.01 / \sqrt N`. The exact posterior of a
single weight has :math:`\sigma^2 = T / (N h + s_0^{-2})`, so such a spread claims a curvature
:math:`h > 10^4 / s_0^2` for every single observation: each would have to narrow the prior by a
factor of 100.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

NOTHING_SPREAD, NOTHING_SHIFT = 0.95, 0.5
COLLAPSED_SPREAD = 0.01
#: Shares of weights from which a posterior is called collapsed: to the prior, to a point.
TO_PRIOR, TO_POINT = 0.95, 0.5
#: Share of means held back by a trust region from which that is worth a word.
HELD_BACK = 0.25


#: Times the prior's standard deviation beyond which no data put a posterior's.
TO_NOTHING = 10.0


class PosteriorWarning(UserWarning):
    """The posterior has collapsed, to the prior or to a point, or run away from both."""


@dataclass(frozen=True)
class LayerDiagnostics:
    """What the posterior says of one parameter tensor.

    Attributes
    ----------
    name
        As in ``module.named_parameters()``.
    num_weights, num_spread
        Its weights, and how many of them have a spread.
    spread
        Quantiles at 5, 50 and 95 % of the spreads above 0 (from 20,000 random ones in larger
        tensors); None without any.
    shift
        Median of the shifts of those weights.
    learnt_nothing, collapsed
        Shares of the weights with a spread, from 0 to 1; None where the method is not meant to
        find a posterior, or there is none yet.
    gradient_noise
        As in :class:`Diagnostics`.
    details
        What the method alone knows of this tensor, e.g. the proximal ``strength``.
    """

    name: str
    num_weights: int
    num_spread: int
    spread: tuple[float, float, float] | None = None
    shift: float | None = None
    learnt_nothing: float | None = None
    collapsed: float | None = None
    gradient_noise: float | None = None
    details: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnostics:
    r"""What an inference run has found so far; ``print`` shows it as a table.

    Attributes
    ----------
    method, family, phase
        Names; the phase is ``"posterior"`` once there is one, ``"training"`` for methods that
        only train weights, and before that e.g. ``"warm start"``, ``"probe"``, ``"burn-in"``.
    prior
        Name of the prior's rule.
    num_observations, temperature
        N and T of the target.
    steps, gradient_evaluations
        Taken so far.
    loss, loss_error
        Mean of the steps' losses in nats per observation over about the last 100 steps, at the
        weights that they evaluate (draws, for posterior methods), and its standard error.
    kl
        :math:`\mathrm{KL}(q \,\|\, \mathcal N(m_0, T s_0^2))` from the prior at the target's
        temperature, in nats, over the weights with a spread.
    elbo
        :math:`-\mathrm{loss} - T \, \mathrm{KL} / N`, nats per observation: what variational
        methods maximise, up to a constant. Where T differs from 1 it bounds nothing.
    elbo_note
        Why there is no ELBO; None if there is one.
    gradient_noise
        Share of a step's mean squared gradient that is noise of minibatches and draws, averaged
        over weights: 1 where the gradient has no direction left, near 0 far from the optimum.
        From Adam's moments, None where a method has none.
    learnt_nothing, collapsed
        Shares over all weights with a spread; see :class:`LayerDiagnostics`.
    details
        What the method alone knows, e.g. ``trust_region_hits``, the share of weights whose
        move the last step cut short.
    layers
        One entry for each parameter tensor.
    """

    method: str
    family: str
    phase: str
    prior: str
    num_observations: int
    temperature: float
    steps: int
    gradient_evaluations: int
    layers: tuple[LayerDiagnostics, ...]
    loss: float | None = None
    loss_error: float | None = None
    kl: float | None = None
    elbo: float | None = None
    elbo_note: str | None = None
    gradient_noise: float | None = None
    learnt_nothing: float | None = None
    collapsed: float | None = None
    details: dict[str, float | None] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """Sentences with advice where the posterior has collapsed; empty if all is well."""
        return list(_warnings(self))

    def to_dict(self) -> dict[str, Any]:
        """Describe it in JSON terms, with the warnings; what is not finite is None."""
        described: dict[str, Any] = _json({**asdict(self), "warnings": self.warnings})
        return described

    def __str__(self) -> str:
        """Write the table."""
        lines = [
            f"{self.method} ({self.family}), {self.phase}: {self.steps:,} steps, "
            f"{self.gradient_evaluations:,} gradient evaluations, "
            f"N = {self.num_observations:,}, T = {self.temperature:.3g}"
        ]
        if self.loss is not None:
            lines.append(f"loss {_with_error(self.loss, self.loss_error)} nats per observation")
        if self.elbo is not None and self.kl is not None:
            error = _with_error(self.elbo, self.loss_error)
            lines.append(f"ELBO {error} nats per observation, KL from the prior {self.kl:.4g} nats")
        else:
            lines.append(f"no ELBO: {self.elbo_note}")
        shares = {
            "gradient noise": self.gradient_noise,
            "learnt nothing": self.learnt_nothing,
            "collapsed": self.collapsed,
        }
        said = [f"{name} {value:.1%}" for name, value in shares.items() if value is not None]
        said += [f"{name} {value:.4g}" for name, value in self.details.items() if value is not None]
        lines += [", ".join(said)] if said else []
        lines += _table(self.layers)
        lines += [f"Warning: {sentence}" for sentence in self.warnings]
        return "\n".join(lines)


def _with_error(value: float, error: float | None) -> str:
    return f"{value:.4f}" if error is None else f"{value:.4f} ± {error:.4f}"


def _table(layers: tuple[LayerDiagnostics, ...]) -> list[str]:
    names = list(dict.fromkeys(name for layer in layers for name in layer.details))
    heads = ["parameter", "weights", "σ/prior: 5 %", "50 %", "95 %", "learnt nothing"]
    rows = [[*heads, "collapsed", "gradient noise", *names]]
    for layer in layers:
        spread = layer.spread or (None, None, None)
        shares = (layer.learnt_nothing, layer.collapsed, layer.gradient_noise)
        own = [layer.details.get(name) for name in names]
        cells = [*("–" if value is None else f"{value:.3g}" for value in spread)]
        cells += ["–" if value is None else f"{value:.0%}" for value in shares]
        cells += ["–" if value is None else f"{value:.4g}" for value in own]
        rows.append([layer.name, f"{layer.num_weights:,}", *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _warnings(found: Diagnostics) -> Iterator[str]:
    nothing, collapsed = found.learnt_nothing, found.collapsed
    # A prior centred on known weights is knowledge: to stay there is no collapse.
    if nothing is not None and nothing > TO_PRIOR and found.prior != "centred":
        where = _where(found.layers, "learnt_nothing", TO_PRIOR)
        yield (
            f"The posterior has collapsed to the prior: {nothing:.1%} of the weights have learnt "
            f"nothing ({where}). Give it more gradient evaluations or a longer warm start; check "
            f"that N = {found.num_observations:,} counts the observations and that the loss is "
            "their mean. With far fewer observations than weights this is what the posterior is: "
            "take a smaller network, more series, or bayesian_parameters that make only the last "
            "layers Bayesian; a lower temperature narrows the spread, but brings nothing back."
        )
    if collapsed is not None and collapsed > TO_POINT:
        where = _where(found.layers, "collapsed", TO_POINT)
        bound = COLLAPSED_SPREAD / math.sqrt(found.num_observations)
        yield (
            f"The posterior has collapsed to a point: {collapsed:.1%} of the weights have a "
            f"standard deviation below {bound:.1g} of the prior's ({where}), narrower than "
            f"N = {found.num_observations:,} observations can justify. Check that the loss is a "
            "mean per observation, not a sum, and that inputs and targets are scaled to order "
            "one; or start the spread wider and give it more steps."
        )
    wide = {layer.name: layer.spread[2] for layer in found.layers if layer.spread}
    wide = {name: spread for name, spread in wide.items() if not spread <= TO_NOTHING}
    if wide and nothing is not None:
        name = max(wide, key=wide.__getitem__)
        yield (
            f"The posterior has run away: standard deviations reach {wide[name]:.3g} times the "
            f"prior's (in {name}), wider than anybody who knows nothing would believe. Lower the "
            "learning rate, or start at weights that fit the data better."
        )
    held = found.details.get("trust_region_hits")
    if held is not None and held > HELD_BACK:
        yield (
            f"The trust region still cuts short the moves of {held:.0%} of the means, so that "
            "they may not have arrived: set trust_region higher or to None, or lower the "
            "learning rate."
        )


def _where(layers: tuple[LayerDiagnostics, ...], attribute: str, above: float) -> str:
    """Name the tensors of which more than a share is affected, at most four of them."""
    names = [layer.name for layer in layers if (getattr(layer, attribute) or 0.0) > above]
    spread = [layer for layer in layers if layer.num_spread]
    if len(names) == len(spread):
        return "in every layer"
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"above all in {', '.join(names[:4])}{more}" if names else "here and there"


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_json(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
