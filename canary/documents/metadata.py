"""Labels and annotations of one's own for the generated objects."""

import re
from collections.abc import Iterator

from pydantic import Field

from canary.documents.mistake import Mistake, Path, show
from canary.documents.schema import Document
from canary.spec import ObjectMetadata, UnmanagedMetadata

_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LONGEST_PREFIX = 253


class OwnMetadata(Document):
    """Labels and annotations for one of the Services."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class ForeignMetadata(Document):
    """Keys on the Services that others write."""

    labels: list[str] = Field(default_factory=list)
    annotations: list[str] = Field(default_factory=list)


def object_metadata(given: OwnMetadata | None) -> ObjectMetadata:
    """Return what a generated object is to carry."""
    return ObjectMetadata(**given.model_dump()) if given else ObjectMetadata()


def unmanaged_metadata(given: ForeignMetadata | None) -> UnmanagedMetadata:
    """Return the keys that are left as they are."""
    if given is None:
        return UnmanagedMetadata()
    return UnmanagedMetadata(labels=tuple(given.labels), annotations=tuple(given.annotations))


def metadata_mistakes(given: OwnMetadata | None) -> Iterator[Mistake]:
    """Yield the labels and annotations that no Kubernetes object may have."""
    if given is None:
        return
    for key, value in given.labels.items():
        yield from _key_mistakes(("labels", key), key, "label")
        if value and not _NAME.fullmatch(value):
            yield Mistake(
                ("labels", key),
                f"{show(value)} is no value of a label: allowed are up to 63 letters, digits, '-', '_' "
                "and '.', with a letter or digit first and last",
            )
    for key in given.annotations:
        yield from _key_mistakes(("annotations", key), key, "annotation")


def _key_mistakes(path: Path, key: str, what: str) -> Iterator[Mistake]:
    prefix, slash, name = key.rpartition("/")
    is_prefixed = bool(_PREFIX.fullmatch(prefix)) and len(prefix) <= _LONGEST_PREFIX
    if not _NAME.fullmatch(name) or (slash and not is_prefixed):
        yield Mistake(
            path,
            f"{show(key)} is no key of a {what}: allowed are up to 63 letters, digits, '-', '_' and '.', "
            "after a domain and '/' or without",
        )
