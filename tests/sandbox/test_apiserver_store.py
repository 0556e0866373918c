import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sandbox.apiserver.store import Store, shared

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=12,
)
KEY = ("", "configmaps")


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "n"},
        "data": data,
    }


@given(VALUES, VALUES)
def test_sharing_changes_no_value(new: Any, old: Any) -> None:
    assert json.dumps(shared(new, old), sort_keys=True) == json.dumps(new, sort_keys=True)


def test_what_did_not_change_is_kept_once() -> None:
    store = Store()
    first = store.put(KEY, config_map("a", x="1"))
    second = store.put(KEY, config_map("a", x="1"))

    assert second["data"] is first["data"]
    assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]


def test_a_collection_is_known_as_it_was() -> None:
    store = Store()
    store.put(KEY, config_map("a"))
    changed = store.put(KEY, config_map("b", x="1"))
    before = store.version
    store.put(KEY, config_map("b", x="2"))
    store.remove(KEY, store.put(KEY, config_map("a", x="3")))
    store.put(KEY, config_map("c"))

    found = store.collection(KEY).at(before)
    assert sorted(name for _, name in found) == ["a", "b"]
    assert found["n", "b"] == changed
