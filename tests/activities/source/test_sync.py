import copy
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from activities.cluster.api import ROLLOUT_MANAGER, ClusterApi
from activities.cluster.errors import ApiError
from activities.cluster.marks import CANARY, DECIDED_AT, PROMOTING, promoted
from activities.cluster.observation import revision_of
from activities.source.errors import SourceError
from activities.source.inventory import InventoryStore
from activities.source.manifest import Manifest
from activities.source.ownership import OWNER, SCALE_TO_ZERO
from activities.source.pruning import Siblings
from activities.source.sync import ClusterSync, Synced
from canary.spec import AnalysisSpec, CanarySpec, ServiceSpec, TargetRef, WorkloadKind
from sandbox.apiserver.server import ApiServer

Object = dict[str, Any]

NAME = "team/shop/web"
LABELS = {"app": "backend"}
DEPLOYMENTS = "/apis/apps/v1/namespaces/webapp/deployments"
SERVICES = "/api/v1/namespaces/webapp/services"
CONFIGS = "/api/v1/namespaces/webapp/configmaps"
WEBAPP = "/api/v1/namespaces/webapp"
ROUTES = "/apis/networking.istio.io/v1beta1/namespaces/webapp/virtualservices"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def obj(api_version: str, kind: str, name: str, namespace: str | None = "webapp", **rest: Any) -> Object:
    meta = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **rest}


def namespace(name: str = "webapp", **labels: str) -> Object:
    body = obj("v1", "Namespace", name, None)
    return body | {"metadata": {"name": name, "labels": labels}}


def config(name: str, **data: str) -> Object:
    return obj("v1", "ConfigMap", name, data=data)


def workload(kind: str = "Deployment", image: str = "podinfo:1", **spec: Any) -> Object:
    pod = {"containers": [{"name": "app", "image": image}]} | spec.pop("pod", {})
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    spec = {"selector": {"matchLabels": LABELS}, "template": template} | spec
    return obj("apps/v1", kind, "backend", spec=spec)


def service(port: int = 80) -> Object:
    return obj("v1", "Service", "backend", spec={"selector": LABELS, "ports": [{"port": port}]})


def route(host: str) -> Object:
    return obj("networking.istio.io/v1beta1", "VirtualService", "backend", spec={"hosts": [host]})


def definition(kind: str, plural: str, group: str, *, namespaced: bool = True) -> Object:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": schema}
    spec = {
        "group": group,
        "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
        "scope": "Namespaced" if namespaced else "Cluster",
        "versions": [version],
    }
    return obj("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{plural}.{group}", None, spec=spec)


VIRTUAL_SERVICE = definition("VirtualService", "virtualservices", "networking.istio.io")


def canary(kind: WorkloadKind = WorkloadKind.DEPLOYMENT) -> CanarySpec:
    return CanarySpec(
        cluster="one",
        namespace="webapp",
        name="backend",
        target=TargetRef(kind=kind, name="backend"),
        service=ServiceSpec(name="backend", port=80),
        analysis=AnalysisSpec(interval=timedelta(seconds=1)),
    )


