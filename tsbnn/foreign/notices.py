"""Warnings of other libraries about their own code, which nobody who forecasts can act on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from tsbnn.foreign.shared import SharedChange

#: Beginning of the message (a regular expression) and module it comes from, in the versions of
#: GluonTS and Lightning that tsbnn runs on.
NOTICES = (
    # GluonTS's scalers index tensors with a list, at every batch.
    ("Using a non-tuple sequence for multidimensional indexing is deprecated", r"gluonts\.torch\."),
    # GluonTS makes periods of business days, and aliases as pandas 2.1 wrote them.
    (r"Period(Dtype\[B\]| with BDay freq) is deprecated", r"gluonts\."),
    (r"'[\w-]+' is deprecated and will be removed in a future version", r"gluonts\.time_feature\."),
    # Lightning asks for leaves of trees as torch no longer likes it.
    (r"`isinstance\(treespec, LeafSpec\)` is deprecated", r"lightning\.pytorch\."),
)


def _ignore() -> Callable[[], None]:
    before = list(warnings.filters)
    for message, module in NOTICES:
        warnings.filterwarnings("ignore", message=message, module=module)
    added = [one for one in warnings.filters if one not in before]

    def undo() -> None:
        for one in added:
            # Whoever restores filters of his own in between has taken it out already.
            with suppress(ValueError):
                warnings.filters.remove(one)  # type: ignore[attr-defined]

    return undo


_IGNORED = SharedChange(_ignore)


def without_foreign_warnings() -> AbstractContextManager[None]:
    """Ignore :data:`NOTICES`, and no other warning, for a while."""
    return _IGNORED
