"""Warnings of other libraries about their own code, which nobody who forecasts can act on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def without_foreign_warnings() -> Iterator[None]:
    """Ignore :data:`NOTICES`, and no other warning, for a while."""
    with warnings.catch_warnings():
        for message, module in NOTICES:
            warnings.filterwarnings("ignore", message=message, module=module)
        yield