@pytest.mark.parametrize(
    "metadata", [{"name": "../../kube-system/x"}, {"name": "x", "namespace": "a/.."}, {"name": ".."}]
)
def test_an_object_that_would_be_written_elsewhere_is_refused(metadata: Object) -> None:
    with pytest.raises(SourceError, match="of the build can have no such name"):
        Manifest.of({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


async def sync(  # noqa: PLR0913 — what a test says of a sync, by name
    api: ClusterApi,
    *bodies: Object,
    owner: str = NAME,
    canaries: tuple[CanarySpec, ...] = (),
    prune: bool = True,
    revision: str = "r1",
    siblings: tuple[Object, ...] | SourceError = (),
    others: tuple[CanarySpec, ...] = (),
) -> Synced:
    async def build_siblings() -> list[Manifest]:
        if isinstance(siblings, SourceError):
            raise siblings
        return _manifests(siblings)

    sync = ClusterSync(api, owner, canaries)
    beside = Siblings(others, build_siblings)
    return await sync.apply(revision, _manifests(bodies), beside, prune=prune)


def _manifests(bodies: tuple[Object, ...]) -> list[Manifest]:
    return [Manifest.of(copy.deepcopy(body)) for body in bodies]


async def inventory(api: ClusterApi) -> list[str]:
    return list((await InventoryStore(api, NAME).load()).ids)


async def test_everything_is_applied_and_listed_in_the_cluster(api: ClusterApi) -> None:
    synced = await sync(api, config("a", x="1"), workload(replicas=2), namespace())

    found = await api.get(f"{DEPLOYMENTS}/backend")
    assert found["spec"]["replicas"] == 2
    assert found["metadata"]["annotations"][OWNER] == NAME
    assert await inventory(api) == list(synced.inventory.ids)
    assert synced.inventory.ids == (
        "_webapp__Namespace",
        "webapp_a__ConfigMap",
        "webapp_backend_apps_Deployment",
    )


async def test_what_a_server_fills_in_is_not_applied(api: ClusterApi) -> None:
    body = config("a", x="1")
    body["metadata"] |= {"uid": "u", "resourceVersion": "7", "managedFields": []}

    await sync(api, namespace(), body | {"status": {"a": 1}})

    assert (await api.get(f"{CONFIGS}/a"))["data"] == {"x": "1"}


async def test_a_namespaced_object_without_namespace_goes_to_default(api: ClusterApi) -> None:
    await sync(api, obj("v1", "ConfigMap", "loose", None))

    assert await api.get("/api/v1/namespaces/default/configmaps/loose")


async def test_nothing_is_applied_if_one_object_is_refused(api: ClusterApi) -> None:
    wrong = workload()
    wrong["spec"]["template"]["metadata"]["labels"] = {"app": "other"}

    with pytest.raises(
        SourceError, match=r"Deployment webapp/backend was refused: .* \"backend\" .*selector"
    ):
        await sync(api, namespace(), config("a", x="1"), wrong)

    assert await api.find(WEBAPP) is None
    assert await inventory(api) == []


async def test_a_refused_change_leaves_the_revision_before(api: ClusterApi) -> None:
    await sync(api, namespace(), config("a", x="1"), workload())
    wrong = workload(selector={"matchLabels": {"app": "other"}})

    with pytest.raises(SourceError, match="Deployment webapp/backend was refused"):
        await sync(api, namespace(), config("a", x="2"), wrong, revision="r2")

    assert (await api.get(f"{CONFIGS}/a"))["data"] == {"x": "1"}


async def test_a_kind_that_nobody_serves_is_named(api: ClusterApi) -> None:
    with pytest.raises(SourceError, match=r"the cluster serves no example\.com/v1 Widget"):
        await sync(api, namespace(), obj("example.com/v1", "Widget", "w"))

    assert await api.find(WEBAPP) is None


async def test_a_namespace_that_nobody_brings_is_named(api: ClusterApi) -> None:
    with pytest.raises(SourceError, match="Namespace webapp is neither in the cluster nor in the source"):
        await sync(api, config("a"))


async def test_what_is_being_deleted_is_not_taken_for_applied(api: ClusterApi) -> None:
    await sync(api, namespace(), config("a", x="1"))
    path = f"{CONFIGS}/a"
    await api.patch(path, {"metadata": {"finalizers": ["example.com/wait"]}})
    await api.delete(path)

    with pytest.raises(SourceError) as told:
        await sync(api, namespace(), config("a", x="1"), revision="r2")
    assert str(told.value) == "ConfigMap webapp/a is being deleted: it is brought again once it is gone."

    await api.patch(path, {"metadata": {"finalizers": None}})
    await sync(api, namespace(), config("a", x="1"), revision="r2")
    assert "deletionTimestamp" not in (await api.get(path))["metadata"]


async def test_what_is_said_of_a_secret_does_not_quote_it(api: ClusterApi) -> None:
    secret = obj("v1", "Secret", "s", stringData={"bad key!": "hunter2"})

    with pytest.raises(SourceError, match="Secret webapp/s was refused: Invalid") as caught:
        await sync(api, namespace(), secret)

    assert "bad key" not in str(caught.value)


async def test_definitions_are_established_before_their_resources_are_applied(api: ClusterApi) -> None:
    await sync(
        api,
        obj("example.com/v1beta1", "Widget", "w"),
        namespace(),
        definition("Widget", "widgets", "example.com"),
    )

    assert await api.get("/apis/example.com/v1beta1/namespaces/webapp/widgets/w")


async def test_a_cluster_wide_custom_resource_loses_the_target_namespace(api: ClusterApi) -> None:
    await sync(api, definition("Widget", "widgets", "example.com", namespaced=False))

    await sync(api, obj("example.com/v1beta1", "Widget", "w"), owner="team/shop/other")

    assert await api.get("/apis/example.com/v1beta1/widgets/w")


async def test_replicas_follow_the_source_until_a_rollout_owns_them(api: ClusterApi) -> None:
    await sync(api, namespace(), workload(replicas=2), canaries=(canary(),))
    await sync(api, namespace(), workload(replicas=3), canaries=(canary(),))

    assert (await api.get(f"{DEPLOYMENTS}/backend"))["spec"]["replicas"] == 3


async def test_replicas_that_a_rollout_owns_are_left_to_it(api: ClusterApi) -> None:
    await sync(api, namespace(), workload(replicas=2), canaries=(canary(),))
    await api.patch(f"{DEPLOYMENTS}/backend", {"spec": {"replicas": 0}})

    for replicas in (3, 4):  # the second time the source has dropped the field before
        await sync(api, namespace(), workload(image="podinfo:2", replicas=replicas), canaries=(canary(),))

    found = await api.get(f"{DEPLOYMENTS}/backend")
    assert found["spec"]["replicas"] == 0
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "podinfo:2"


async def test_the_same_value_of_both_is_handed_over_without_a_reset(api: ClusterApi) -> None:
    await sync(api, namespace(), workload(replicas=2), canaries=(canary(),))
    same = obj("apps/v1", "Deployment", "backend", spec={"replicas": 2})
    await api.apply(f"{DEPLOYMENTS}/backend", same, manager=ROLLOUT_MANAGER)

    await sync(api, namespace(), workload(replicas=2), canaries=(canary(),))

    assert (await api.get(f"{DEPLOYMENTS}/backend"))["spec"]["replicas"] == 2


async def test_without_its_canary_a_workload_is_the_sources_again(api: ClusterApi) -> None:
    await sync(api, namespace(), workload(replicas=2), canaries=(canary(),))
    await api.patch(f"{DEPLOYMENTS}/backend", {"spec": {"replicas": 0}})

    await sync(api, namespace(), workload(replicas=2))

    assert (await api.get(f"{DEPLOYMENTS}/backend"))["spec"]["replicas"] == 2


async def test_selector_and_ports_of_the_apex_are_left_to_the_rollout(api: ClusterApi) -> None:
    await sync(api, namespace(), service(), canaries=(canary(),))
    taken = {"selector": {"app": "backend-primary"}, "ports": [{"port": 80, "name": "http"}]}
    await api.patch(f"{SERVICES}/backend", {"spec": taken})

    await sync(api, namespace(), service(), canaries=(canary(),))

    spec = (await api.get(f"{SERVICES}/backend"))["spec"]
    assert spec["selector"] == {"app": "backend-primary"}
    assert spec["ports"][0]["name"] == "http"


async def test_the_apex_virtual_service_is_left_to_the_rollout(api: ClusterApi) -> None:
    await sync(api, namespace(), VIRTUAL_SERVICE, route("first"), canaries=(canary(),))
    await sync(api, namespace(), VIRTUAL_SERVICE, route("second"), canaries=(canary(),))
    assert (await api.get(f"{ROUTES}/backend"))["spec"]["hosts"] == ["second"]
    await api.patch(f"{ROUTES}/backend", {"spec": {"hosts": ["rollout"]}})

    synced = await sync(api, namespace(), VIRTUAL_SERVICE, route("third"), canaries=(canary(),))

    assert (await api.get(f"{ROUTES}/backend"))["spec"]["hosts"] == ["rollout"]
    assert "webapp_backend_networking.istio.io_VirtualService" in synced.inventory.ids


async def test_a_daemon_set_stays_scaled_to_zero(api: ClusterApi) -> None:
    own = {"nodeSelector": {"disk": "ssd"}}
    its = (canary(WorkloadKind.DAEMON_SET),)
    path = "/apis/apps/v1/namespaces/webapp/daemonsets/backend"
    await sync(api, namespace(), workload("DaemonSet", pod=own), canaries=its)
    scaled = {"nodeSelector": {"disk": "ssd", SCALE_TO_ZERO: "true"}}
    await api.patch(path, {"spec": {"template": {"spec": scaled}}})

    await sync(api, namespace(), workload("DaemonSet", "podinfo:2", pod=own), canaries=its)

    assert (await api.get(path))["spec"]["template"]["spec"]["nodeSelector"] == scaled["nodeSelector"]


async def test_a_rollout_that_takes_over_in_between_keeps_its_field(api: ClusterApi) -> None:
    await sync(api, namespace(), workload(replicas=2), canaries=(canary(),))
    racing = _Racing(api)

    await sync(racing, namespace(), workload("Deployment", "podinfo:2", replicas=2), canaries=(canary(),))  # type: ignore[arg-type]

    found = await api.get(f"{DEPLOYMENTS}/backend")
    assert found["spec"]["replicas"] == 0
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "podinfo:2"


class _Racing:
    """An API in which a rollout scales to zero between a sync's look at the target and its write."""

    def __init__(self, api: ClusterApi) -> None:
        self._api = api
        self._is_over = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    async def apply(self, path: str, body: Object, *, dry_run: bool = False, **rest: Any) -> Object:
        if path.endswith("/deployments/backend") and not dry_run and not self._is_over:
            self._is_over = True
            await self._api.patch(path, {"spec": {"replicas": 0}})
        return await self._api.apply(path, body, dry_run=dry_run, **rest)


async def test_a_new_workload_namespace_asks_for_sidecars(api: ClusterApi) -> None:
    synced = await sync(api, namespace(team="a"), workload(), canaries=(canary(),))

    assert (await api.get(WEBAPP))["metadata"]["labels"]["istio-injection"] == "enabled"
    assert synced.notes == []


async def test_the_label_survives_the_next_sync(api: ClusterApi) -> None:
    for _ in range(2):
        await sync(api, namespace(team="a"), workload(), canaries=(canary(),))

    assert (await api.get(WEBAPP))["metadata"]["labels"]["istio-injection"] == "enabled"


async def test_the_namespace_of_a_workload_is_made_if_the_source_does_not_bring_it(api: ClusterApi) -> None:
    await sync(api, workload(), canaries=(canary(),))

    assert (await api.get(WEBAPP))["metadata"]["labels"]["istio-injection"] == "enabled"


@pytest.mark.parametrize(
    "label",
    [
        pytest.param({"istio.io/rev": "stable"}, id="revision"),
        pytest.param({"istio.io/dataplane-mode": "ambient"}, id="ambient"),
    ],
)
async def test_a_namespace_that_somebody_decided_on_is_left(api: ClusterApi, label: dict[str, str]) -> None:
    synced = await sync(api, namespace(**label), workload(), canaries=(canary(),))

    assert "istio-injection" not in (await api.get(WEBAPP))["metadata"]["labels"]
    assert synced.notes == []


@pytest.mark.proves("K11")
async def test_a_namespace_with_running_pods_is_a_persons_to_label(api: ClusterApi) -> None:
    """Kurator labels it, and pods from before stay without a sidecar, untold.

    K11: Kurator's rollout_helper.go.
    """
    await sync(api, namespace())
    pod = obj("v1", "Pod", "old", spec={"containers": [{"name": "a", "image": "b"}]})
    await api.create(f"{WEBAPP}/pods", pod)

    synced = await sync(api, namespace(), workload(), canaries=(canary(),))

    assert "istio-injection" not in ((await api.get(WEBAPP))["metadata"].get("labels") or {})
    assert "kubectl label namespace webapp istio-injection=enabled" in synced.notes[0]


async def test_disabled_sidecars_are_a_persons_to_enable(api: ClusterApi) -> None:
    disabled = {"istio-injection": "disabled"}

    synced = await sync(api, namespace(**disabled), workload(), canaries=(canary(),))

    assert (await api.get(WEBAPP))["metadata"]["labels"]["istio-injection"] == "disabled"
    assert synced.notes[0].endswith("istio-injection=enabled --overwrite")


async def test_prune_removes_what_a_revision_lacks(api: ClusterApi) -> None:
    await sync(api, namespace(), config("a"), config("b"))

    synced = await sync(api, namespace(), config("a"), revision="r2")

    assert await api.find(f"{CONFIGS}/b") is None
    assert synced.inventory.ids == ("_webapp__Namespace", "webapp_a__ConfigMap")


@pytest.mark.parametrize(
    ("brought", "what"),
    [((namespace(), config("a")), "all 2 objects"), ((namespace(),), "its one object")],
    ids=["two", "one"],
)
async def test_an_empty_build_prunes_nothing(api: ClusterApi, brought: tuple[Object, ...], what: str) -> None:
    await sync(api, *brought)

    with pytest.raises(SourceError) as refused:
        await sync(api, revision="r2")

    assert str(refused.value) == f"The build is empty and would prune {what}: take the policy out instead."
    assert len(await inventory(api)) == len(brought)
    assert await api.find(WEBAPP)


async def test_an_empty_build_may_be_the_first_or_prune_nothing(api: ClusterApi) -> None:
    await sync(api)
    await sync(api, namespace())

    assert (await sync(api, prune=False)).inventory.ids == ()


async def test_without_prune_everything_stays(api: ClusterApi) -> None:
    await sync(api, namespace(), config("a"), config("b"), prune=False)

    await sync(api, namespace(), config("a"), prune=False)

    assert await api.find(f"{CONFIGS}/b")


async def test_what_another_policy_has_taken_over_is_not_pruned(api: ClusterApi) -> None:
    await sync(api, namespace(), config("a"), config("b"))
    await sync(api, config("b"), owner="team/shop/other")

    await sync(api, namespace(), config("a"))

    assert await api.find(f"{CONFIGS}/b")


async def promote(api: ClusterApi, *, is_over: bool = True) -> None:
    """Have users get what the target holds."""
    target = await api.get(f"{DEPLOYMENTS}/backend")
    notes = promoted(revision_of(target, {})) | ({} if is_over else {PROMOTING: "r"})
    primary = workload() | {"metadata": {"name": "backend-primary", "namespace": "webapp"}}
    primary["metadata"]["annotations"] = notes
    await api.apply(f"{DEPLOYMENTS}/backend-primary", primary, force=True)


@pytest.mark.parametrize("whose", ["canaries", "others"])
async def test_what_users_may_need_stays_until_the_revision_is_promoted(api: ClusterApi, whose: str) -> None:
    its: dict[str, Any] = {whose: (canary(),)}
    await sync(api, namespace(), config("old"), workload(), **its)
    await promote(api)
    new = (namespace(), workload(image="podinfo:2"))

    judged = await sync(api, *new, revision="r2", **its)
    assert await api.find(f"{CONFIGS}/old")
    assert (judged.is_waiting, "webapp_old__ConfigMap" in judged.inventory.ids) == (True, True)
    assert judged.notes == [
        "What the revision lacks stays until it is promoted in webapp/backend: ConfigMap webapp/old."
    ]

    await promote(api, is_over=False)
    assert (await sync(api, *new, revision="r2", **its)).is_waiting

    await promote(api)
    done = await sync(api, *new, revision="r2", **its)
    assert await api.find(f"{CONFIGS}/old") is None
    assert (done.is_waiting, done.notes) == (False, [])


async def test_before_there_is_a_primary_nothing_goes(api: ClusterApi) -> None:
    await sync(api, namespace(), config("old"), workload(), canaries=(canary(),))

    synced = await sync(api, namespace(), workload(), canaries=(canary(),))

    assert await api.find(f"{CONFIGS}/old")
    assert synced.is_waiting


async def test_what_goes_over_to_another_policy_is_left_for_it(api: ClusterApi) -> None:
    moved = obj("v1", "ConfigMap", "moved", "default")
    without = obj("v1", "ConfigMap", "moved", None)
    await sync(api, namespace(), config("a"), moved)
    before = await api.get("/api/v1/namespaces/default/configmaps/moved")

    first = await sync(api, namespace(), siblings=(without,), revision="r2")
    await sync(api, without, owner="team/shop/other", revision="r2")
    again = await sync(api, namespace(), siblings=(without,), revision="r2")

    after = await api.get("/api/v1/namespaces/default/configmaps/moved")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert await api.find(f"{CONFIGS}/a") is None
    assert (first.is_waiting, "default_moved__ConfigMap" in first.inventory.ids) == (True, True)
    assert (again.is_waiting, again.inventory.ids) == (False, ("_webapp__Namespace",))


async def test_nothing_is_pruned_while_another_policy_cannot_be_built(api: ClusterApi) -> None:
    await sync(api, namespace(), config("a"))

    synced = await sync(api, namespace(), siblings=SourceError("no folder"), revision="r2")

    assert await api.find(f"{CONFIGS}/a")
    assert synced.is_waiting
    assert "webapp_a__ConfigMap" in synced.inventory.ids
    assert synced.notes == ["Nothing is pruned while another policy of the Application cannot be built."]


@pytest.mark.parametrize("copied", [{}, {"annotations": {OWNER: NAME}}], ids=["plain", "with our mark"])
async def test_what_others_made_anew_is_not_pruned(api: ClusterApi, copied: Object) -> None:
    await sync(api, namespace(), config("a"), config("b"))
    await api.delete(f"{CONFIGS}/b")
    anew = config("b")
    anew["metadata"] |= copied
    await api.create(CONFIGS, anew, manager="kubectl")

    await sync(api, namespace(), config("a"))

    assert await api.find(f"{CONFIGS}/b")


async def test_a_namespace_with_foreign_content_stays(api: ClusterApi) -> None:
    await sync(api, namespace(), config("a"))
    await api.create(CONFIGS, config("foreign"), manager="kubectl")

    synced = await sync(api, obj("v1", "ConfigMap", "loose", "default"))

    assert await api.find(f"{CONFIGS}/a") is None
    assert "deletionTimestamp" not in (await api.get(WEBAPP))["metadata"]
    assert synced.notes == ["Namespace webapp stays: it holds ConfigMap foreign."]
    assert synced.is_waiting
    assert "_webapp__Namespace" in synced.inventory.ids


def alpha(kind: str, plural: str) -> Object:
    """Define a kind that its group has in an old version alone, as Istio has EnvoyFilters."""
    body = definition(kind, plural, "networking.istio.io")
    body["spec"]["versions"][0]["name"] = "v1alpha3"
    return body


FILTER = obj("networking.istio.io/v1alpha3", "EnvoyFilter", "f", spec={})
FILTERS = "/apis/networking.istio.io/v1alpha3/namespaces/webapp/envoyfilters"


async def test_a_kind_that_only_an_old_version_has_is_pruned(api: ClusterApi) -> None:
    definitions = (namespace(), VIRTUAL_SERVICE, alpha("EnvoyFilter", "envoyfilters"))
    await sync(api, *definitions, FILTER)
    assert await api.find(f"{FILTERS}/f")

    await sync(api, *definitions)

    assert await api.find(f"{FILTERS}/f") is None


async def test_a_namespace_stays_for_a_kind_that_only_an_old_version_has(api: ClusterApi) -> None:
    definitions = (VIRTUAL_SERVICE, alpha("EnvoyFilter", "envoyfilters"))
    await sync(api, namespace(), *definitions)
    await api.create(FILTERS, FILTER, manager="kubectl")

    synced = await sync(api, *definitions)

    assert synced.notes == ["Namespace webapp stays: it holds EnvoyFilter f."]
    assert await api.find(f"{FILTERS}/f")


async def test_an_empty_namespace_is_pruned(api: ClusterApi) -> None:
    await sync(api, namespace(), config("a"))

    await sync(api, obj("v1", "ConfigMap", "loose", "default"))

    left = await api.find(WEBAPP)
    assert left is None or "deletionTimestamp" in left["metadata"]


async def test_a_definition_that_others_use_stays(api: ClusterApi) -> None:
    await sync(api, namespace(), definition("Widget", "widgets", "example.com"))
    await api.create(
        "/apis/example.com/v1beta1/namespaces/webapp/widgets", obj("example.com/v1beta1", "Widget", "w")
    )

    synced = await sync(api, namespace())

    assert await api.find(f"{DEFINITIONS}/widgets.example.com")
    assert synced.notes == ["CustomResourceDefinition widgets.example.com stays: it holds Widget w."]


@pytest.mark.proves("K12")
async def test_the_target_of_a_canary_waits_for_its_way_out(api: ClusterApi) -> None:
    """Kurator prunes a workload while Flagger's finalizer still brings it back.

    K12: Kurator's controller.go.
    """
    await sync(api, namespace(), workload(), service(), canaries=(canary(),))
    await promote(api)

    synced = await sync(api, namespace(), canaries=(canary(),))
    assert await api.find(f"{DEPLOYMENTS}/backend")
    assert "Deployment webapp/backend stays until its canary is deleted." in synced.notes

    await sync(api, namespace())
    assert await api.find(f"{DEPLOYMENTS}/backend") is None


async def test_a_canary_that_the_source_does_not_know_keeps_its_fields(api: ClusterApi) -> None:
    await sync(api, namespace(), workload(replicas=2), service())
    mark = {"annotations": {DECIDED_AT: "2026-01-01T00:00:00Z"}}
    await api.patch(f"{DEPLOYMENTS}/backend", {"metadata": mark, "spec": {"replicas": 0}})
    taken = {"metadata": {"labels": {CANARY: "backend"}}, "spec": {"selector": {"app": "backend-primary"}}}
    await api.patch(f"{SERVICES}/backend", taken)

    await sync(api, namespace(), workload(replicas=2), service())
    synced = await sync(api, namespace())

    assert (await api.get(f"{DEPLOYMENTS}/backend"))["spec"]["replicas"] == 0
    assert (await api.get(f"{SERVICES}/backend"))["spec"]["selector"] == {"app": "backend-primary"}
    assert len(synced.notes) == 2


async def test_what_is_as_it_should_be_is_not_written(api: ClusterApi, server: ApiServer) -> None:
    manifests = (namespace(), config("a", x="1"), workload(replicas=2), service())
    await sync(api, *manifests)

    writes = await writes_of(server, sync(api, *manifests))
    assert writes == []

    writes = await writes_of(server, sync(api, *manifests[:-1], service(81)))
    assert writes == [f"{SERVICES}/backend"]


async def test_what_was_edited_by_hand_is_put_right(api: ClusterApi) -> None:
    await sync(api, namespace(), config("a", x="1"))
    await api.patch(f"{CONFIGS}/a", {"data": {"x": "2"}}, manager="kubectl")

    await sync(api, namespace(), config("a", x="1"))

    assert (await api.get(f"{CONFIGS}/a"))["data"] == {"x": "1"}


async def writes_of(server: ApiServer, work: Awaitable[Synced]) -> list[str]:
    """The paths of all writes but dry runs."""
    async with aiohttp.ClientSession() as session:

        async def log() -> list[Object]:
            async with session.get(f"{server.url}/_sandbox/requests?since=0") as answer:
                entries: list[Object] = (await answer.json())["requests"]
                return entries

        before = len(await log())
        await work
        new = (await log())[before:]
    writes = [each["path"] for each in new if each["method"] != "GET" and "dryRun" not in each["path"]]
    return [path.partition("?")[0] for path in writes]


async def test_what_a_crash_left_half_applied_is_pruned_later(api: ClusterApi) -> None:
    await sync(api, namespace(), config("a"))
    with pytest.raises(ApiError):
        await sync(_Dying(api), namespace(), config("a"), config("b"), config("c"))  # type: ignore[arg-type]
    assert await api.find(f"{CONFIGS}/b")

    await sync(api, namespace(), config("a"))

    assert await api.find(f"{CONFIGS}/b") is None


class _Dying:
    """An API that breaks in the middle of a sync."""

    def __init__(self, api: ClusterApi) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    async def apply(self, path: str, body: Object, *, dry_run: bool = False, **rest: Any) -> Object:
        if path.endswith("/configmaps/c") and not dry_run:
            raise ApiError(503, "ServiceUnavailable", "down", path)
        return await self._api.apply(path, body, dry_run=dry_run, **rest)


async def test_a_policy_taken_back_leaves_nothing(api: ClusterApi) -> None:
    await sync(api, namespace(), config("a"))

    await ClusterSync(api, NAME, ()).retire(prune=True)

    assert await api.find(f"{CONFIGS}/a") is None
    assert (await api.list("/api/v1/configmaps", fieldSelector="metadata.namespace=default"))["items"] == []


async def test_what_users_may_need_of_a_policy_taken_back_stays_until_the_promotion(api: ClusterApi) -> None:
    """Another policy's canary is judged: its users get what was promoted, by the Secret of this one."""
    beside = "team/shop/app"
    await sync(api, namespace(), config("old"))
    await sync(api, workload(), owner=beside, canaries=(canary(),))
    await promote(api)
    await sync(api, workload(image="podinfo:2"), owner=beside, canaries=(canary(),), revision="r2")

    judged = await ClusterSync(api, NAME, ()).retire(prune=True, others=(canary(),))
    assert await api.find(f"{CONFIGS}/old")
    assert (judged.is_needed, "webapp_old__ConfigMap" in await inventory(api)) == (True, True)
    assert judged.notes == [
        "It stays until webapp/backend is promoted: Namespace webapp, ConfigMap webapp/old."
    ]

    await promote(api)
    assert not (await ClusterSync(api, NAME, ()).retire(prune=True, others=(canary(),))).is_needed
    assert await api.find(f"{CONFIGS}/old") is None


async def test_a_policy_taken_back_without_prune_leaves_its_objects(api: ClusterApi) -> None:
    await sync(api, namespace(), config("a"))

    await ClusterSync(api, NAME, ()).retire(prune=False)

    assert await api.find(f"{CONFIGS}/a")
    assert await inventory(api) == []
