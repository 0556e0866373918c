"""Builds of a source: the manifests of one folder at one revision, made once for all clusters of a fleet."""

import asyncio
import base64
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from activities.cluster import paths
from activities.cluster.clusters import Clusters
from activities.source.errors import SourceError
from activities.source.kustomize import TREE, Kustomize
from activities.source.manifest import Manifest
from activities.source.repository import Login, Repository
from canary.application import GitSource, SyncPolicy

KEPT_BUILDS = 16
HOST = "host"
"""The cluster where the Application's Secrets are."""
GIT_THREADS = 8

T = TypeVar("T")


class Origin(NamedTuple):
    """One revision of a repository, and in which namespace its Secret is."""

    source: GitSource
    namespace: str
    revision: str = ""
    """Empty where it has yet to be found."""

    @property
    def secret(self) -> str:
        """The Secret that it is read with, `<namespace>/<name>`; empty for a public repository."""
        return f"{self.namespace}/{self.source.secret_ref}" if self.source.secret_ref else ""


class Builds:
    """Reads repositories, and builds their folders.

    Args:
        clusters: Where the Secrets of private repositories are.
        cache: A directory for clones, shared with the other workers of this machine.
        kubectl: The program that holds kustomize.
    """

    def __init__(self, clusters: Clusters, cache: Path, kubectl: Path) -> None:
        self._clusters = clusters
        self._cache = cache
        self._kustomize = Kustomize(kubectl)
        self._builds: OrderedDict[str, asyncio.Task[list[Manifest]]] = OrderedDict()
        # Threads of its own: one that waits for the lock of a clone must not hold up other work.
        self._threads = ThreadPoolExecutor(GIT_THREADS, thread_name_prefix="git")

    async def resolve(self, origin: Origin) -> str:
        """Name the revision that is to be delivered now."""
        repository = await self._repository(origin)
        return await self._in_thread(repository.resolve)

    async def build(self, origin: Origin, policy: SyncPolicy) -> list[Manifest]:
        """Build once for all clusters of a fleet; whoever comes meanwhile waits for the same build."""
        # The Secret as well: a build that one of them has opened is not for whoever knows the address.
        known = (origin.source.url, origin.secret, origin.revision)
        key = "\n".join((*known, policy.path, policy.target_namespace or ""))
        if key not in self._builds:
            self._builds[key] = asyncio.create_task(self._build_anew(origin, policy))
            while len(self._builds) > KEPT_BUILDS:
                self._builds.popitem(last=False)
        try:
            return await asyncio.shield(self._builds[key])
        except BaseException:
            self._builds.pop(key, None)
            raise

    async def _build_anew(self, origin: Origin, policy: SyncPolicy) -> list[Manifest]:
        repository = await self._repository(origin)
        with tempfile.TemporaryDirectory(prefix="durable-canary-") as temporary:
            work = Path(temporary)
            await self._in_thread(partial(repository.export, origin.revision, work / TREE))
            async with asyncio.timeout(policy.timeout.total_seconds()):
                built = await self._kustomize.build(work, policy.path, policy.target_namespace)
        return [Manifest.of(body) for body in built]

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _repository(self, origin: Origin) -> Repository:
        name = origin.source.secret_ref
        login = await self._login(origin.namespace, name) if name else None
        return Repository(origin.source, self._cache, login)

    async def _login(self, namespace: str, name: str) -> Login:
        host = await self._clusters.get(HOST)
        found = await host.find(paths.one("Secret", namespace, name))
        if found is None:
            raise SourceError(f"Secret {namespace}/{name} of the git repository was not found.")
        data = found.get("data") or {}
        if not {"username", "password"} <= data.keys():
            raise SourceError(f"Secret {namespace}/{name} needs the keys username and password.")
        return Login(
            f"{namespace}/{name}", *(base64.b64decode(data[key]).decode() for key in ("username", "password"))
        )
