"""What an Envoy is started with: its listeners, and where the rest is followed."""

from pathlib import Path

from sandbox.mesh.tables import OUTSIDE
from sandbox.objects import Object

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


def bootstrap(directory: Path, name: str) -> Object:
    """Give the configuration of the Envoy that follows the files in `directory`."""
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
