"""Who owns which field: metadata.managedFields, kept through updates and decided on by server-side apply."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from sandbox.apiserver import fields as f
from sandbox.apiserver.errors import StatusError
from sandbox.apiserver.fields import FieldSet
from sandbox.apiserver.schema import Schema

Object = dict[str, Any]

# Never owned: the server writes them, or they name the object.
_NOBODYS: FieldSet = f.read(
    {
        "f:apiVersion": {},
        "f:kind": {},
        "f:metadata": {
            ".": {},
            **{
                f"f:{name}": {}
                for name in (
                    "name",
                    "namespace",
                    "creationTimestamp",
                    "selfLink",
                    "uid",
                    "generation",
                    "managedFields",
                    "resourceVersion",
                )
            },
        },
    }
)
BEFORE_FIRST_APPLY = "before-first-apply"


class Manager(NamedTuple):
    """One entry's identity: two requests with the same are the same owner."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


@dataclass(frozen=True)
class Writer:
    """Who makes a request: `ignored` are fields that this request cannot change."""

    manager: Manager
    time: str
    ignored: FieldSet


class Managers:
    """The owners of one object's fields."""

    def __init__(self, entries: list[Object]) -> None:
        self.sets: dict[Manager, FieldSet] = {}
        self.times: dict[Manager, str] = {}
        for entry in entries:
            manager = Manager(
                entry.get("manager", ""),
                entry.get("operation", ""),
                entry.get("apiVersion", ""),
                entry.get("subresource", ""),
            )
            self.sets[manager] = f.read(entry.get("fieldsV1") or {})
            if entry.get("time"):
                self.times[manager] = entry["time"]

    def knows(self, path: list[str]) -> bool:
        """Tell whether anybody owns a field."""
        found: FieldSet = {}
        f.insert(found, tuple(f"f:{name}" for name in path))
        return any(f.intersection(own, found) for own in self.sets.values())

    def entries(self) -> list[Object]:
        """Write metadata.managedFields."""

        def place(manager: Manager) -> tuple[str, ...]:
            time = self.times.get(manager, "")
            return (manager.operation, time, manager.name, manager.api_version, manager.subresource)

        return [self._entry(manager) for manager in sorted(self.sets, key=place)]

    def _entry(self, manager: Manager) -> Object:
        entry = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
            # A Scale is written through a copy of the owners that keeps no times.
            "time": None if manager.subresource == "scale" else self.times.get(manager),
            "fieldsType": "FieldsV1",
            "fieldsV1": f.write(self.sets[manager]),
            "subresource": manager.subresource,
        }
        return {key: value for key, value in entry.items() if value or key == "fieldsV1"}

    def update(self, old: Object, new: Object, schema: Schema, writer: Writer) -> None:
        """Record that `writer` changed `old` to `new`: it owns what changed, nobody what went."""
        changed, removed = (
            f.below_difference(f.difference(found, _NOBODYS), writer.ignored)
            for found in f.changes(old, new, schema)
        )
        self._take(changed, removed, None)
        if changed:
            self.sets[writer.manager] = f.union(self.sets.get(writer.manager, {}), changed)
            self.times[writer.manager] = writer.time

    def apply(  # noqa: PLR0913 — the last two say what of the others' may be taken
        self,
        live: Object,
        applied: Object,
        schema: Schema,
        writer: Writer,
        *,
        force: bool,
        allowed: FieldSet | None = None,
    ) -> Object:
        """Lay `applied` over `live`, remove what its manager let go, and record the owners.

        With `force` it may take everything, without it what is `allowed`.

        Raises:
            StatusError: 409, if it would change what others own and `force` is not given.
        """
        manager = writer.manager
        last = self.sets.get(manager)
        own = f.below_difference(f.difference(f.fields_of(applied, schema), _NOBODYS), writer.ignored)
        self.sets[manager] = own
        found: Object = f.merge(live, applied, schema)
        if last:
            found = self._prune(found, last, schema)
        changed, removed = (
            f.below_difference(each, writer.ignored) for each in f.changes(live, found, schema)
        )
        conflicts = self._conflicts(f.difference(changed, allowed or {}), manager)
        if conflicts and not force:
            raise _conflict(conflicts)
        self._take(changed, removed, manager)
        if not own:
            self.sets.pop(manager, None)
        if changed or removed:
            self.times[manager] = writer.time
        return found

    def _conflicts(self, changed: FieldSet, but: Manager) -> dict[Manager, FieldSet]:
        found = {m: f.intersection(own, changed) for m, own in self.sets.items() if m != but}
        return {manager: common for manager, common in found.items() if common}

    def _take(self, changed: FieldSet, removed: FieldSet, but: Manager | None) -> None:
        gone = f.union(changed, removed)
        for manager in [m for m in self.sets if m != but]:
            self.sets[manager] = f.difference(self.sets[manager], gone)
            if not self.sets[manager]:
                del self.sets[manager]

    def _prune(self, merged: Object, last: FieldSet, schema: Schema) -> Object:
        """Remove what was applied last time, is not now, and no other manager owns."""
        whole = f.with_named(f.fields_of(merged, schema), schema)
        pruned = f.without(merged, f.with_named(last, schema), schema)
        owned: FieldSet = {}
        for own in self.sets.values():
            owned = f.union(owned, own)
        owned = f.with_named(owned, schema)
        kept = f.union(f.with_named(f.fields_of(pruned or {}, schema), schema), owned)
        pruned = f.without(merged, f.difference(whole, kept), schema)
        kept = f.with_named(f.fields_of(pruned or {}, schema), schema)
        gone = f.intersection(f.difference(whole, kept), f.with_named(last, schema))
        found: Object = f.without(merged, gone, schema) or {}
        return found


def of(entries: list[Object] | None, live_entries: list[Object] | None) -> Managers:
    """Read the owners that a request starts from: those sent with it, else the live ones; `[{}]` is none."""
    if entries == [{}]:
        return Managers([])
    return Managers(entries or live_entries or [])


def _conflict(conflicts: dict[Manager, FieldSet]) -> StatusError:
    causes, texts = [], []
    for manager in sorted(conflicts):
        by = f'conflict with "{manager.name}"'
        if manager.subresource:
            by += f' with subresource "{manager.subresource}"'
        if manager.operation == "Update":
            by += f" using {manager.api_version}"
        words = [f.in_words(path) for path in f.paths(conflicts[manager])]
        causes += [{"reason": "FieldManagerConflict", "message": by, "field": word} for word in words]
        several = by.replace("conflict", "conflicts", 1) + ":\n- " + "\n- ".join(words)
        texts.append(f"{by}: {words[0]}" if len(words) == 1 else several)
    count = "1 conflict" if len(causes) == 1 else f"{len(causes)} conflicts"
    message = f"Apply failed with {count}: " + "\n".join(texts)
    return StatusError(409, "Conflict", message, {"causes": causes})
