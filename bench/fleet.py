"""Five hundred canaries that are idle: how long until they are, what they cost, how fast one still is."""

import asyncio
import time
from pathlib import Path
from typing import Any

from temporalio.client import WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from bench.figure import Bound, Figure
from bench.latency import SOON, change, changes_and_aborts
from bench.log import counted
from bench.stage import MEMBER, Options, stage
from canary.spec import CanarySpec
from tests.conformance import workload
from tests.conformance.case import Case
from tests.conformance.waiting import until
from tests.conformance.world import Cluster, World
from workflows.contract import APPLY, CANARY_WORKFLOW, QUEUE, ApplyCanary, ApplyResult, canary_id

IMAGE = "registry.example/idle:1"
"""No server: pods that cost the machine nothing, as kwok's do."""
IN_ONE_NAMESPACE = 50
AT_ONCE = 8
REST = 10.0
DEPLOYED_WITHIN, INITIALISED_WITHIN = 300.0, 600.0
MEBIBYTE = 1024.0


async def measure(options: Options) -> list[Figure]:
    """Initialise them, leave them alone, and change one."""
    size, watched = options.many(500, 100), options.many(120, 10)
    async with stage(has_mesh=False) as world:
        places = await _deploy(world.clusters[MEMBER], size)
        begin = time.monotonic()
        await _each(places, lambda place: _apply(world, *place))
        await until(lambda: _are_initialised(world, size), INITIALISED_WITHIN, f"{size} are initialised")
        started = time.monotonic() - begin
        await asyncio.sleep(REST)
        memory = [_resident(world)]
        rate = await _rate(world.clusters[MEMBER], watched)
        memory.append(_resident(world))
        changes, _ = await changes_and_aborts(world, options)
        resumed = await _changes_after_a_kill(world, options.many(5, 1))
    name = f"{size} idle canaries"
    return [
        Figure(
            f"{name}: applied → all Initialized",
            "s",
            [started],
            f"{AT_ONCE} `apply` at a time, on pods without a server and, as in Flagger's figure, without a "
            "mesh; the sandbox's own work is in it",
            "129 s (default client limit)",
            Bound(maximum=60),
        ),
        Figure(
            f"{name}: worker's memory",
            "MiB",
            memory,
            f"resident, after {REST:g} s of rest and {watched} s later",
            "95 MiB",
            Bound(maximum=400),
        ),
        Figure(
            f"{name}: API requests",
            "1/s",
            [rate],
            f"the API server's counters over {watched} s, watches and resync included",
            "153 requests/s (default client limit)",
            Bound(maximum=1.0),
        ),
        Figure(
            f"{name}: template change → canary scaled up",
            "s",
            changes,
            "as without them",
            "5.3 intervals (default client limit)",
            SOON,
        ),
        Figure(
            f"{name}, worker killed: template change → canary scaled up",
            "s",
            resumed,
            "changed once a new worker is ready; Temporal notices after two seconds that the old one is dead",
            bound=Bound(maximum=5.0),
        ),
    ]


async def _changes_after_a_kill(world: World, times: int) -> list[float]:
    """Kill the worker, start another and release a version, again and again."""
    case = Case(world, MEMBER, "killed")
    await case.deploy()
    await case.initialise(interval="1s")
    found = []
    for trial in range(times):
        await world.kill_worker()
        await world.start_worker()
        run, seconds = await change(case, f"6.2.{trial}")
        found.append(seconds)
        await case.rollout_ends(run)
    return found


async def _deploy(cluster: Cluster, size: int) -> list[tuple[str, str]]:
    """Bring the workloads; gives the namespace and name of each."""
    places = [(f"fleet-{n // IN_ONE_NAMESPACE}", f"app-{n}") for n in range(size)]
    for namespace in dict.fromkeys(namespace for namespace, _ in places):
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        await cluster.api.apply(f"/api/v1/namespaces/{namespace}", body, manager="kubectl")
    await _each(places, lambda place: _bring(cluster, *place))
    await until(lambda: _are_available(cluster, size), DEPLOYED_WITHIN, f"{size} workloads are there")
    return places


async def _each(places: list[tuple[str, str]], act: Any) -> None:
    """Do it for each, so many at once."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(place: tuple[str, str]) -> None:
        async with room:
            await act(place)

    async with asyncio.TaskGroup() as group:
        for place in places:
            group.create_task(one(place))


async def _bring(cluster: Cluster, namespace: str, name: str) -> None:
    # In ambient mode a pod is in the mesh, and nothing of it is scraped.
    labels, ambient = {"app": name}, {"istio.io/dataplane-mode": "ambient"}
    container = {"name": "app", "image": IMAGE, "ports": [{"name": "http", "containerPort": workload.PORT}]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels | ambient}, "spec": {"containers": [container]}},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": labels, "ports": [{"port": workload.PORT, "targetPort": "http"}]},
    }
    for path, body in (
        (f"/api/v1/namespaces/{namespace}/services", service),
        (_workloads(namespace), deployment),
    ):
        await cluster.api.create(path, body)


async def _apply(world: World, namespace: str, name: str) -> None:
    document = workload.document(namespace, interval="10s", metrics=[workload.success_rate()])
    document["metadata"]["name"] = document["spec"]["targetRef"]["name"] = name
    document["spec"]["service"] = {"port": workload.PORT, "targetPort": "http"}
    spec = workload.spec_of(document, MEMBER)
    result: ApplyResult = await until(lambda: _offer(world, spec), INITIALISED_WITHIN, f"{name} is applied")
    assert result.accepted, result


async def _offer(world: World, spec: CanarySpec) -> ApplyResult | None:
    """Offer as `canary apply` does, but with all the time that so many at once may take."""
    start: WithStartWorkflowOperation[object, object] = WithStartWorkflowOperation(
        CANARY_WORKFLOW,
        id=canary_id(spec.tail),
        task_queue=QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    try:
        result: ApplyResult = await world.client.execute_update_with_start_workflow(
            APPLY,
            ApplyCanary(spec=spec),
            start_workflow_operation=start,
            id=spec.tail,
            result_type=ApplyResult,
        )
    except RPCError:  # the server gives up where the worker lags behind
        return None
    return result


def _workloads(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


async def _are_available(cluster: Cluster, size: int) -> bool:
    found = await cluster.api.list("/apis/apps/v1/deployments")
    await asyncio.sleep(0.5)  # the list is long
    return sum(bool(one["status"].get("availableReplicas")) for one in found["items"]) >= size


async def _are_initialised(world: World, size: int) -> bool:
    found = await world.client.count_workflows(
        "WorkflowType = 'CanaryWorkflow' AND CanaryPhase = 'Initialized'"
    )
    await asyncio.sleep(0.5)  # Temporal has better to do than count
    return found.count >= size


def _resident(world: World) -> float:
    """The worker's memory in MiB."""
    assert world.worker is not None
    status = Path(f"/proc/{world.worker.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / MEBIBYTE


async def _rate(cluster: Cluster, seconds: int) -> float:
    before = await counted(cluster)
    await asyncio.sleep(seconds)
    return (await counted(cluster) - before) / seconds
