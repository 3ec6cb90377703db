r"""What minibatch noise does to four ways of matching scores: who finds the known posterior?

`python -m benchmarks.minibatch_noise` writes results/minibatch_noise.csv and
docs/images/minibatch_noise.png. The target is a conjugate linear regression (20 weights, 10,000
observations), whose marginal sds are known; minibatches have 8 to 512 observations, or are the
whole data. Every cell is given 5,000 minibatches and starts with its mean at the known answer, so
that only the spread is in question. Finished cells are not run again.

All four match the score of a Gaussian q to a noisy score :math:`\hat s` at draws of the present
:math:`q_t`, with a Kullback-Leibler penalty that keeps q near :math:`q_t`:

- *batch and match* (`bam`) weights the mismatch by Cov(q), the unknown of the minimisation;
- *unfrozen weighting* does the same for independent Gaussians: :func:`unfrozen_weighting`;
- *hard clipping* freezes the weighting but tames single draws by clipping the change of the
  precision: :func:`hard_clipping`;
- *score VI* freezes draws and weighting, and lets the proximal strength follow the noise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch import Tensor

from benchmarks.output import append, read, show
from tests.inference.scenarios import Target, infer, linear_regression, without_noise
from tsbnn.evaluation import plot_style
from tsbnn.inference import IsotropicPrior, method

MINIBATCHES, OBSERVATIONS, WEIGHTS = 5_000, 10_000, 20
SIZES = (8, 16, 32, 64, 128, 256, 512, OBSERVATIONS)
SEEDS = range(5)
PRIOR = IsotropicPrior(1.0)
IMAGE = Path(__file__).parents[1] / "docs/images/minibatch_noise.png"


def scores(
    target: Target, mean: Tensor, sd: Tensor, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield normals (``2 x D``, a pair eps and -eps) and the log likelihood's slope there.

    ``mean`` and ``sd`` (``D``) are read anew for each minibatch; both draws see the same one.
    """
    for loss in target.losses(MINIBATCHES):
        noise = torch.randn(len(mean), generator=generator, dtype=mean.dtype)
        pair = torch.stack([noise, -noise])
        slopes = []
        for normals in pair:
            weights = (mean + sd * normals).requires_grad_()
            (slope,) = torch.autograd.grad(loss(weights), weights)
            slopes.append(-target.num_observations * slope)
        yield pair, torch.stack(slopes)


def unfrozen_weighting(target: Target, seed: int) -> Tensor:
    r"""Match scores of independent Gaussians, weighted by the variances that are sought.

    Per weight, over draws z of :math:`q_t` with scores g (prior included), the minimiser of

    .. math:: \mathrm{mean}\; \sigma^2 \Big( \frac{z - m}{\sigma^2} + g \Big)^2
              + \tfrac2\beta \mathrm{KL}(q_t \,\|\, q)

    over m and :math:`\sigma^2` is, with averages :math:`\bar z, \bar g` and variances
    :math:`C, \Gamma` over the draws, and with :math:`V = \sigma_t^2 + \beta C
    + \tfrac{\beta}{1+\beta} (m_t - \bar z)^2`, :math:`U = \beta \Gamma
    + \tfrac{\beta}{1+\beta} \bar g^2`,

    .. math:: \sigma^2 = \frac{2V}{1 + \sqrt{1 + 4UV}}, \qquad
              m = \frac{m_t + \beta (\bar z + \sigma^2 \bar g)}{1 + \beta} :

    batch and match with a diagonal. Score noise of variance :math:`\tau^2` adds to U and stays
    there however small :math:`\beta` is: at the fixed point
    :math:`\sigma^2 (\sigma^2 \Lambda^2 + \tau^2) = 1` instead of :math:`\sigma^2 \Lambda = 1`.
    """
    mean, variance = target.mean.clone(), torch.full_like(target.mean, 1e-4)
    sd = variance.sqrt()
    generator = torch.Generator().manual_seed(1000 + seed)
    for step, (pair, slopes) in enumerate(scores(target, mean, sd, generator)):
        # As strong a penalty as score VI's smallest: c = 20 + t/2 is beta = 1/(2c).
        beta = 1.0 / (40.0 + step)
        score = slopes - mean - sd * pair
        middle, spread = score.mean(0), score.var(0, correction=0)
        v = variance + beta * (sd * pair).var(0, correction=0)
        u = beta * spread + beta / (1 + beta) * middle.square()
        variance.copy_(2 * v / (1 + (1 + 4 * u * v).sqrt()))
        mean.add_(variance * middle, alpha=beta / (1 + beta))
        sd.copy_(variance.sqrt())
    return sd


def hard_clipping(target: Target, seed: int) -> Tensor:
    r"""Take score VI's closed form with single draws, its factor clipped to [0.9, 1.1].

    The factor :math:`\rho` of the precision is heavy-tailed when one draw on one minibatch gives
    the curvature. What is clipped has another mean, and the precision settles elsewhere. The mean
    of q is held at the known answer here, which can only help.
    """
    mean = target.mean.clone()
    precision = torch.full_like(mean, 1e4)
    sd = precision.rsqrt()
    generator = torch.Generator().manual_seed(1000 + seed)
    strength = 20.0
    for pair, slopes in scores(target, mean, sd, generator):
        ratio = (1.0 - pair[0] * slopes[0] / sd) / precision
        shifted = ratio - strength
        factor = 0.5 * (shifted + (shifted.square() + 4 * strength).sqrt())
        precision.mul_(factor.clamp(0.9, 1.1))
        sd.copy_(precision.rsqrt())
    return sd


