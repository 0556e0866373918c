"""What is wrong with a document: at which field, and what is allowed there."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

Path = tuple[str | int, ...]
"""Keys and list indexes from a document's root."""

VALUE = 60
"""Letters of a value that a message shows."""
SENTENCE = 200
"""Letters of another's sentence that a message shows."""


def show(value: object, longest: int = VALUE) -> str:
    """Write what a document says so that it fits into a line, whatever it is."""
    match value:
        case None:
            text = "null"
        case bool():
            text = str(value).lower()
        case dict():
            text = "a mapping"
        case list():
            text = "a list"
        case _:
            text = " ".join(str(value).split()) or "empty"
    text = "".join(letter if letter.isprintable() else "�" for letter in text)
    return text if len(text) <= longest else f"{text[:longest]}..."


@dataclass(frozen=True)
class Mistake:
    """One mistake, or one thing that is allowed and probably not meant."""

    path: Path
    message: str
    is_warning: bool = False
    document: int = 0
    """The document's place among those that were given."""

    @property
    def where(self) -> str:
        """The path as people write it: `spec.syncPolicies[0].rollout.port`."""
        return path_text(self.path)

    def __str__(self) -> str:
        text = f"warning: {self.message}" if self.is_warning else self.message
        return f"{self.where}: {text}" if self.path else text


def path_text(path: Path) -> str:
    """Write a path in dots and brackets."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{show(part)}" for part in path)
    return text.removeprefix(".")


def under(prefix: Path, mistakes: Iterable[Mistake]) -> Iterator[Mistake]:
    """Move *mistakes* of a part of a document below that part's own path."""
    for mistake in mistakes:
        yield replace(mistake, path=(*prefix, *mistake.path))


def of_document(index: int, mistakes: Iterable[Mistake]) -> Iterator[Mistake]:
    """Say which document *mistakes* belong to."""
    for mistake in mistakes:
        yield replace(mistake, document=index)


def warning(path: Path, message: str) -> Mistake:
    """Return a mistake that does not keep the document from being applied."""
    return Mistake(path, message, is_warning=True)
