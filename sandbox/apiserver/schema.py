"""What a value may be: one form for built-in types and custom resources, walked by patch and apply."""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["struct", "map", "list", "scalar", "any"]


@dataclass(slots=True, eq=False)
class Schema:
    """The shape of a value.

    `atomic` structs, maps and lists are owned and replaced as a whole. A list that is not atomic is a set, or
    with `keys` a list of objects told apart by these. `patch_key` is what a strategic merge patch tells items
    by ("" for a set); None replaces the list.
    """

    kind: Kind
    name: str = ""
    fields: dict[str, "Schema"] = field(default_factory=dict)
    element: "Schema | None" = None
    scalar: str = ""
    atomic: bool = False
    keys: tuple[str, ...] = ()
    key_defaults: dict[str, str] = field(default_factory=dict)
    patch_key: str | None = None
    required: tuple[str, ...] = ()  # written even when zero
    by_value: frozenset[str] = frozenset()  # struct fields that are always there
    pointers: frozenset[str] = frozenset()  # scalars whose zero value is kept

    def child(self, key: str) -> "Schema":
        """The shape of the field or map value `key`."""
        return self.fields.get(key) or self.element or ANY

    @property
    def item(self) -> "Schema":
        """The shape of a list's items."""
        return self.element or ANY


ANY = Schema("any")
