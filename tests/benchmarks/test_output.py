"""Texts that scripts write into pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.output import fill

PAGE = """Before.

<!-- CRPS -->

| old |

<!-- end CRPS -->

After.
"""


def test_a_text_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    for _ in range(2):
        fill(path, {"CRPS": r"| new \1 |"})
        assert path.read_text() == PAGE.replace("| old |", r"| new \1 |")


@pytest.mark.parametrize("page", ["Nothing.\n", PAGE + PAGE, "<!-- CRPS -->\n" + PAGE])
def test_a_page_without_one_place_for_it_is_refused(tmp_path: Path, page: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(page)
    with pytest.raises(ValueError, match=r"page\.md has no place, or several, for 'CRPS'"):
        fill(path, {"CRPS": "| new |"})
    assert path.read_text() == page
