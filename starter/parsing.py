"""From the text of a file to plain data, with the line of every field.

Reads events rather than a tree: what is nested too deep or grows too large through aliases ends at once.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.nodes import ScalarNode

from canary.documents.mistake import Path, show

DEEPEST = 64
"""Levels of nesting; the deepest field of a document has about fifteen."""
MOST_VALUES = 20_000
"""Values of one file, each alias counted as all that it stands for; an Application has about a hundred."""

_TAG = "tag:yaml.org,2002:"
_PLAIN = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp"))
_TEXTS = (_TAG + "str", _TAG + "timestamp")  # JSON, which documents really are, has no dates
_INT = _TAG + "int"
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_MERGE = _TAG + "merge"
_LEADING_TABS = re.compile(r"^[ \t]*\t[ \t]*", re.MULTILINE)


class UnreadableError(Exception):
    """A text is no YAML, or none that is read here."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True)
class Parsed:
    """One document of a text, and on which line each of its fields stands."""

    data: object
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """Return the line of *path*, or of what is nearest above it where the field is missing."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def parse(text: str) -> Iterator[Parsed]:
    """Yield the documents of *text*, YAML or JSON, without the empty ones.

    Raises:
        UnreadableError: at the first place that cannot be read.
    """
    yaml = YAML(typ="safe", pure=True)
    builder = _Builder(yaml)
    try:
        for event in yaml.parse(_without_tabs(text)):
            if isinstance(event, DocumentStartEvent):
                builder.start()
            elif isinstance(event, NodeEvent):
                builder.take(event)
            elif isinstance(event, CollectionEndEvent):
                builder.close()
            elif isinstance(event, DocumentEndEvent) and builder.root is not None:
                yield Parsed(builder.root, builder.lines)
    except YAMLError as error:
        raise _unreadable(error) from error


def _without_tabs(text: str) -> str:
    """JSON may be indented by tabs, which YAML does not allow; its lines never begin inside a text."""
    return _LEADING_TABS.sub("", text) if text.lstrip().startswith(("{", "[")) else text


def _unreadable(error: YAMLError) -> UnreadableError:
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return UnreadableError(1, f"is not YAML: {str(error).splitlines()[0]}")
    what = str(error.problem)
    if r"'\t'" in what:
        what = "a tab indents this line, only spaces may"
    return UnreadableError(error.problem_mark.line + 1, f"is not YAML: {what}")


def _text(text: str, line: int) -> str:
    """Put together the halves that JSON writes letters beyond the first 65,536 with."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise UnreadableError(
            line, "holds half a letter: an escaped surrogate without its other half"
        ) from error


@dataclass
class _Open:
    """A mapping or a list whose end has not come yet."""

    value: dict[str, Any] | list[Any]
    path: Path
    anchor: str | None
    size: int = 1
    key: str | None = None


@dataclass
class _Anchored:
    """A value that aliases may stand for; without a size while it is still open."""

    value: object
    size: int | None


@dataclass
class _Builder:
    """Makes plain data of events, one document after the other."""

    yaml: YAML
    root: object = None
    lines: dict[Path, int] = field(default_factory=dict)
    open: list[_Open] = field(default_factory=list)
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    values: int = 0

    def start(self) -> None:
        """Begin a document."""
        self.root, self.lines, self.anchors = None, {}, {}

    def take(self, event: NodeEvent) -> None:
        """Take the next key, value, or beginning of a mapping or list."""
        line = event.start_mark.line + 1
        if self.open and isinstance(self.open[-1].value, dict) and self.open[-1].key is None:
            self._take_key(event, line)
        elif isinstance(event, CollectionStartEvent):
            self._open(event, line)
        elif isinstance(event, ScalarEvent):
            self._take_scalar(event, line)
        else:
            self._take_alias(str(event.anchor), line)

    def close(self) -> None:
        """End the mapping or list that was opened last."""
        closed = self.open.pop()
        if closed.anchor:
            self.anchors[closed.anchor] = _Anchored(closed.value, closed.size)
        self._attach(closed.value, closed.size)

    def _take_key(self, event: NodeEvent, line: int) -> None:
        if not isinstance(event, ScalarEvent):
            raise UnreadableError(line, "a field's name must be text")
        if self._tag(event) == _MERGE:
            raise UnreadableError(line, "merge keys (<<) are not read: write the fields out")
        top, name = self.open[-1], _text(event.value, line)
        path = (*top.path, name)
        if path in self.lines:
            raise UnreadableError(line, f"{show(name)} is given twice, first on line {self.lines[path]}")
        top.key = name
        self.lines[path] = line

    def _open(self, event: CollectionStartEvent, line: int) -> None:
        if len(self.open) == DEEPEST:
            raise UnreadableError(line, f"is nested deeper than {DEEPEST} levels")
        if event.tag is not None and not event.tag.startswith(_TAG):
            raise UnreadableError(line, f"the tag {show(event.tag)} is not read")
        value: dict[str, Any] | list[Any] = {} if isinstance(event, MappingStartEvent) else []
        path = self._next_path()
        self.lines.setdefault(path, line)
        self._count(1, line)
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(value, None)
        self.open.append(_Open(value, path, event.anchor))

    def _take_scalar(self, event: ScalarEvent, line: int) -> None:
        value = self._scalar(event, line)
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(value, 1)
        self._put(value, 1, line)

    def _take_alias(self, name: str, line: int) -> None:
        anchored = self.anchors.get(name)
        if anchored is None:
            raise UnreadableError(line, f"nothing is called &{show(name)}")
        if anchored.size is None:
            raise UnreadableError(line, f"*{show(name)} stands inside itself")
        self._put(anchored.value, anchored.size, line)

    def _put(self, value: object, size: int, line: int) -> None:
        self.lines.setdefault(self._next_path(), line)
        self._count(size, line)
        self._attach(value, size)

    def _attach(self, value: object, size: int) -> None:
        if not self.open:
            self.root = value
            return
        top = self.open[-1]
        top.size += size
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is not None:
            top.value[top.key] = value
            top.key = None

    def _next_path(self) -> Path:
        if not self.open:
            return ()
        top = self.open[-1]
        return (*top.path, len(top.value) if isinstance(top.value, list) else str(top.key))

    def _count(self, size: int, line: int) -> None:
        self.values += size
        if self.values > MOST_VALUES:
            raise UnreadableError(line, f"holds more than {MOST_VALUES} values, aliases written out")

    def _tag(self, event: ScalarEvent) -> str:
        if event.tag not in (None, "!"):
            return str(event.tag)
        return str(self.yaml.resolver.resolve(ScalarNode, event.value, event.implicit))

    def _scalar(self, event: ScalarEvent, line: int) -> object:
        tag = self._tag(event)
        if tag not in _PLAIN:
            raise UnreadableError(line, f"the tag {show(tag.removeprefix(_TAG))} is not read")
        if tag in _TEXTS:
            return _text(event.value, line)
        if tag == _INT and _LEADING_ZERO.fullmatch(event.value):
            text = "begins with 0, which makes it octal for kubectl and decimal here: leave the 0 out"
            raise UnreadableError(line, f"{show(event.value)} {text}, or put it in quotes if it is text")
        try:
            return self.yaml.constructor.construct_object(ScalarNode(tag, event.value))
        except (ValueError, KeyError) as error:
            kind = tag.removeprefix(_TAG)
            raise UnreadableError(line, f"{show(event.value)} is no {kind}") from error
