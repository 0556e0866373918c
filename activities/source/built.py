"""Reading what kubectl has built: YAML whose plain scalars are what JSON has, and strings otherwise."""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.resolver import VersionedResolver

_TAG = "tag:yaml.org,2002:"
_RULES = (
    ("bool", r"true|false", "tf"),
    ("null", r"~|null|", ("~", "n", "")),
    ("int", r"-?[0-9]+", "-0123456789"),
    ("float", r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", "-0123456789"),
)


def _by_first_letter() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    rules: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for name, pattern, letters in _RULES:
        for letter in letters:
            rules.setdefault(letter, []).append((_TAG + name, re.compile(f"(?:{pattern})\\Z")))
    return rules


class _JsonResolver(VersionedResolver):
    """Knows no timestamps, no merge keys and no `=`: kubectl writes all of them without quotes."""

    _rules = _by_first_letter()

    @property
    def versioned_resolver(self) -> Any:
        return self._rules


def read_all(text: bytes) -> list[Any]:
    """Read every document that is not empty.

    Raises:
        YAMLError: It is not YAML.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver = _JsonResolver
    return [found for found in yaml.load_all(text) if found is not None]
