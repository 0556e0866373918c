"""The documents of the repository as text: their code, words and links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "examples/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [text for name, text in _FENCE.findall(page.read_text()) if name == language]


def without_blocks(page: Path) -> str:
    """A page's text and tables."""
    return _FENCE.sub("", page.read_text())


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """The words of every call of *program*: of console blocks, and in the text."""
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    for line in [*lines, *_INLINE.findall(without_blocks(page))]:
        words = shlex.split(line.split(" | ")[0], comments=True) if program in line else []
        while words and _ASSIGNMENT.fullmatch(words[0]):
            words = words[1:]
        if words and (words[0] == program or words[0].endswith(f"/{program}")):
            yield words[1:]


def defined(page: Path) -> list[str]:
    """The words that a page defines: `**word** — …` at the beginning of a paragraph."""
    return re.findall(r"^\*\*([^*]+)\*\* — ", page.read_text(), re.MULTILINE)


def links(page: Path) -> list[str]:
    """Where a page points to inside the repository."""
    return [link for link in _LINK.findall(without_blocks(page)) if "://" not in link]


def anchors(page: Path) -> set[str]:
    """What of a page can be pointed at."""
    headings = _HEADING.findall(without_blocks(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def column(page: Path, heading: str) -> list[str]:
    """The first column, without its code marks, of every table whose first column has this heading."""
    found: list[str] = []
    is_inside = False
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            is_inside = False
        elif cells[0] == heading:
            is_inside = True
        elif is_inside and not set(cells[0]) <= {"-"}:
            found += re.findall(r"`([^`]+)`", cells[0])
    return found
