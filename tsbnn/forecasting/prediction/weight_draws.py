"""The weight draws of one prediction: all in memory if they are small, else made anew in blocks."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from tsbnn.forecasting.seeds import derived_seed, generator
from tsbnn.inference import Posterior

BLOCK_BYTES = 64 * 2**20


class WeightDraws:
    """K weight vectors of a posterior, the same each time they are read.

    They are drawn in blocks of :data:`BLOCK_BYTES`, at least one vector each, and every block has
    a generator of its own: which vectors come out depends on the seed and K only, not on how many
    are kept. A posterior of finitely many vectors gives all K as one block: that is no more than
    the posterior itself holds.

    Parameters
    ----------
    posterior
        Where to draw from.
    num_draws
        K.
    seed
        Where randomness starts.
    memory_limit
        Bytes that the vectors may take together. Beyond, each pass draws every block again, unless
        there is only one.

    Attributes
    ----------
    fits
        Whether all vectors fit the limit.
    """

    def __init__(self, posterior: Posterior, num_draws: int, seed: int, memory_limit: int) -> None:
        self.posterior = posterior
        self.seed = seed
        width = posterior.num_weights * posterior.mean.element_size()
        step = max(1, BLOCK_BYTES // width) if posterior.num_atoms is None else num_draws
        self.ranges = [
            range(start, min(start + step, num_draws)) for start in range(0, num_draws, step)
        ]
        self.fits = num_draws * width <= memory_limit
        self._blocks: dict[int, Tensor] = {}

    def __iter__(self) -> Iterator[tuple[range, Tensor]]:
        """Go through the blocks: which draws they are, and ``draws x num_weights``."""
        for number, draws in enumerate(self.ranges):
            block = self._blocks[number] if number in self._blocks else self._draw(number)
            if self.fits or len(self.ranges) == 1:
                self._blocks[number] = block
            yield draws, block

    def _draw(self, number: int) -> Tensor:
        seed = self.seed if number == 0 else derived_seed(self.seed, number)
        return self.posterior.sample(len(self.ranges[number]), generator(seed))
