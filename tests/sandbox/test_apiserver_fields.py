"""Property tests of field sets and of server-side apply."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sandbox.apiserver import fields
from sandbox.apiserver.errors import StatusError
from sandbox.apiserver.managers import Manager, Managers, Writer
from sandbox.apiserver.schema import Schema

TEXT = Schema("scalar", scalar="string")
ITEM = Schema(
    "struct",
    fields={
        "name": TEXT,
        "image": TEXT,
        "args": Schema("list", element=TEXT, atomic=True),
        "labels": Schema("map", element=TEXT),
    },
)
SPEC = Schema(
    "struct",
    fields={
        "size": TEXT,
        "mode": TEXT,
        "whole": Schema("struct", fields={"a": TEXT, "b": TEXT}, atomic=True),
        "items": Schema("list", element=ITEM, keys=("name",)),
        "tags": Schema("list", element=TEXT),
    },
)
ROOT = Schema("struct", fields={"spec": SPEC, "labels": Schema("map", element=TEXT)})

WORDS = st.sampled_from(["a", "b", "c"])


def some(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=parts)


LABELS = st.dictionaries(WORDS, WORDS, min_size=1, max_size=3)
ITEMS = st.lists(
    some(image=WORDS, args=st.lists(WORDS, min_size=1, max_size=2), labels=LABELS), min_size=1, max_size=3
).flatmap(
    lambda found: st.permutations(["a", "b", "c"]).map(
        lambda names: [{"name": name, **item} for name, item in zip(names, found, strict=False)]
    )
)
CONFIGS = some(
    labels=LABELS,
    spec=some(
        size=WORDS,
        mode=WORDS,
        whole=some(a=WORDS, b=WORDS).filter(bool),
        items=ITEMS,
        tags=st.lists(WORDS, min_size=1, max_size=3, unique=True),
    ).filter(bool),
)
GIT = Manager("git", "Apply", "v1")
CANARY = Manager("canary", "Apply", "v1")


def writer(manager: Manager) -> Writer:
    return Writer(manager, "2026-01-01T00:00:00Z", {})


def apply(owners: Managers, live: dict[str, Any], config: dict[str, Any], manager: Manager) -> dict[str, Any]:
    return owners.apply(live, config, ROOT, writer(manager), force=True)


def leaves(value: Any, schema: Schema, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Give every field that is owned as a whole, with its value."""
    if fields.is_leaf(schema, value):
        return {path: value}
    found = {}
    for element, child in fields.children(value, schema).items():
        found |= leaves(child, fields.shape_of(schema, element), (*path, element))
    return found


@given(CONFIGS)
def test_an_applied_configuration_is_there_afterwards(config: dict[str, Any]) -> None:
    found = apply(Managers([]), {}, config, GIT)

    assert leaves(found, ROOT) == leaves(config, ROOT)


@given(CONFIGS, CONFIGS)
def test_applying_again_changes_nothing(before: dict[str, Any], config: dict[str, Any]) -> None:
    owners = Managers([])
    live = apply(owners, apply(owners, {}, before, CANARY), config, GIT)
    entries = owners.entries()

    assert apply(owners, live, config, GIT) == live
    assert owners.entries() == entries


@given(CONFIGS, CONFIGS)
def test_what_is_no_longer_applied_goes(first: dict[str, Any], second: dict[str, Any]) -> None:
    owners = Managers([])
    live = apply(owners, apply(owners, {}, first, GIT), second, GIT)

    assert leaves(live, ROOT) == leaves(second, ROOT)


@given(CONFIGS, CONFIGS)
def test_what_another_applied_stays(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    owners = Managers([])
    live = apply(owners, apply(owners, {}, theirs, CANARY), ours, GIT)
    live = apply(owners, live, {}, GIT)

    kept = leaves(live, ROOT)
    contested = leaves(ours, ROOT)
    for path, value in leaves(theirs, ROOT).items():
        if contested.get(path, value) == value:
            assert kept[path] == value


@given(CONFIGS, CONFIGS)
def test_it_is_a_conflict_to_change_what_another_owns(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    owners = Managers([])
    live = apply(owners, {}, theirs, CANARY)
    before = leaves(theirs, ROOT)
    contested = {path for path, value in leaves(ours, ROOT).items() if before.get(path, value) != value}

    try:
        owners.apply(live, ours, ROOT, writer(GIT), force=False)
        conflicts = set()
    except StatusError as error:
        conflicts = {cause["field"] for cause in error.body["details"]["causes"]}

    assert conflicts == {fields.in_words(path) for path in contested}


@given(CONFIGS, CONFIGS)
def test_every_field_changed_by_an_update_has_its_writer(old: dict[str, Any], new: dict[str, Any]) -> None:
    owners = Managers([])
    apply(owners, {}, old, GIT)
    hand = Manager("hand", "Update", "v1")
    owners.update(old, new, ROOT, writer(hand))

    before = leaves(old, ROOT)
    changed = {path for path, value in leaves(new, ROOT).items() if before.get(path) != value}
    own = set(fields.paths(owners.sets.get(hand, {})))
    gits = set(fields.paths(owners.sets.get(GIT, {})))

    assert changed <= own
    assert not gits & (changed | (before.keys() - leaves(new, ROOT).keys()))


SETS = CONFIGS.map(lambda config: fields.fields_of(config, ROOT))


@given(SETS)
def test_sets_are_written_and_read(found: fields.FieldSet) -> None:
    assert fields.read(fields.write(found)) == found


@given(SETS, SETS)
def test_the_algebra_of_sets(one: fields.FieldSet, other: fields.FieldSet) -> None:
    left, right = set(fields.paths(one)), set(fields.paths(other))

    assert set(fields.paths(fields.union(one, other))) == left | right
    assert set(fields.paths(fields.intersection(one, other))) == left & right
    assert set(fields.paths(fields.difference(one, other))) == left - right


def test_lists_keep_the_live_order_of_items_that_are_not_applied() -> None:
    live = {"spec": {"items": [{"name": "a"}, {"name": "x"}, {"name": "b"}]}}
    config = {"spec": {"items": [{"name": "b"}, {"name": "a"}]}}

    found = fields.merge(live, config, ROOT)

    assert [item["name"] for item in found["spec"]["items"]] == ["x", "b", "a"]
