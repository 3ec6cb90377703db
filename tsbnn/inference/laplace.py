r"""Laplace's approximation: a Gaussian around the most probable weights, as wide as they are sure.

Training is MAP. Then one pass over further minibatches at the mode gives the empirical Fisher
information F, and

.. math:: q = \mathcal N\bigl(\hat\theta, \Lambda^{-1}\bigr), \qquad
          \Lambda = \tfrac1T \bigl( F - \nabla^2 \log p \bigr).

**F from minibatches.** A closure gives the mean gradient :math:`\bar g_b` of B observations and
nothing about a single one. For observations drawn independently
:math:`\operatorname{Cov}_b(\bar g_b) = \operatorname{Cov}_i(g_i)/B`, and near the mode, where the
mean gradient is small beside its spread, :math:`F = \sum_{i=1}^N g_i g_i^\top
\approx N \operatorname{Cov}_i(g_i)`. So

.. math:: F = N\, B\, \operatorname{Cov}_b(\bar g_b).

The same holds for one pass over the data without replacement, where B is N over the number of
closures: the expected covariance of the means of a random partition is that of the observations
over B as well.

Sources: D. J. C. MacKay, "A practical Bayesian framework for backpropagation networks", 1992;
E. Daxberger et al., arXiv 2106.14806, for the last layer and the choice of weights. The package of
the latter (laplace-torch 0.3) installs beside ours, but takes a squared error or a cross entropy on
a module's output, and no closure with a likelihood of another kind: so this is our own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tsbnn.inference.adam_mean import AdamMeanOptimizer
from tsbnn.inference.checks import is_count, is_positive, require
from tsbnn.inference.method import PosteriorMethod
from tsbnn.inference.optimizer import Closure
from tsbnn.inference.posteriors import FullGaussian, MeanFieldGaussian

MOST_FULL = 2000
_FAMILIES = {"diagonal": "mean_field", "full": "full"}


@dataclass(frozen=True, kw_only=True)
class Laplace(PosteriorMethod):
    """Laplace's approximation by the empirical Fisher, at the end of a MAP run.

    Until :meth:`~tsbnn.inference.BayesianOptimizer.finalize` has been given the minibatches of the
    last pass, the posterior is a point.

    Parameters
    ----------
    structure
        ``"diagonal"``, or ``"full"`` for the correlations of at most 2,000 weights: choose them by
        ``bayesian_parameters``, e.g. those of the last layer.
    last_pass
        Number of minibatches of the last pass, at least 2. With 200, each variance of the gradient
        is known to 10 % (standard deviations to 5 %); ``"full"`` wants several times as many
        minibatches as weights.
    warm_start
        0: all steps are MAP's.
    """

    name: ClassVar[str] = "laplace"
    family = "mean_field"

    structure: str = "diagonal"
    last_pass: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        structure, count = self.structure, self.last_pass
        require(structure in _FAMILIES, "structure", structure, f"one of {', '.join(_FAMILIES)}")
        require(is_count(count) and count >= 2, "last_pass", count, "an integer of at least 2")
        require(self.warm_start == 0, "warm_start", self.warm_start, "0: all steps are MAP's")
        object.__setattr__(self, "family", _FAMILIES[structure])

    def evaluations(self, steps: int) -> int:
        """One for each step, and the last pass."""
        return steps + self.last_pass if steps else 0

    @property
    def optimizer_class(self) -> type[LaplaceOptimizer]:
        """Class of the optimizer that :meth:`optimizer` builds."""
        return LaplaceOptimizer


class LaplaceOptimizer(AdamMeanOptimizer):
    """Adam on the negative log posterior; the spread comes with :meth:`finalize`."""

    method: Laplace
    posterior: MeanFieldGaussian | FullGaussian

    def __init__(
        self,
        module: nn.Module,
        method: Laplace,
        num_observations: int,
        total_steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__(module, method, num_observations, total_steps, generator)
        values = self.flat.values
        if method.structure == "full":
            index = self._fix_(torch.ones_like(values), 0.0).nonzero().squeeze(1)
            if len(index) > MOST_FULL:
                raise ValueError(
                    f"laplace with structure='full' is for at most {MOST_FULL} weights, not "
                    f"{len(index)}: choose fewer by bayesian_parameters, or structure='diagonal'"
                )
            blank = values.new_zeros(len(index), len(index))
            self.posterior = FullGaussian(values.clone(), blank, index)
        else:
            self.posterior = MeanFieldGaussian(values.clone(), torch.full_like(values, torch.inf))

    @property
    def ready(self) -> bool:
        """Whether the last pass was made."""
        return "training" in self.phase_ends

    @property
    def phase(self) -> str:
        """What the next step does, in words; after the last pass, that there is a posterior."""
        return "posterior" if self.ready else "training"

    def _step(self, closure: Closure) -> Tensor:
        return self._warm_step(closure, self.learning_rate())

    def finalize(
        self,
        closures: Iterable[Closure] | None = None,
        observations_per_closure: float | None = None,
    ) -> None:
        """Measure the Fisher information at the mode, and give the posterior its spread.

        Parameters
        ----------
        closures
            Minibatch losses as for ``step``, a different minibatch each, drawn independently or in
            one pass over the data: the method's ``last_pass`` of them, say. After a last pass none
            are needed again.
        observations_per_closure
            B, how many observed values each closure averages over; by default N over the number of
            closures, which is right for one pass over the data.

        Raises
        ------
        ValueError
            Without closures where no last pass was made yet; for fewer than 2 closures, and for a
            B that is not positive.
        """
        self.rest()
        if closures is None:
            if not self.ready:
                raise ValueError(
                    "laplace makes a last pass over the data: call optimizer.finalize(closures, "
                    "observations_per_closure) with the losses of "
                    f"{self.method.last_pass} minibatches or so, one closure each"
                )
            return
        given = observations_per_closure
        wanted = "positive, or None for N over the number of closures"
        require(given is None or is_positive(given), "observations_per_closure", given, wanted)
        with torch.no_grad(), self._resting_after_errors():
            count, squares = self._scatter(closures)
            require(count >= 2, "the number of closures", count, "at least 2")
            batch = self.num_observations / count if given is None else float(given)
            squares.mul_(self.likelihood_weight * batch / (count - 1))
            self._spread(squares)
            self.phase_ends["training"] = self.steps
            self._rest()

    def _scatter(self, closures: Iterable[Closure]) -> tuple[int, Tensor]:
        """Sum squares (or outer products) of the gradients' distances to their mean."""
        index = self.posterior.index if isinstance(self.posterior, FullGaussian) else None
        size = self.flat.num_weights if index is None else len(index)
        shape = (size,) if index is None else (size, size)
        mean = torch.zeros(size, dtype=torch.float64, device=self.flat.values.device)
        squares = mean.new_zeros(shape)
        count = 0
        for closure in closures:
            self._evaluate(closure)
            count += 1
            gradient = self.flat.gradient if index is None else self.flat.gradient[index]
            offset = gradient.double() - mean
            mean.add_(offset, alpha=1.0 / count)
            share = (count - 1) / count
            if index is None:
                squares.addcmul_(offset, offset, value=share)
            else:
                squares.addr_(offset, offset, alpha=share)
        return count, squares

    def _spread(self, fisher: Tensor) -> None:
        """Set the posterior's precision from F/T, a vector or a matrix."""
        posterior = self.posterior
        if isinstance(posterior, MeanFieldGaussian):
            posterior.precision.copy_(fisher)
            self.prior.add_precision_(posterior.precision, 1.0 / self.temperature)
            self._fix_(posterior.precision, torch.inf)
            return
        prior = torch.zeros_like(posterior.mean)
        self.prior.add_precision_(prior, 1.0 / self.temperature)
        fisher.diagonal().add_(prior[posterior.index])
        covariance = torch.cholesky_inverse(torch.linalg.cholesky(fisher))
        posterior.scale_tril.copy_(torch.linalg.cholesky(covariance))
