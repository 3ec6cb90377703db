"""Changes of process-wide state that threads share: the first one in makes them."""

from __future__ import annotations

import threading
from collections.abc import Callable


class SharedChange:
    """A change of process-wide state that lasts as long as any thread is inside.

    Where each saved what it found and put that back, two that overlap would leave the first one's
    change behind for good.

    Parameters
    ----------
    change
        Makes the change, and returns what undoes it.
    """

    def __init__(self, change: Callable[[], Callable[[], None]]) -> None:
        self._change = change
        self._lock = threading.Lock()
        self._inside = 0
        self._undo: Callable[[], None] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._undo is None:
                self._undo = self._change()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._undo is not None:
                undo, self._undo = self._undo, None
                undo()
