"""What a policy has brought to a cluster, kept in that cluster."""

import hashlib
from dataclasses import dataclass

from activities.cluster import paths
from activities.cluster.api import SOURCE_MANAGER, ClusterApi
from activities.source.manifest import Key

NAMESPACE = "default"
"""Every cluster has it, and no source can bring or remove it."""
LONGEST_NAME = 200


@dataclass(frozen=True)
class Inventory:
    """The objects that one policy of one Application brought to one cluster.

    It lies beside them, as a ConfigMap, and so survives whatever happens to the engine. It is written before
    the first object is applied, so that a crash leaves nothing that is not in it.
    """

    revision: str = ""
    keys: tuple[Key, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The objects as a status lists them."""
        return tuple(str(key) for key in self.keys)


class InventoryStore:
    """The ConfigMap with the inventory of one policy."""

    def __init__(self, api: ClusterApi, owner: str) -> None:
        self._api = api
        self._owner = owner
        self._path = paths.one("ConfigMap", NAMESPACE, _name(owner))

    async def load(self) -> Inventory:
        """Read the inventory; empty where there is none."""
        found = await self._api.find(self._path)
        if found is None:
            return Inventory()
        data = found.get("data") or {}
        keys = tuple(Key.parse(line) for line in str(data.get("objects", "")).splitlines())
        return Inventory(str(data.get("revision", "")), keys)

    async def save(self, inventory: Inventory) -> None:
        """Write the inventory."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": _name(self._owner),
                "namespace": NAMESPACE,
                "annotations": {"durable-canary.dev/inventory-of": self._owner},
            },
            "data": {"revision": inventory.revision, "objects": "\n".join(inventory.ids)},
        }
        await self._api.apply(self._path, body, manager=SOURCE_MANAGER, force=True)

    async def remove(self) -> None:
        """Delete the inventory; what it lists stays."""
        await self._api.delete(self._path)


def _name(owner: str) -> str:
    # Two owners can read alike once their slashes are dashes: the hash tells them apart.
    short = hashlib.sha256(owner.encode()).hexdigest()[:8]
    readable = owner.replace("/", "-").lower()[:LONGEST_NAME].rstrip("-.")
    return f"durable-canary-inventory-{readable}-{short}"
