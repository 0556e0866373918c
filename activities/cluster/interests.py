"""What canaries are to be rung for, and how a whole cluster's worth of that travels in one payload."""

from collections.abc import Iterable

from canary.stored import Stored

_TARGET = "*"
"""Stands for the target's name in an object's, in which it cannot occur itself."""


class Interest(Stored):
    """What a canary is to be rung for."""

    canary: str
    """What its workflow ids end with."""
    namespace: str
    objects: tuple[str, ...] = ()
    """`<Kind>/<name>` each."""


class Neighbours(Stored):
    """Canaries whose workflow ids differ in the target alone."""

    prefix: str
    namespace: str
    targets: dict[str, tuple[int, ...]]
    """By the target's name, which objects of the table each is rung for."""


class Interests(Stored):
    """The interests of many canaries, as a rule an eighth as long as one by one: most want the same."""

    objects: tuple[str, ...] = ()
    """The table of objects, with a star for the target's name."""
    groups: tuple[Neighbours, ...] = ()

    def unpacked(self) -> tuple[Interest, ...]:
        """Each by itself."""
        return tuple(
            Interest(
                canary=f"{group.prefix}{target}",
                namespace=group.namespace,
                objects=tuple(self.objects[place].replace(_TARGET, target) for place in places),
            )
            for group in self.groups
            for target, places in group.targets.items()
        )


def pack(interests: Iterable[Interest]) -> Interests:
    """Pack interests, one for each canary."""
    table: dict[str, int] = {}
    groups: dict[tuple[str, str], dict[str, tuple[int, ...]]] = {}
    for interest in interests:
        before, slash, target = interest.canary.rpartition("/")
        starred = (_starred(one, target) for one in interest.objects)
        places = tuple(table.setdefault(one, len(table)) for one in starred)
        groups.setdefault((f"{before}{slash}", interest.namespace), {})[target] = places
    return Interests(
        objects=tuple(table),
        groups=tuple(
            Neighbours(prefix=prefix, namespace=namespace, targets=targets)
            for (prefix, namespace), targets in groups.items()
        ),
    )


def _starred(one: str, target: str) -> str:
    kind, slash, name = one.partition("/")
    return f"{kind}{slash}{name.replace(target, _TARGET)}"
