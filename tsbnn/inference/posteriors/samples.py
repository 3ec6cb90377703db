"""Kept weight vectors: the posterior that chains and ensembles leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from tsbnn.inference.posteriors.base import Posterior


class SampleSet(Posterior):
    r"""Equally weighted weight vectors, with moments over more states than are kept.

    :meth:`record_` takes the states of a chain one by one. Mean and variance are streamed over
    *all* of them (B. P. Welford, 1962); every ``spacing``-th is kept. When the memory is full,
    every second kept vector is dropped and the spacing doubles, so the kept ones always cover the
    whole chain evenly. Before the first state the posterior is a point.

    Parameters
    ----------
    samples
        Weight vectors, ``capacity x num_weights``, all kept; the moments are theirs.
    """

    family = "samples"
    samples: Tensor
    locations: Tensor
    squares: Tensor
    counters: Tensor

    def __init__(self, samples: Tensor) -> None:
        super().__init__()
        if samples.ndim != 2 or len(samples) == 0:
            raise ValueError(
                "samples must be capacity x num_weights with a capacity of at least 1, not of "
                f"shape {tuple(samples.shape)}"
            )
        self.register_buffer("samples", samples)
        self.register_buffer("locations", samples[0].clone())
        # Sum over states of the squared distance to the mean.
        self.register_buffer("squares", torch.zeros_like(samples[0]))
        # Number of kept vectors, number of states, spacing. They stay on the CPU, so that reading
        # them never waits for an accelerator.
        self.register_buffer("counters", torch.tensor([len(samples), len(samples), 1]))
        self.refresh_()

    @classmethod
    def empty(cls, position: Tensor, capacity: int, spacing: int = 1) -> Self:
        """Build a set that has room for ``capacity`` vectors and rests at ``position``.

        Parameters
        ----------
        position
            Where the chain is, ``num_weights``.
        capacity
            The largest number of kept vectors, at least 2 for a chain of unknown length.
        spacing
            Every how many states one is kept, at first.
        """
        built = cls(position.new_zeros(capacity, len(position)))
        built.counters[2] = spacing
        built.forget_(position)
        return built

    @property
    def capacity(self) -> int:
        """The largest number of kept vectors."""
        return len(self.samples)

    @property
    def count(self) -> int:
        """Number of kept vectors."""
        return int(self.counters[0])

    @property
    def num_states(self) -> int:
        """Number of states that the moments are over."""
        return int(self.counters[1])

    @property
    def spacing(self) -> int:
        """Every how many states one is kept."""
        return int(self.counters[2])

    @property
    def kept(self) -> Tensor:
        """The kept vectors, oldest first: ``count x num_weights``."""
        return self.samples[: self.count]

    @property
    def mean(self) -> Tensor:
        """Mean of all states, ``num_weights``; the chain's position before the first."""
        return self.locations

    @property
    def variance(self) -> Tensor:
        """Variance over all states (divided by their number), ``num_weights``."""
        return self.squares / max(1, self.num_states)

    @property
    def num_atoms(self) -> int:
        """Number of kept vectors; one, the mean, before the first."""
        return max(1, self.count)

    def record_(self, state: Tensor, scratch: Tensor | None = None) -> None:
        """Take one more state (``num_weights``) into the moments, and keep it if it is its turn.

        ``scratch`` (``num_weights``) is overwritten where given, and nothing is allocated.
        """
        count, states, spacing = self.counters.tolist()
        states += 1
        offset = torch.sub(state, self.locations, out=scratch)
        self.locations.add_(offset, alpha=1.0 / states)
        self.squares.addcmul_(offset, offset, value=(states - 1) / states)
        if states % spacing == 0 and count == self.capacity:
            # The later one of each two, so that the rest lie at multiples of the new spacing.
            count //= 2
            for index in range(count):
                self.samples[index].copy_(self.samples[2 * index + 1])
            self.samples[count:].zero_()
            spacing *= 2
        if states % spacing == 0:
            self.samples[count].copy_(state)
            count += 1
        self.counters.copy_(torch.tensor([count, states, spacing]))

    def forget_(self, position: Tensor) -> None:
        """Drop all states and rest at ``position`` (``num_weights``); the spacing stays."""
        if self.count:
            self.samples.zero_()
        self.locations.copy_(position)
        self.squares.zero_()
        self.counters[:2] = 0

    def refresh_(self) -> None:
        """Make the moments those of the kept vectors, which somebody may have changed in place."""
        kept = self.kept
        torch.mean(kept, 0, out=self.locations)
        torch.sum((kept - self.locations).square_(), 0, out=self.squares)
        self.counters[1] = self.counters[0]

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Choose ``n`` kept vectors, evenly spread over the chain: ``n x num_weights``.

        None comes twice while ``n`` is at most their number; beyond, repeats are balanced. The
        generator gives where the even spacing starts, and the vectors come oldest first. A weight
        without any spread has its mean in every draw: deterministic parameters do not fall back
        to where they were when a vector was kept.
        """
        count = self.count
        if count == 0:
            return self.mean.repeat(n, 1)
        device = "cpu" if generator is None else generator.device
        start = float(torch.rand((), generator=generator, device=device, dtype=torch.float64))
        rows = [min(count - 1, int((index + start) * count / n)) for index in range(n)]
        chosen = self.samples[torch.tensor(rows, dtype=torch.long, device=self.samples.device)]
        return torch.where(self.squares == 0, self.locations, chosen)

    def log_prob(self, weights: Tensor) -> Tensor:
        """Refuse: a set of samples has no density.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("a set of samples has no density; use a variational method for log_prob")

    def sizes(self) -> dict[str, int]:
        """Return the number of weights and the capacity."""
        return {"num_weights": self.num_weights, "capacity": self.capacity}

    @classmethod
    def blank(cls, num_weights: int, capacity: int = 1) -> SampleSet:
        """Build an empty set at zero, of the given sizes."""
        return cls.empty(torch.zeros(num_weights), capacity)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        counters = self.counters
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.counters = counters
        return self
