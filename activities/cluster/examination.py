"""What a doctor looks at in clusters: whether they answer, what is installed, and what the worker may do."""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from http import HTTPStatus
from typing import Protocol

import httpx
from temporalio import activity

from activities.cluster import marks, testers
from activities.cluster.api import ClusterApi
from activities.cluster.clusters import Clusters, served_here
from activities.cluster.errors import (
    ApiError,
    ClusterUnreachableError,
    ServedElsewhereError,
    UnknownClusterError,
)
from activities.cluster.paths import ISTIO, collection
from activities.cluster.reach import DIRECT, Reach
from activities.cluster.rights import PROXY, RIGHTS
from activities.heartbeat import heartbeating
from canary.errors import MeasurementError, NoAnswerError
from canary.examination import Examination, Finding, Findings

HOST = "host"
"""The cluster that holds kubeconfigs: unless canaries are in it, nothing of Istio is needed there."""
OLDEST = (1, 27)
"""The first Kubernetes that Istio's oldest supported versions and our kinds of request go with."""
NEEDED = ("virtualservices", "destinationrules")
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
AT_ONCE = 10
"""Questions to one API server at the same time."""
_FAILURES = (ApiError, ClusterUnreachableError, UnknownClusterError, NoAnswerError, MeasurementError)


class ListedClusters(Clusters, Protocol):
    """The clusters a worker can reach, and which its clusters file names."""

    @property
    def names(self) -> tuple[str, ...]:
        """The clusters of the file."""
        ...


class Metrics(Protocol):
    """Asks clusters' own Prometheus."""

    async def ask(self, cluster: str, query: str) -> float | None:
        """Return a query's value; raises `NoAnswerError` or `MeasurementError`."""
        ...


class ExaminationActivities:
    """Looks at clusters as the engine would, and changes nothing."""

    def __init__(
        self, clusters: ListedClusters, metrics: Metrics, reach: Reach, http: httpx.AsyncClient
    ) -> None:
        self._clusters = clusters
        self._metrics = metrics
        self._reach = reach
        self._http = http

    @activity.defn
    async def examine_clusters(self, examination: Examination) -> Findings:
        """Look at every cluster of the file, and at those that canaries are in."""
        listed = self._clusters.names if examination.has_file else ()
        names = sorted({*listed, *examination.clusters})
        async with heartbeating():
            looks = [self._look(name, is_member=name in examination.clusters) for name in names]
            found = dict(zip(names, await asyncio.gather(*looks), strict=True))
        return Findings(
            findings=tuple(one for seen in found.values() if isinstance(seen, list) for one in seen),
            task_queues={name: seen for name, seen in found.items() if isinstance(seen, str)},
        )

    async def _look(self, name: str, *, is_member: bool) -> list[Finding] | str:
        """Look at one cluster; what fails there by a mistake of ours takes nothing from the others."""
        try:
            return await self._examine(name, is_member=is_member)
        except Exception as error:  # noqa: BLE001 — it is told, with its type and in the log
            activity.logger.exception("examination failed", extra={"cluster": name})
            seen = f"could not be looked at: {type(error).__name__}"
            remedy = "a mistake of the engine's: see `examination failed` in the worker's log"
            return [Finding(cluster=name, what="examination", seen=seen, remedy=remedy)]

    async def _examine(self, name: str, *, is_member: bool) -> list[Finding] | str:
        """Look at one cluster, one that is away no further; or name the task queue whose workers have to."""
        try:
            api = served_here(await self._clusters.get(name))
            version = await api.get("/version")
        except ServedElsewhereError as error:
            return error.task_queue
        except _FAILURES as error:
            remedy = (
                "see that the worker's machine reaches it, and which kubeconfig and context the worker's "
                f"clusters file names: kubectl --context {name} version"
            )
            return [Finding(cluster=name, what="API server", seen=str(error), remedy=remedy)]
        if name == HOST and not is_member:
            return [_about_version(name, version)]
        looks: list[Awaitable[Finding]] = [
            _about_istio(api),
            _about_rights(api),
            _about_open_testers(api),
            self._about_metrics(api),
        ]
        if api.settings.load_tester:
            looks.append(self._about_load_tester(api, api.settings.load_tester))
        return [_about_version(name, version), *await asyncio.gather(*looks)]

    async def _about_metrics(self, api: ClusterApi) -> Finding:
        try:
            await self._metrics.ask(api.name, "vector(1)")
        except _FAILURES as error:
            remedy = f"give cluster {api.name} a `prometheus:` URL in the worker's clusters file"
            return Finding(cluster=api.name, what="Prometheus", seen=str(error), remedy=remedy)
        return Finding(cluster=api.name, what="Prometheus", seen="answers")

    async def _about_load_tester(self, api: ClusterApi, base: str) -> Finding:
        remedy = f"see `loadTester:` of cluster {api.name} in the worker's clusters file"
        try:
            status = await self._get(api, f"{base.rstrip('/')}/healthz")
        except (*_FAILURES, httpx.HTTPError) as error:
            seen = f"does not answer: {type(error).__name__}"
            return Finding(cluster=api.name, what="load tester", seen=seen, remedy=remedy)
        if status >= HTTPStatus.BAD_REQUEST:
            seen = f"answers {status} to GET /healthz"
            return Finding(cluster=api.name, what="load tester", seen=seen, remedy=remedy, is_warning=True)
        return Finding(cluster=api.name, what="load tester", seen="answers")

    async def _get(self, api: ClusterApi, url: str) -> int:
        route = await self._reach.webhook(api.name, "default", url)
        if route.proxy is None:
            return (await self._http.get(route.url, timeout=5)).status_code
        status, _ = await route.proxy.send(route.url, body=None, headers={}, seconds=5, limit=1024)
        return status


