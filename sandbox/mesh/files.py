"""The files an Envoy follows."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sandbox.mesh.clusters import Cluster

Object = dict[str, Any]


class Files:
    """Writes only what changed, and every file whole."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._clusters: dict[str, tuple[Cluster, str]] = {}  # with their definitions
        self._texts: dict[str, str] = {}
        (directory / "hosts").mkdir(parents=True, exist_ok=True)

    def publish(self, clusters: Iterable[Cluster], tables: Iterable[Object]) -> None:
        """Write hosts, then clusters, then routes, so that nothing is named before it is defined."""
        known = {cluster.name: self._with_hosts(cluster) for cluster in clusters}
        gone = self._clusters.keys() - known.keys()
        self._clusters = known
        self._update("clusters.json", ",".join(definition for _, definition in known.values()))
        for table in tables:
            self._update(f"{table['name']}.json", json.dumps(table))
        for name in gone:
            self._hosts_file(name).unlink()

    def _with_hosts(self, cluster: Cluster) -> tuple[Cluster, str]:
        """Write the hosts of a cluster, if it changed; Envoy takes the hosts of one cluster a file."""
        before = self._clusters.get(cluster.name)
        if before and before[0] == cluster:
            return before
        path = self._hosts_file(cluster.name)
        if not before or before[0].hosts != cluster.hosts:
            self._write(f"hosts/{path.name}", json.dumps(cluster.assignment()))
        return cluster, json.dumps(cluster.definition(str(path)))

    def _hosts_file(self, cluster: str) -> Path:
        return self._directory / "hosts" / f"{cluster}.json"

    def _update(self, name: str, resources: str) -> None:
        if self._texts.get(name) != resources:
            self._write(name, resources)
            self._texts[name] = resources

    def _write(self, name: str, resources: str) -> None:
        path = self._directory / name
        fresh = path.with_suffix(".new")
        fresh.write_text(f'{{"resources": [{resources}]}}')
        fresh.replace(path)
