"""The documents of `examples/`, read once and given out as copies."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

EXAMPLES = Path(__file__).parents[2] / "examples"
GONE = object()
"""The value of a field that is taken out."""


def read(*names: str) -> list[Any]:
    """The documents of some examples, in their order, to be changed at will."""
    return [deepcopy(document) for name in names for document in _parsed(name)]


def change(document: Any, path: str, value: object) -> None:
    """Set the field at a path of dots and brackets, or take it out."""
    *above, last = (
        int(part) if part.isdigit() else part for part in path.replace("]", "").replace("[", ".").split(".")
    )
    for part in above:
        document = document[part] if isinstance(part, int) else document.setdefault(part, {})
    if value is GONE:
        del document[last]
    else:
        document[last] = value


@cache
def _parsed(name: str) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all((EXAMPLES / name).read_text()))