def _about_version(cluster: str, version: dict[str, str]) -> Finding:
    seen = version.get("gitVersion", "unknown")
    numbers = [int("".join(filter(str.isdigit, version.get(key, ""))) or 0) for key in ("major", "minor")]
    oldest = ".".join(map(str, OLDEST))
    remedy = "" if tuple(numbers) >= OLDEST else f"upgrade Kubernetes to {oldest} or newer"
    return Finding(cluster=cluster, what="Kubernetes", seen=seen, remedy=remedy)


async def _about_istio(api: ClusterApi) -> Finding:
    remedy = "install Istio 1.18 or newer: istioctl install"
    try:
        found = await api.find(ISTIO)
    except _FAILURES as error:
        return Finding(cluster=api.name, what="Istio", seen=str(error), remedy=remedy)
    known = {resource["name"] for resource in (found or {}).get("resources", ())}
    missing = [kind for kind in NEEDED if kind not in known]
    if not missing:
        return Finding(cluster=api.name, what="Istio", seen="serves v1beta1")
    seen = f"networking.istio.io/v1beta1 lacks {' and '.join(missing)}"
    return Finding(cluster=api.name, what="Istio", seen=seen, remedy=remedy)


async def _about_open_testers(api: ClusterApi) -> Finding:
    """Name the load testers that were deployed without a token."""
    what, chosen = "load testers", f"{marks.LOAD_TESTER}={marks.OPEN}"
    try:
        found = await api.list_metadata(collection("Deployment"), labelSelector=chosen)
    except _FAILURES as error:
        remedy = "compare with deploy/rbac.yaml"
        return Finding(
            cluster=api.name, what=what, seen=f"cannot be listed: {error}", remedy=remedy, is_warning=True
        )
    names = sorted(f"{item['metadata']['name']}.{item['metadata']['namespace']}" for item in found["items"])
    if not names:
        return Finding(cluster=api.name, what=what, seen="none that is open to everybody")
    seen = f"whoever reaches {', '.join(names)} can run commands there"
    return Finding(cluster=api.name, what=what, seen=seen, remedy=testers.REMEDY, is_warning=True)


async def _about_rights(api: ClusterApi) -> Finding:
    """Ask for each right by itself: a list of one's rules may be incomplete."""
    slots = asyncio.Semaphore(AT_ONCE)
    wanted = list(_wanted(api))

    async def is_denied(group: str, resource: str, verb: str) -> bool:
        async with slots:
            return not await _is_allowed(api, group, resource, verb)

    try:
        denied = await asyncio.gather(*(is_denied(*one) for one in wanted))
    except _FAILURES as error:
        seen = f"cannot be asked: {error}"
        remedy = "compare with deploy/rbac.yaml"
        return Finding(cluster=api.name, what="rights", seen=seen, remedy=remedy, is_warning=True)
    missing = [one for one, is_missing in zip(wanted, denied, strict=True) if is_missing]
    if not missing:
        return Finding(cluster=api.name, what="rights", seen=f"all {len(wanted)} granted")
    remedy = (
        "run: kubectl apply -f deploy/rbac.yaml && kubectl create clusterrolebinding durable-canary "
        "--clusterrole=durable-canary --user=<the user of the worker's kubeconfig>"
    )
    return Finding(cluster=api.name, what="rights", seen=f"may not {_listed(missing)}", remedy=remedy)


def _wanted(api: ClusterApi) -> Iterator[tuple[str, str, str]]:
    """Give what the engine needs there: group, resource and verb of each right."""
    rights = RIGHTS if api.settings.reach == DIRECT else (*RIGHTS, PROXY)
    for right in rights:
        for resource in right.resources:
            for verb in right.verbs:
                yield right.group, resource, verb


async def _is_allowed(api: ClusterApi, group: str, resource: str, verb: str) -> bool:
    plural, _, subresource = resource.partition("/")
    attributes = {"group": group, "resource": plural, "subresource": subresource, "verb": verb}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = await api.create(REVIEWS, body)
    return bool(answer.get("status", {}).get("allowed"))


def _listed(missing: Iterable[tuple[str, str, str]]) -> str:
    """Say what is missing, the verbs of a resource together."""
    verbs: dict[str, list[str]] = {}
    for group, resource, verb in missing:
        verbs.setdefault(f"{resource}.{group}" if group else resource, []).append(verb)
    return "; ".join(f"{', '.join(known)} {resource}" for resource, known in verbs.items())
