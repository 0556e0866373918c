import copy
from typing import Any

import pytest

from canary.revision import SCALE_TO_ZERO, STARTED_WITH, checksum, config_hash, template_hash
from canary.status import Revision

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "backend"}},
    "spec": {
        "containers": [{"name": "backend", "image": "podinfo:6.1.0", "env": [{"name": "A", "value": "1"}]}],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    },
}


def changed(*path: str | int, value: Any) -> dict[str, Any]:
    template = copy.deepcopy(TEMPLATE)
    inner: Any = template
    for key in path[:-1]:
        inner = inner.setdefault(key, {}) if isinstance(key, str) else inner[key]
    inner[path[-1]] = value
    return template


@pytest.mark.proves("T8")
def test_the_same_template_has_the_same_hash_in_any_order() -> None:
    """Flagger hashes a dump of a struct, in which the order of fields and defaults count.

    T8: Flagger's spec.go.
    """
    shuffled = {"spec": dict(reversed(TEMPLATE["spec"].items())), "metadata": TEMPLATE["metadata"]}

    assert template_hash(shuffled) == template_hash(TEMPLATE)
    assert len(template_hash(TEMPLATE)) == 10


@pytest.mark.parametrize(
    "template",
    [
        pytest.param(changed("metadata", "creationTimestamp", value=None), id="null"),
        pytest.param(changed("spec", "securityContext", value={}), id="empty map"),
        pytest.param(changed("spec", "containers", 0, "resources", value={"limits": {}}), id="nested empty"),
        pytest.param(changed("spec", "initContainers", value=[]), id="empty list"),
        pytest.param(changed("spec", "nodeSelector", value={}), id="empty node selector"),
        pytest.param(changed("spec", "nodeSelector", value={SCALE_TO_ZERO: "true"}), id="scaled to zero"),
        pytest.param(
            changed("metadata", "annotations", value={STARTED_WITH: "abc"}),
            id="started anew with its configs",
        ),
    ],
)
@pytest.mark.proves("T8")
def test_what_says_nothing_is_no_new_revision(template: dict[str, Any]) -> None:
    """Defaults that a new API server adds change Flagger's hash; nobody changed anything.

    T8: Flagger's spec.go.
    """
    assert template_hash(template) == template_hash(TEMPLATE)


@pytest.mark.parametrize(
    "template",
    [
        pytest.param(changed("spec", "containers", 0, "image", value="podinfo:6.1.1"), id="image"),
        pytest.param(changed("spec", "containers", 0, "env", 0, "value", value=""), id="emptied value"),
        pytest.param(changed("spec", "nodeSelector", value={"disk": "ssd"}), id="node selector"),
        pytest.param(
            changed("metadata", "annotations", value={"kubectl.kubernetes.io/restartedAt": "now"}),
            id="kubectl rollout restart",
            marks=pytest.mark.proves("C31"),
        ),
        pytest.param(changed("spec", "affinity", "namespaceSelector", value={}), id="selects everything"),
    ],
)
def test_what_the_pods_run_on_is_a_new_revision(template: dict[str, Any]) -> None:
    """All that pods are made of counts, an annotation as well: that tries a failed one again.

    C31: Flagger's spec.go.
    """
    assert template_hash(template) != template_hash(TEMPLATE)


@pytest.mark.proves("T9")
def test_binary_data_counts_as_data_does() -> None:
    """Flagger neither copies `binaryData` nor notices that it changed (T9: Flagger's config_tracker.go)."""
    hashes = {
        config_hash({"a": "1"}),
        config_hash({"a": "2"}),
        config_hash(None, {"a": "1"}),
        config_hash(None),
    }

    assert len(hashes) == 4
    assert config_hash({}) == config_hash(None)


@pytest.mark.proves("C15")
def test_a_config_alone_changes_the_checksum() -> None:
    """A changed ConfigMap or Secret is a new revision under the same template.

    C15: Flagger's config_tracker.go.
    """
    first = Revision(template="abc", configs={"configmap/a": "1", "secret/b": "2"})
    second = Revision(template="abc", configs={"secret/b": "2", "configmap/a": "3"})

    assert checksum(first) != checksum(second)
    assert checksum(first) == checksum(
        first.model_copy(update={"configs": {"secret/b": "2", "configmap/a": "1"}})
    )
    assert 8 <= len(checksum(first)) <= 10


def test_a_hash_that_was_stored_is_known_again_by_every_later_version() -> None:
    revision = Revision(template="abc", configs={"configmap/a": "1"})

    assert template_hash({**TEMPLATE, "metadata": {"labels": {"app": "bäckend"}}}) == "11f7d7746c"
    assert config_hash({"a": "1"}, {"b": "2"}) == "7cd921487b"
    assert checksum(revision) == "d4cd2ba449"
