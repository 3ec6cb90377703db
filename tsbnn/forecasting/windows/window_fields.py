"""What a batch is made of: which field is cut where, and the gather that cuts it.

As GluonTS's ``InstanceSplitter`` and ``TFTInstanceSplitter`` cut one window at a time, and
``as_stacked_batches`` stacks them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from gluonts.transform.split import InstanceSplitter, TFTInstanceSplitter
from torch import Tensor

from tsbnn.forecasting.windows.not_served import NotServedError
from tsbnn.forecasting.windows.window_store import WindowStore
from tsbnn.forecasting.windows.window_streams import Windows

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class BatchField(NamedTuple):
    """One field of a batch.

    Attributes
    ----------
    name
        In the batch.
    source
        The field of the series that it comes from.
    part
        What is taken of that: the points before the split, those of the horizon, both, a sign
        where there is none (``padding``), or all of it (``static``).
    """

    name: str
    source: str
    part: Literal["past", "future", "whole", "padding", "static"]


def check_splitter(splitter: Any) -> None:
    """Refuse what is not exactly one of GluonTS's two instance splitters.

    Raises
    ------
    NotServedError
        Naming what it is.
    """
    if type(splitter) not in (InstanceSplitter, TFTInstanceSplitter):
        parts = getattr(splitter, "transformations", [splitter])
        raise NotServedError(
            f"windows are cut by {' + '.join(type(part).__name__ for part in parts)}, "
            "not by an InstanceSplitter alone"
        )
    needed = splitter.lead_time + splitter.future_length
    found = getattr(splitter.instance_sampler, "min_future", needed)
    if found < needed:
        raise NotServedError(
            f"its sampler has min_future={found}, and the horizon ends {needed} points after "
            "the split"
        )


def batch_fields(splitter: Any, names: Sequence[str]) -> list[BatchField]:
    """Say where the fields of a batch come from."""
    split = [*splitter.ts_fields, splitter.target_field]
    cut: dict[str, BatchField] = {}
    if type(splitter) is TFTInstanceSplitter:
        split = [splitter.target_field]
        if splitter.observed_value_field is not None:
            split.append(splitter.observed_value_field)
        cut |= {name: BatchField(name, name, "past") for name in splitter.past_ts_fields}
        cut |= {name: BatchField(name, name, "whole") for name in splitter.ts_fields}
    for name in split:
        cut[f"past_{name}"] = BatchField(f"past_{name}", name, "past")
        cut[f"future_{name}"] = BatchField(f"future_{name}", name, "future")
    padding = f"past_{splitter.is_pad_field}"
    cut[padding] = BatchField(padding, splitter.target_field, "padding")
    return [cut.get(name, BatchField(name, name, "static")) for name in names]


class Cuts(NamedTuple):
    """Where windows lie, on the device: rows of the store, and what is missing before it.

    Attributes
    ----------
    series
        Position of the series.
    rows
        Where the past starts, in points of the store.
    missing
        Points of the past that lie before the start of the series.
    """

    series: Tensor
    rows: Tensor
    missing: Tensor

    def part(self, start: int, stop: int) -> Cuts:
        """Return some of them."""
        return Cuts(self.series[start:stop], self.rows[start:stop], self.missing[start:stop])


class WindowCutter:
    """Cuts batches out of a store.

    Parameters
    ----------
    store
        The series, with at least ``splitter.past_length`` points in front.
    splitter
        One of GluonTS's instance splitters.
    fields
        What a batch is made of.
    device
        Where batches are cut: that of the store.
    """

    def __init__(
        self,
        store: WindowStore,
        splitter: Any,
        fields: Sequence[BatchField],
        device: torch.device,
    ) -> None:
        self.store = store
        self.device = device
        self.past, self.future = splitter.past_length, splitter.future_length
        self.lead = splitter.lead_time
        self.is_time_major = splitter.output_NTC
        self.dummy = splitter.dummy_value
        self.fields = fields
        self._bits: dict[tuple[torch.dtype, int], Tensor] = {}
        has_sign = any(field.part == "padding" for field in fields)
        self._needs_mask = has_sign or not store.is_padded
        self._points = torch.arange(self.past, device=device)
        target = store.series[splitter.target_field].dtype
        self._padding_type = torch.float64 if type(splitter) is TFTInstanceSplitter else target
        lengths = {"past": self.past, "future": self.future}
        self._slices = {
            (field.source, part): store.slices(field.source, length)
            for field in fields
            for part, length in lengths.items()
            if field.part in (part, "whole")
        }

    def locate(self, windows: Windows) -> tuple[Cuts, Tensor]:
        """Say where windows lie, and on the CPU which of them reach before their series."""
        rows = self.store.starts[windows.series] + windows.split - self.past
        missing = (self.past - windows.split).clamp_(min=0)
        cuts = [tensor.to(self.device) for tensor in (windows.series, rows, missing)]
        return Cuts(*cuts), missing > 0

    def cut(self, cuts: Cuts, *, is_padded: bool = True) -> dict[str, Tensor]:
        """Cut a batch; ``is_padded=False`` says that no window reaches before its series."""
        is_padded = is_padded and self._needs_mask
        mask = self._points < cuts.missing[:, None] if is_padded else None
        return {field.name: self._cut(field, cuts, mask) for field in self.fields}

    def _blank(self, past: Tensor, mask: Tensor, missing: Tensor) -> None:
        """Put the dummy value where a window reaches before its series."""
        shape, width = past.shape, math.prod(past.shape[2:])
        if self.dummy != 0:
            dummy = torch.tensor(self.dummy).to(past.dtype).item()
            past.masked_fill_(mask.view(*shape[:2], *(1 for _ in shape[2:])), dummy)
            return
        # Zeros are no bits at all, of missing values too. A CPU ands four times as fast as it fills
        # by a mask; all masks there can be are slices of one row of bits, first none, then all.
        bits = past.view(_INTEGERS[past.element_size()]).view(len(past), -1)
        size = self.past * width
        key = (bits.dtype, size)
        if key not in self._bits:
            ends = [torch.full((size,), value, dtype=bits.dtype) for value in (0, -1)]
            row = torch.cat(ends).to(self.device)
            self._bits[key] = row.as_strided((size + 1, size), (1, 1))
        bits.bitwise_and_(self._bits[key].index_select(0, size - missing * width))

    def _cut(self, field: BatchField, cuts: Cuts, mask: Tensor | None) -> Tensor:
        if field.part == "static":
            return self.store.statics[field.source].index_select(0, cuts.series)
        if field.part == "padding":
            if mask is None:
                shape = (len(cuts.series), self.past)
                return torch.zeros(shape, dtype=self._padding_type, device=self.device)
            return mask.to(self._padding_type)
        pieces = []
        if field.part != "future":
            past = self._slices[field.source, "past"].index_select(0, cuts.rows)
            if mask is not None and not self.store.is_padded:
                self._blank(past, mask, cuts.missing)
            pieces.append(past)
        if field.part != "past":
            start = cuts.rows + (self.past + self.lead)
            pieces.append(self._slices[field.source, "future"].index_select(0, start))
        window = pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)
        if self.is_time_major or window.ndim == 2:
            return window
        return window.permute(0, *reversed(range(1, window.ndim))).contiguous()
