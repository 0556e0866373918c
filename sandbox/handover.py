"""The files by which others find the sandbox: kubeconfig, clusters.yaml, endpoints.json."""

import json
import os
from pathlib import Path

from sandbox.objects import Object

# Between taking traffic away and scaling down: this mesh hears of a change in milliseconds.
SCALE_DOWN_DELAY = 1.0
LOAD_TESTER = "durable-canary"
"""What a node of ours takes for our own load tester."""


def kubeconfig(servers: dict[str, str], current: str) -> str:
    """Write a kubeconfig with a context for each of the clusters, by name and URL."""
    return "\n".join(
        [
            *("apiVersion: v1", "kind: Config", f"current-context: {current}"),
            "clusters:",
            *(f"- name: {name}\n  cluster: {{server: {url!r}}}" for name, url in servers.items()),
            "contexts:",
            *(f"- name: {name}\n  context: {{cluster: {name}, user: sandbox}}" for name in servers),
            "users:",
            "- name: sandbox\n  user: {}\n",
        ]
    )


def clusters_document(prometheus: dict[str, str], propagation: float) -> str:
    """Write what the engine needs to know of the clusters, given the Prometheus of each."""
    delay = SCALE_DOWN_DELAY + propagation
    lines = ["clusters:"]
    for name, url in prometheus.items():
        lines += [
            f"  {name}:",
            "    kubeconfig: ./kubeconfig",
            f"    context: {name}",
            f"    prometheus: {url}",
            "    reach: apiServer",
            f"    guardedLoadTester: {LOAD_TESTER}",
            f"    scaleDownDelay: {delay:g}s",
        ]
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(path)


def read_endpoints(directory: Path) -> Object | None:
    """Read endpoints.json, if it is there."""
    path = directory / "endpoints.json"
    try:
        found: Object = json.loads(path.read_text())
        if "clusters" in found:
            return found
        why = "it names no clusters"
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        why = str(error)
    anew = f"canary sandbox down --dir {directory}, then canary sandbox up --dir {directory}"
    raise LookupError(f"{path} cannot be used: {why}; start the sandbox anew: {anew}")