def by_method(name: str, **settings: Any) -> Callable[[Target, int], Tensor]:
    """Run a method of the package, from the known mean."""

    def run(target: Target, seed: int) -> Tensor:
        inference = method(name, prior=PRIOR, **settings)
        optimizer = infer(target, inference, MINIBATCHES, seed, start=target.mean)
        return optimizer.posterior.variance.sqrt().double()

    return run


# What the plot calls it, how it runs, and whether it is a Gaussian with a full covariance.
CONTENDERS: dict[str, tuple[Callable[[Target, int], Tensor], bool]] = {
    "score VI (frozen draws and weighting)": (by_method("score"), False),
    "batch and match": (by_method("bam", warm_start=0.0), True),
    "unfrozen weighting": (unfrozen_weighting, False),
    "hard clipping": (hard_clipping, False),
}


def measure(contender: str, size: int, seed: int) -> dict[str, Any]:
    run, is_full = CONTENDERS[contender]
    target = linear_regression(WEIGHTS, OBSERVATIONS, seed, batch_size=size)
    if size == OBSERVATIONS:
        target = without_noise(target)
    truth = target.covariance.diagonal().sqrt() if is_full else target.mean_field_sd
    started = time.perf_counter()
    ratios = run(target, seed) / truth
    return {
        "contender": contender,
        "batch_size": size,
        "seed": seed,
        "sd_ratio_min": float(ratios.min()),
        "sd_ratio_median": float(ratios.median()),
        "sd_ratio_max": float(ratios.max()),
        "sd_error_mean": float((ratios - 1).abs().mean()),
        "wall_s": time.perf_counter() - started,
    }


def run() -> pd.DataFrame:
    """Measure every cell that is not in the results yet."""
    columns = ["contender", "batch_size", "seed"]
    done = read("minibatch_noise", columns)
    cells = [(c, size, seed) for seed in SEEDS for c in CONTENDERS for size in SIZES]
    known = set(done[columns].itertuples(index=False, name=None))
    for cell in cells:
        if cell not in known:
            done = append(done, measure(*cell), "minibatch_noise")
    return done


def plot(results: pd.DataFrame, path: Path) -> None:
    """Draw the median sd ratio against the minibatch, a band over weights and seeds around it."""
    sizes = {"font.size": 13, "axes.labelsize": 14, "axes.titlesize": 15, "legend.fontsize": 13}
    ticks = {"xtick.labelsize": 13, "ytick.labelsize": 13}
    with plt.rc_context({**plot_style.style(), **sizes, **ticks}):
        figure, axes = plt.subplots(figsize=(9.6, 5.4), layout="constrained")
        axes.axhline(1.0, color=plot_style.ink(), linewidth=1.0)
        # Even steps for doublings; all observations stand apart from the minibatches.
        places = [*range(len(SIZES) - 1), len(SIZES) - 0.6]
        for number, name in enumerate(CONTENDERS):
            cells = results[results.contender == name].groupby("batch_size")
            middle = cells.sd_ratio_median.median().reindex(SIZES)
            low, high = (
                cells.sd_ratio_min.min().reindex(SIZES),
                cells.sd_ratio_max.max().reindex(SIZES),
            )
            look = {**plot_style.curve(number), "markersize": 8, "linewidth": 2.6}
            axes.plot(places[:-1], middle[:-1], label=name, **look)
            axes.fill_between(
                places[:-1], low[:-1], high[:-1], color=look["color"], alpha=0.18, linewidth=0
            )
            ends = [
                [float(middle.iloc[-1] - low.iloc[-1])],
                [float(high.iloc[-1] - middle.iloc[-1])],
            ]
            beside = [places[-1] + 0.16 * (number - 1.5)]
            axes.errorbar(beside, [middle.iloc[-1]], yerr=ends, **{**look, "linestyle": "none"})
        axes.set(yscale="log", ylim=(0.012, 14))
        axes.set_xlabel("observations in a minibatch, of 10,000")
        axes.set_ylabel("posterior sd over the true one")
        axes.set_title("Under minibatch noise, frozen-draw score VI keeps a posterior's spread")
        axes.set_xticks(places, [*map(str, SIZES[:-1]), "all"])
        axes.minorticks_off()
        ratios = (0.03, 0.1, 0.3, 1, 3, 10)
        axes.set_yticks(ratios, [f"{ratio:g}" for ratio in ratios])
        axes.legend(loc="lower right")
        note = f"lines: medians; bands: all 20 weights, {len(SEEDS)} seeds"
        axes.text(0.99, 0.98, note, transform=axes.transAxes, ha="right", va="top")
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, dpi=200)
        plt.close(figure)


def main() -> None:
    torch.set_num_threads(1)
    results = run()
    plot(results, IMAGE)
    print(f"wrote {IMAGE}")
    groups = results.groupby(["contender", "batch_size"], sort=False)
    summary = groups.agg(
        seeds=("seed", "count"),
        lowest=("sd_ratio_min", "min"),
        median=("sd_ratio_median", "median"),
        highest=("sd_ratio_max", "max"),
        error=("sd_error_mean", "mean"),
        wall_s=("wall_s", "mean"),
    )
    show(summary.reset_index(), "Posterior sds over the known ones")


if __name__ == "__main__":
    main()
