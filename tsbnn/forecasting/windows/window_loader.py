"""Batches of windows, each cut by one gather a field."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from torch import Tensor

from tsbnn.forecasting.windows.window_fields import WindowCutter
from tsbnn.forecasting.windows.window_streams import WindowStream

# Windows that are drawn at once, on the CPU: enough that drawing them and sending their places to
# the device costs next to nothing a batch, and few enough to be there at once.
_BLOCK = 16_384


class WindowLoader:
    """Batches without end, or the same single pass every time.

    Every iteration gives the next ``batches_per_epoch`` batches and then stops, as GluonTS's loader
    does, but the stream of windows goes on where it was: GluonTS forgets what is left of the series
    it is in, and its shuffle buffer, at the end of an epoch.

    Parameters
    ----------
    cutter
        Cuts the batches.
    stream
        Which windows.
    batch_size
        Windows of a batch.
    batches_per_epoch
        Batches of one iteration, None for an endless one.
    is_single_pass
        Give one pass over the series instead, with the same windows at every iteration, the last
        batch perhaps a smaller one.
    """

    def __init__(
        self,
        cutter: WindowCutter,
        stream: WindowStream,
        batch_size: int,
        batches_per_epoch: int | None = None,
        *,
        is_single_pass: bool = False,
    ) -> None:
        self.cutter = cutter
        self.batch_size = batch_size
        self.batches_per_epoch = batches_per_epoch
        self.is_single_pass = is_single_pass
        self._batches: Iterator[dict[str, Tensor]] = self._endless(stream)
        self._pass = stream.one_pass() if is_single_pass else None

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        if self._pass is None:
            return itertools.islice(self._batches, self.batches_per_epoch)
        cuts, is_padded = self.cutter.locate(self._pass)
        starts = range(0, len(is_padded), self.batch_size)
        return (
            self.cutter.cut(
                cuts.part(start, start + self.batch_size),
                is_padded=bool(is_padded[start : start + self.batch_size].any()),
            )
            for start in starts
        )

    def peek(self, count: int) -> list[dict[str, Tensor]]:
        """Return the next batches of an endless loader, which stay the next ones."""
        taken = list(itertools.islice(self._batches, count))
        self._batches = itertools.chain(taken, self._batches)
        return taken

    def _endless(self, stream: WindowStream) -> Iterator[dict[str, Tensor]]:
        batches = max(1, _BLOCK // self.batch_size)
        while True:
            windows = stream.take(batches * self.batch_size)
            cuts, is_padded = self.cutter.locate(windows)
            padded_batches = is_padded.view(batches, self.batch_size).any(dim=1).tolist()
            for number, padded in enumerate(padded_batches):
                start = number * self.batch_size
                yield self.cutter.cut(cuts.part(start, start + self.batch_size), is_padded=padded)
