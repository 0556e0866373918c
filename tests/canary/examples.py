"""The documents of `examples/`, read once and given out as copies."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

EXAMPLES = Path(__file__).parents[2] / "examples"


def read(*names: str) -> list[Any]:
    """The documents of some examples, in their order, to be changed at will."""
    return [deepcopy(document) for name in names for document in _parsed(name)]


@cache
def _parsed(name: str) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all((EXAMPLES / name).read_text()))
