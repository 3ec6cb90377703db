"""The documentation builds without a warning, and loads nothing from other servers."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("forecaster", "forecasting", "datasets", "evaluation", "plotting")
MODULES += ("inference", "networks")
#: What the page says in words: a constant, and a function whose file has its name too.
IN_WORDS = {"METHODS", "method"}
#: Methods of bases that have no entry of their own.
INHERITED = {"forecaster": {"save", "load", "get_params"}, "forecasting": {"predict_frame"}}
#: What a browser fetches by itself.
FETCHED = re.compile(
    r'<(?:script|img|iframe|source)[^>]*\ssrc="?([^"\s>]+)'
    r'|<link[^>]*rel="?(?:stylesheet|preconnect|preload|icon)"?[^>]*href="?([^"\s>]+)'
)


def broken_links(page: Path) -> list[str]:
    """Links of a page to what the site does not have, or to no heading of another page."""
    broken = []
    for link in re.findall(r'href="?([^"\s>]+)', page.read_text(encoding="utf-8")):
        path, _, anchor = html.unescape(link).partition("#")
        if ":" in path:
            continue
        target = page.parent / unquote(path) if path else page
        if not target.exists():
            broken.append(link)
        elif anchor and target.suffix == ".html":
            ids = re.findall(r'\sid="?([^"\s>]+)', target.read_text(encoding="utf-8"))
            if unquote(anchor) not in map(html.unescape, ids):
                broken.append(link)
    return broken


@pytest.mark.slow
def test_the_site(tmp_path: Path) -> None:
    for library in ("latex2mathml", "material", "mkdocs", "mkdocstrings_handlers.python"):
        pytest.importorskip(library, reason="needs the extra docs")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(site)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = sorted(site.rglob("*.html"))
    assert {"index.html", "walkthrough.html", "comparison.html"} <= {page.name for page in pages}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        fetched = [one or other for one, other in FETCHED.findall(text)]
        assert [url for url in fetched if url.startswith(("http:", "https:", "//"))] == []
        assert 'class="arithmatex"' not in text, page.name
        images = re.findall(r'src="([^":]+\.png)"', text)
        assert [image for image in images if not (page.parent / image).is_file()] == [], page.name
    assert "<math" in (site / "score.html").read_text(encoding="utf-8")
    for module in MODULES:
        api = (site / f"api/{module}.html").read_text(encoding="utf-8")
        named = {name.rpartition(".")[2] for name in re.findall(r'id="(tsbnn[^"]*)"', api)}
        assert set(import_module(f"tsbnn.{module}").__all__) - named <= IN_WORDS, module
        assert not re.search(r":(func|class|meth|math):", api), module
        assert INHERITED.get(module, set()) <= named
    # The page for what is missing is shown at any address, so its links begin at the root.
    broken = {page.name: broken_links(page) for page in pages if page.name != "404.html"}
    assert {page: links for page, links in broken.items() if links} == {}
    for published in ("RESULTS.html", "results/forecasting.html", "results/studies.csv"):
        assert (site / "files/benchmarks" / published).is_file()
