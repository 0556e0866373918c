"""From the name a person types to the one canary or Application that is meant."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio.client import Client

from starter.errors import UsageError
from starter.listing import RUNNING, Listed, Scope, canaries, workflows
from workflows import contract

LAG = 1.0
"""Seconds after which a name that is not listed is looked for once more: the list is a moment behind what has
just begun, and behind a canary that has just gone over into a new history."""


@dataclass(frozen=True)
class Reference:
    """What a person typed: `backend`, `canary/backend` or `deployment/backend`, and where."""

    name: str
    namespace: str
    cluster: str | None = None

    @property
    def scope(self) -> Scope:
        """Where it is looked for."""
        return Scope(self.namespace, self.cluster)

    def is_meant(self, item: Listed) -> bool:
        """Whether a canary has this name, or its target has."""
        kind, _, name = self.name.rpartition("/")
        target_kind, target = item.tail.split("/")[-2:]
        return name in (item.row.name, target) and kind.lower() in ("", "canary", target_kind.lower())

    def __str__(self) -> str:
        place = f" of cluster {self.cluster}" if self.cluster else ""
        return f"{self.name} in namespace {self.namespace}{place}"


async def find_canary(client: Client, reference: Reference) -> Listed:
    """Give the one canary that is meant; none or several is a mistake that names the way out."""

    async def look() -> list[Listed]:
        return [item for item in await canaries(client, reference.scope) if reference.is_meant(item)]

    found = await _looked_for(look)
    if not found:
        raise UsageError(f"No canary {reference}.{await _elsewhere(client, reference)}")
    if len(found) > 1:
        raise UsageError(f"Several canaries are named {reference}: {_choices(found)}")
    return found[0]


async def find_application(client: Client, name: str, namespace: str) -> Listed:
    """Give the Application of this name."""
    identity = contract.application_id(namespace, name)

    async def look() -> list[Listed]:
        running = workflows(client, contract.APPLICATION_WORKFLOW, RUNNING, Scope(namespace))
        return [item async for item in running if item.id == identity]

    if found := await _looked_for(look):
        return found[0]
    raise UsageError(f"No application {name} in namespace {namespace}.")


async def _looked_for(look: Callable[[], Awaitable[list[Listed]]]) -> list[Listed]:
    if found := await look():
        return found
    await asyncio.sleep(LAG)
    return await look()


async def _elsewhere(client: Client, reference: Reference) -> str:
    """Say where a canary of this name is, if it is anywhere."""
    places = [item.tail for item in await canaries(client, Scope(None)) if reference.is_meant(item)]
    if not places:
        return ""
    cluster, namespace = places[0].split("/")[:2]
    return f" There is one in namespace {namespace} of cluster {cluster}."


def _choices(found: list[Listed]) -> str:
    clusters = sorted({item.row.cluster for item in found})
    if len(clusters) == len(found):
        return f"say which with --cluster ({', '.join(clusters)})."
    return f"say which as kind/name ({', '.join(sorted(item.tail for item in found))})."
