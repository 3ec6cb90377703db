"""Peak memory of a piece of work, as the operating system sees it: tensors included."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import TracebackType

_MIB = 2**20
_STATM = Path("/proc/self/statm")


def _resident() -> int | None:
    """Bytes of this process in memory now (Linux), or their maximum so far (other systems)."""
    if _STATM.exists():
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Kilobytes everywhere but on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class PeakMemory:
    """Measure by how much the process grows, at most, inside a ``with`` block.

    A thread looks at the resident set every few milliseconds. What the process kept from earlier
    work and uses again is not seen, so the first of several equal runs shows the most; where the
    system only tells its high-water mark (macOS), so does only a new record. CUDA memory is what
    torch's allocator gave out.

    Attributes
    ----------
    mib
        Growth of host memory in MiB; NaN where the system does not tell (Windows).
    cuda_mib
        Peak CUDA memory in MiB beyond what was allocated before; None without CUDA.
    """

    mib: float = float("nan")
    cuda_mib: float | None = None

    def __init__(self, interval_s: float = 0.01) -> None:
        self._interval = interval_s
        self._stop = threading.Event()

    def __enter__(self) -> PeakMemory:
        import torch

        self._cuda_start = 0
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
            self._cuda_start = torch.cuda.memory_allocated()
        self._start = self._peak = _resident()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import torch

        self._stop.set()
        self._thread.join()
        self._look()
        if self._start is not None and self._peak is not None:
            self.mib = (self._peak - self._start) / _MIB
        if torch.cuda.is_available():
            self.cuda_mib = (torch.cuda.max_memory_allocated() - self._cuda_start) / _MIB

    def _watch(self) -> None:
        while not self._stop.wait(self._interval):
            self._look()

    def _look(self) -> None:
        now = _resident()
        if now is not None and self._peak is not None:
            self._peak = max(self._peak, now)
