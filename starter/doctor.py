"""`canary doctor`: what the engine needs of Temporal and of clusters, and the command that mends it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeIndexedValueType, SearchAttributeKey

from starter import clusters
from starter.errors import Exit
from starter.tables import stamp
from starter.workers import QUEUES, START_INSIDE, START_ONE, pollers
from workflows import contract

RETENTION = timedelta(days=30)
"""How long a rollout's evidence should stay in Temporal."""

KEYS: tuple[SearchAttributeKey[str] | SearchAttributeKey[int], ...] = (
    contract.CLUSTER,
    contract.NAMESPACE,
    contract.TARGET,
    contract.APPLICATION,
    contract.PHASE,
    contract.REVISION,
    contract.WEIGHT,
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    seen: str
    remedy: str = ""
    is_warning: bool = False

    def __str__(self) -> str:
        mark = "ok  " if not self.remedy else "warn" if self.is_warning else "FAIL"
        return f"{mark}  {self.name}: {self.seen}{f'; {self.remedy}' if self.remedy else ''}"


async def examine(client: Client, *, is_fixing: bool) -> int:
    """Print each finding, mended first where that is wished; fail where something is missing."""
    if is_fixing:
        await register(client)
    has_failed = False
    async for finding in findings(client):
        print(finding, flush=True)
        has_failed |= bool(finding.remedy) and not finding.is_warning
    return Exit.REFUSED if has_failed else Exit.DONE


async def findings(client: Client) -> AsyncIterator[Finding]:
    """Look at everything in turn."""
    yield Finding("Temporal", f"{client.service_client.config.target_host}, namespace {client.namespace}")
    yield await _retention(client)
    yield await _attributes(client)
    for queue in QUEUES:
        yield await _workers(client, queue, START_ONE)
    seen = await clusters.look(client)
    for own in sorted(set(seen.task_queues.values())):
        for queue in QUEUES:
            yield await _workers(client, contract.own_queue(own, queue), START_INSIDE.format(own))
    for one in seen.findings:
        name = f"{one.what} of {one.cluster}" if one.cluster else one.what
        yield Finding(name, one.seen, one.remedy, one.is_warning)


async def missing_attributes(client: Client) -> list[SearchAttributeKey[str] | SearchAttributeKey[int]]:
    """Give the search attributes that are not registered."""
    request = ListSearchAttributesRequest(namespace=client.namespace)
    known = await client.operator_service.list_search_attributes(request)
    return [key for key in KEYS if key.name not in known.custom_attributes]


async def register(client: Client) -> None:
    """Register the search attributes that are missing."""
    missing = await missing_attributes(client)
    if missing:
        request = AddSearchAttributesRequest(
            namespace=client.namespace, search_attributes={key.name: _type(key) for key in missing}
        )
        await client.operator_service.add_search_attributes(request)


async def _retention(client: Client) -> Finding:
    answer = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace)
    )
    kept = answer.config.workflow_execution_retention_ttl.ToTimedelta()
    command = f"temporal operator namespace update --retention 30d -n {client.namespace}"
    remedy = "" if kept >= RETENTION else f"evidence is lost after that; run: {command}"
    return Finding("retention", f"{kept / timedelta(days=1):g} days", remedy, is_warning=True)


async def _attributes(client: Client) -> Finding:
    missing = await missing_attributes(client)
    if not missing:
        return Finding("search attributes", f"all {len(KEYS)} registered")
    names = ", ".join(key.name for key in missing)
    return Finding("search attributes", f"{names} missing", "run: canary doctor --fix")


async def _workers(client: Client, queue: str, remedy: str) -> Finding:
    found = await pollers(client, queue)
    if not found:
        return Finding(f"workers of {queue}", "none", remedy)
    last = max(poller.last_access_time.ToDatetime(tzinfo=UTC) for poller in found)
    workers = len({poller.identity for poller in found})
    return Finding(f"workers of {queue}", f"{workers}, which last polled at {stamp(last)}")


def _type(key: SearchAttributeKey[str] | SearchAttributeKey[int]) -> IndexedValueType.ValueType:
    if key.indexed_value_type is SearchAttributeIndexedValueType.INT:
        return IndexedValueType.INDEXED_VALUE_TYPE_INT
    return IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
