"""Changes that threads share: made by the first one in, undone by the last one out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import pytest

from tsbnn.foreign.notices import NOTICES, without_foreign_warnings
from tsbnn.foreign.shared import SharedChange


def test_the_last_one_out_undoes_what_the_first_one_in_did() -> None:
    said: list[str] = []

    def change() -> Callable[[], None]:
        said.append("made")
        return lambda: said.append("undone")

    shared = SharedChange(change)
    # As two threads overlap: the first one in is the first one out.
    first, second = _inside(shared), _inside(shared)
    next(first)
    next(second)
    assert list(first) == []
    assert said == ["made"]
    assert list(second) == []
    assert said == ["made", "undone"]
    with pytest.raises(KeyError), shared:
        raise KeyError
    assert said == ["made", "undone"] * 2


def _inside(shared: SharedChange) -> Iterator[None]:
    with shared:
        yield


def test_filters_are_as_they_were_after_contexts_that_overlap() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        first, second = without_foreign_warnings(), without_foreign_warnings()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert len(warnings.filters) == len(before) + len(NOTICES)
        # A filter of the caller's own stays.
        warnings.filterwarnings("ignore", "mine")
        second.__exit__(None, None, None)
        assert list(warnings.filters)[1:] == before
