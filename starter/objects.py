"""The form of Kubernetes' objects: camel case, moments to the second, and nothing that says nothing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel

from starter import tables
from starter.listing import Listed
from starter.options import Output

Moment = Annotated[datetime, PlainSerializer(tables.stamp)]


class Part(BaseModel):
    """A part of an object; what is None in it is left out."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Metadata(Part):
    """What an object is called."""

    name: str
    namespace: str


class Workflow(Part):
    """The workflow execution that an item of a list stands for."""

    id: str
    run_id: str
    started: Moment
    closed: Moment | None = None


def workflow_of(item: Listed) -> Workflow:
    """Say which execution an item of a list stands for."""
    return Workflow(id=item.id, run_id=item.run_id, started=item.started, closed=item.closed)


def print_object(shown: Part, output: Output) -> None:
    """Print one object as JSON or YAML."""
    _print(plain(shown), output)


def print_objects(shown: Sequence[Part], output: Output) -> None:
    """Print objects as kubectl prints several: as a List."""
    _print({"apiVersion": "v1", "kind": "List", "items": [plain(each) for each in shown]}, output)


def plain(shown: Part) -> dict[str, Any]:
    """Give an object as plain data."""
    return shown.model_dump(mode="json", by_alias=True, exclude_none=True)


def _print(value: dict[str, Any], output: Output) -> None:
    show = tables.print_json if output is Output.JSON else tables.print_yaml
    show(value)
