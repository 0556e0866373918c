"""The building blocks of the documents' models: strictness, durations, ports, fields not done yet."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from canary.documents.mistake import Mistake, Path, show

Structure = dict[str, Any]
"""A structure that is passed on, or that is refused as a whole."""

YEAR = timedelta(days=366)
"""Nothing in a rollout lasts longer; it also keeps a mistyped number from overflowing."""

LARGEST_PORT = 65535
_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_UNITS = {
    "ns": timedelta(microseconds=0.001),
    "us": timedelta(microseconds=1),
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
}
_QUANTITY = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ns|us|ms|s|m|h)"
_DURATION = re.compile(rf"-?(?:{_QUANTITY})+|0")


class Document(BaseModel):
    """A frozen part of a document: no unknown field, no value of another type."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, alias_generator=to_camel
    )


class Metadata(Document):
    """Kubernetes' ObjectMeta: name and namespace matter here, the rest is for others and the cluster."""

    name: Annotated[str, Field(min_length=1)]
    namespace: str = "default"
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)
    generate_name: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: int | None = None
    creation_timestamp: object = None
    deletion_timestamp: object = None
    deletion_grace_period_seconds: int | None = None
    owner_references: list[Structure] = Field(default_factory=list)
    managed_fields: list[Structure] = Field(default_factory=list)
    self_link: str | None = None


@dataclass(frozen=True)
class NotDone:
    """Marks a field that the API has and the engine does not do: any value that says something is named."""

    reason: str = "not supported yet"
    is_warning: bool = False
    """The field is another product's business and may stand there."""


NOT_YET = NotDone()


@dataclass(frozen=True)
class Remedy:
    """Marks a field that may be left out elsewhere and not here: what to write."""

    text: str


def refused(part: Document, path: Path = ()) -> Iterator[Mistake]:
    """Yield the fields of *part* that say something the engine does not do."""
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        here = (*path, field.alias or name)
        mark = next((each for each in field.metadata if isinstance(each, NotDone)), None)
        if mark is None:
            yield from _refused_inside(value, here)
        elif value:  # false, 0 and empty mean in these APIs what leaving the field out means
            yield Mistake(here, mark.reason, is_warning=mark.is_warning)


def _refused_inside(value: object, path: Path) -> Iterator[Mistake]:
    if isinstance(value, Document):
        yield from refused(value, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _refused_inside(item, (*path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _refused_inside(item, (*path, key))


def parse_duration(value: object) -> timedelta:
    """Read a duration as Go writes it."""
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise PydanticCustomError(
            "duration", "must be a duration such as 90s, 3m0s or 1h, is {value}", {"value": show(value)}
        )
    total = timedelta()
    for amount, unit in re.findall(_QUANTITY, value):
        total = min(total + float(amount) * _UNITS[unit], 2 * YEAR)
    return -total if value.startswith("-") else total


def _at_least_zero(value: timedelta) -> timedelta:
    if not timedelta() <= value <= YEAR:
        raise PydanticCustomError("duration", "must be between 0s and 8784h")
    return value


def _more_than_zero(value: timedelta) -> timedelta:
    if not value:
        raise PydanticCustomError("duration", "must be longer than 0s")
    return value


def _port_or_name(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise PydanticCustomError(
            "port", "must be a port's number or name, is {value}", {"value": show(value)}
        )
    if isinstance(value, int) and not 0 <= value <= LARGEST_PORT:  # 0 is as if it were left out
        raise PydanticCustomError(
            "port", "must be between 0 and {most}, is {value}", {"most": LARGEST_PORT, "value": value}
        )
    if isinstance(value, str) and value != "0" and not _PORT_NAME.fullmatch(value):
        raise PydanticCustomError(
            "port",
            "{value} is no name of a container's port: allowed are up to 15 lower-case letters, digits and "
            "single '-' between them, at least one a letter",
            {"value": show(value)},
        )
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration), AfterValidator(_at_least_zero)]
"""A duration as Go writes it."""
Interval = Annotated[Duration, AfterValidator(_more_than_zero)]
"""A duration that is not zero."""
Seconds = Annotated[int, Field(ge=1, le=int(YEAR.total_seconds()))]
"""Whole seconds, at least one."""
SomeSeconds = Annotated[int, Field(ge=0, le=int(YEAR.total_seconds()))]
"""Whole seconds, or none."""
Port = Annotated[int, Field(ge=1, le=LARGEST_PORT)]
"""The number of a port."""
PortOrName = Annotated[int | str, BeforeValidator(_port_or_name)]
"""The number of a port, or the name of a container's."""
MOST = 2**31 - 1
"""The largest number that Kubernetes' own counts can be."""
Count = Annotated[int, Field(ge=0, le=MOST)]
"""How often something is done or may fail."""
Replicas = Annotated[int, Field(ge=1, le=MOST)]
"""A number of pods, at least one."""
Percent = Annotated[int, Field(ge=0, le=100)]
"""A share of a hundred."""
Text = Annotated[str, Field(min_length=1)]
"""Text that says something."""
