"""The files an Envoy follows."""

from collections.abc import Iterable
from pathlib import Path

from pydantic_core import to_json

from sandbox.mesh.clusters import Cluster
from sandbox.objects import Object


class Files:
    """Writes only what changed, and every file whole."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._clusters: dict[str, tuple[Cluster, str]] = {}  # with their definitions
        self._texts: dict[str, str] = {}
        directory.mkdir(parents=True, exist_ok=True)

    def publish(self, clusters: Iterable[Cluster], tables: Iterable[Object]) -> None:
        """Write clusters, then routes, so that nothing is named before it is defined."""
        self._clusters = {cluster.name: self._defined(cluster) for cluster in clusters}
        self._update("clusters.json", ",".join(text for _, text in self._clusters.values()))
        for table in tables:
            self._update(f"{table['name']}.json", to_json(table).decode())

    def _defined(self, cluster: Cluster) -> tuple[Cluster, str]:
        before = self._clusters.get(cluster.name)
        if before and before[0] == cluster:
            return before
        return cluster, to_json(cluster.definition()).decode()

    def _update(self, name: str, resources: str) -> None:
        if self._texts.get(name) == resources:
            return
        path = self._directory / name
        fresh = path.with_suffix(".new")
        fresh.write_text(f'{{"resources": [{resources}]}}')
        fresh.replace(path)
        self._texts[name] = resources
