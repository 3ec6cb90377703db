"""What the site needs beyond Markdown: files beside docs/, MathML, docstrings in Markdown."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import Any

import griffe
from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
#: Where the site keeps those files of the repository that pages link to.
PUBLISHED = "files/"
_UPWARDS = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]+)(#[^)]+)?\)")
_LINK = re.compile(r"\]\(([^):#]+)(?:#[^)]*)?\)")
#: What latex2mathml does not know, and the space that it leaves out.
_UNKNOWN = {r"\arg\min": r"\mathrm{arg\,min}", r"\log ": r"\log\, ", r"\operatorname": r"\mathrm"}
_TABLE = re.compile(
    r"^((?: *=+ +=[= ]*\n)(?:.+\n)+?(?: *=+ +=[= ]*\n)(?:.+\n?)+)", flags=re.MULTILINE
)
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Publish every file that lies outside of docs/ and that a page, or one of them, links to."""
    left = [
        _outside(page.src_uri, link)
        for page in files.documentation_pages()
        for _, link, _ in _UPWARDS.findall(page.content_string)
    ]
    named: set[str] = set()
    while left:
        name = left.pop()
        if name is None or name in named or not (ROOT / name).is_file():
            continue
        named.add(name)
        if name.endswith(".md"):
            text = (ROOT / name).read_text(encoding="utf-8")
            left += [_outside(f"../{name}", link) for link in _LINK.findall(text)]
    for name in sorted(named):
        uri = PUBLISHED + name
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / name)))
    return files


def _outside(page: str, link: str) -> str | None:
    """Name a page's link from the root of the repository; None where it stays in docs/."""
    path = Path(os.path.normpath(ROOT / "docs" / Path(page).parent / link))
    inside = path.is_relative_to(ROOT / "docs") or not path.is_relative_to(ROOT)
    return None if inside else path.relative_to(ROOT).as_posix()


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links out of docs/ into links to the published files; folders are just named."""
    uri = page.file.src_uri
    if uri.startswith(PUBLISHED):
        return re.sub(r"\]\((\.\./)+docs/", "](" + "../" * uri.count("/"), markdown)

    def published(match: re.Match[str]) -> str:
        text, link, anchor = match.groups(default="")
        name = _outside(uri, link)
        if name is None:
            return match[0]
        return (
            f"[{text}]({'../' * uri.count('/')}{PUBLISHED}{name}{anchor})"
            if (ROOT / name).is_file()
            else text
        )

    return _UPWARDS.sub(published, markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Write formulas as MathML, which needs neither a script nor a server."""

    def mathml(match: re.Match[str]) -> str:
        display = "block" if match[1] == "div" else "inline"
        formula = html.unescape(match[2]).strip()
        for command, said in _UNKNOWN.items():
            formula = formula.replace(command, said)
        return convert(formula, display=display)

    return _FORMULA.sub(mathml, content)


class RestructuredText(griffe.Extension):
    """Docstrings' formulas, roles and literal blocks, said in Markdown."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = _markdown(obj.docstring.value)


def _markdown(text: str) -> str:
    """Docstrings have formulas (``.. math::``, ``:math:``), roles, ``::``; tables become code."""
    text = re.sub(r"^( *)\.\. math::(.*(?:\n\1 +\S.*)*)", _display, text, flags=re.MULTILINE)
    text = re.sub(r":math:`([^`]+)`", r"$\1$", text)
    text = re.sub(r":(?:attr|class|data|func|meth|mod):`~?([^`]+)`", r"`\1`", text)
    text = _TABLE.sub(_code, text)
    return re.sub(r"::$", ":", text, flags=re.MULTILINE)


def _display(match: re.Match[str]) -> str:
    formula = " ".join(line.strip() for line in match[2].splitlines()).strip()
    return f"{match[1]}$$\n{match[1]}{formula}\n{match[1]}$$"


def _code(match: re.Match[str]) -> str:
    return "\n".join("    " + line for line in match[1].rstrip().splitlines()) + "\n"
