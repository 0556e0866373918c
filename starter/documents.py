"""Documents from files: read, checked, and each mistake with its file and line."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as File

from canary.documents.applications import HOST
from canary.documents.mistake import Mistake, Path
from canary.documents.resolve import Resolution, resolve
from canary.problem import Problem
from starter.parsing import Parsed, UnreadableError, parse

STDIN = "-"
LARGEST = 1024 * 1024
"""Bytes of one file; a document has a few thousand."""

_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Finding:
    """One mistake, where it stands in which file."""

    file: str
    line: int | None
    path: str
    message: str
    is_warning: bool = False

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        parts = [place, "warning" if self.is_warning else "", self.path, self.message]
        return ": ".join(part for part in parts if part)


@dataclass(frozen=True)
class Source:
    """One document and the file it came from."""

    file: str
    parsed: Parsed

    def finding(self, mistake: Mistake) -> Finding:
        """Say where in the file *mistake* is."""
        return Finding(
            self.file, self.parsed.line(mistake.path), mistake.where, mistake.message, mistake.is_warning
        )


@dataclass(frozen=True)
class Documents:
    """What a set of files comes to: specs where nothing is wrong, and every mistake."""

    sources: tuple[Source, ...]
    resolution: Resolution
    findings: tuple[Finding, ...]

    def finding(self, document: int, problem: Problem) -> Finding:
        """Say where a mistake that a worker found stands; its path may lead nowhere in the document."""
        source = self.sources[document]
        line = source.parsed.line(parse_path(problem.path))
        return Finding(source.file, line, problem.path, problem.message, problem.is_warning)


def load(paths: Sequence[str], cluster: str | None = None) -> Documents:
    """Read the documents of files, folders and standard input (`-`), and resolve them together.

    Args:
        paths: what was given with `-f`, in order.
        cluster: where Flagger's Canaries are, which do not say so themselves.
    """
    sources: list[Source] = []
    unreadable: list[Finding] = []
    for index, path in enumerate(paths):
        try:
            for file in _files(path, is_again=path in paths[:index]):
                sources += _sources(file)
        except _UnreadableFileError as error:
            unreadable.append(error.finding)
    resolution = resolve([source.parsed.data for source in sources], cluster)
    # What is missing may stand in the file that could not be read.
    absent = {(each.document, each.path) for each in resolution.unresolved} if unreadable else set()
    found = [
        sources[mistake.document].finding(mistake)
        for mistake in resolution.mistakes
        if (mistake.document, mistake.path) not in absent
    ]
    return Documents(tuple(sources), resolution, (*unreadable, *_in_order(found, sources)))


def lint(paths: Sequence[str], cluster: str | None = None) -> list[Finding]:
    """Return every mistake in the documents of *paths*, without asking a worker or a cluster."""
    return list(load(paths, cluster or HOST.name).findings)  # nothing is applied: any cluster will do


def parse_path(text: str) -> Path:
    """Read a path as people write it: `spec.syncPolicies[0].rollout.port`."""
    return tuple(
        int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)|\[([0-9]+)\]", text)
    )


class _UnreadableFileError(Exception):
    """A file cannot be read, or is no document."""

    def __init__(self, file: str, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.finding = Finding(file, line, "", message)


def _in_order(findings: Sequence[Finding], sources: Sequence[Source]) -> list[Finding]:
    """Sort as a reader goes through the files."""
    place = {source.file: index for index, source in reversed(list(enumerate(sources)))}
    return sorted(findings, key=lambda each: (place[each.file], each.line or 0))


def _files(path: str, *, is_again: bool) -> list[str]:
    if path == STDIN and is_again:
        raise _UnreadableFileError("stdin", "is given twice, and can be read once")
    try:
        if path == STDIN or not File(path).is_dir():
            return [path]
        files = sorted(str(file) for file in File(path).iterdir() if file.suffix in _SUFFIXES)
    except OSError as error:
        raise _UnreadableFileError(path, f"cannot be read: {error.strerror}") from error
    if not files:
        raise _UnreadableFileError(path, f"holds no file that ends in {', '.join(_SUFFIXES)}")
    return files


def _sources(file: str) -> list[Source]:
    name = "stdin" if file == STDIN else file
    text = _text(file, name)
    try:
        sources = [Source(name, parsed) for parsed in parse(text)]
    except UnreadableError as error:
        raise _UnreadableFileError(name, error.message, error.line) from error
    if not sources:
        raise _UnreadableFileError(name, "is empty: it holds no document")
    return sources


def _text(file: str, name: str) -> str:
    try:
        with sys.stdin.buffer if file == STDIN else File(file).open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise _UnreadableFileError(name, f"cannot be read: {error.strerror}") from error
    if len(content) > LARGEST:
        raise _UnreadableFileError(name, f"is larger than {LARGEST // 1024} KiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _UnreadableFileError(name, "is not text in UTF-8", line) from error
