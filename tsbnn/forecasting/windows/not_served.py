"""Why GluonTS's own loader is used instead of one gather: the reason, said once."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)
_said: set[str] = set()


class NotServedError(Exception):
    """GluonTS's own loader has to be used.

    Parameters
    ----------
    reason
        Half a sentence.
    fits_memory
        Whether that loader may keep the transformed series in memory.
    """

    def __init__(self, reason: str, *, fits_memory: bool = True) -> None:
        super().__init__(reason)
        self.fits_memory = fits_memory


def say_once(reason: object) -> None:
    """Log that, and why, GluonTS's own loader is used; the same reason is logged once only."""
    sentence = f"windows come from GluonTS's own, slower loader: {reason}"
    if sentence not in _said:
        _said.add(sentence)
        logger.info(sentence)
