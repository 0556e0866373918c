"""Clusters that are reached by a kubeconfig Secret of the host cluster, as Kurator's AttachedClusters."""

import base64
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from activities.cluster.api import ClusterApi
from activities.cluster.errors import UnknownClusterError
from activities.cluster.paths import collection, one
from canary.application import ClusterRef
from worker.kubeconfigs import loading

LABEL = "durable-canary.dev/cluster"
"""On a ConfigMap of the host cluster that notes by which Secret a cluster is reached."""
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_REMEDY = "set CANARY_ALLOW_EXEC_KUBECONFIG=true for the worker, or put the data itself into the kubeconfig"


class Kubeconfig(NamedTuple):
    """What a Secret holds, and which Secret that is."""

    where: str
    content: dict[str, Any]


async def note(host: ClusterApi, cluster: ClusterRef) -> None:
    """Write the note of a cluster beside its Secret."""
    secret = cluster.kubeconfig
    if secret is None:
        return
    name = f"durable-canary-{cluster.name}"
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": secret.namespace, "labels": {LABEL: cluster.name}},
        "data": {"secret": secret.name, "key": secret.key},
    }
    await host.apply(one("ConfigMap", secret.namespace, name), body, force=True)


async def read_kubeconfig(host: ClusterApi, name: str, *, allow_exec: bool) -> Kubeconfig:
    """Read the kubeconfig of a noted cluster.

    Raises:
        UnknownClusterError: no note, no Secret, no such key, no kubeconfig, or one that is not allowed.
    """
    notes = (await host.list(collection("ConfigMap"), labelSelector=f"{LABEL}={name}"))["items"]
    if not notes:
        raise UnknownClusterError(name)
    namespace, data = notes[0]["metadata"]["namespace"], notes[0]["data"]
    where = f"Secret {data['secret']} in namespace {namespace} of the host cluster"
    secret = await host.find(one("Secret", namespace, data["secret"]))
    if secret is None:
        raise UnknownClusterError(name, f"{where} is not there")
    encoded = (secret.get("data") or {}).get(data["key"])
    if encoded is None:
        raise UnknownClusterError(name, f"{where} has no key {data['key']}")
    text = base64.b64decode(encoded).decode(errors="replace")
    with loading(name, where):
        return Kubeconfig(where, _checked(name, where, text, allow_exec=allow_exec))


def _checked(name: str, where: str, text: str, *, allow_exec: bool) -> dict[str, Any]:
    try:
        found = YAML(typ="safe").load(text)
    except YAMLError:
        found = None
    if not isinstance(found, dict) or not {"clusters", "users", "contexts"} <= found.keys():
        raise UnknownClusterError(name, f"{where} holds no kubeconfig")
    if not allow_exec and (refused := _refused(found)):
        raise UnknownClusterError(name, f"the kubeconfig in {where} uses {refused}: {_REMEDY}")
    return found


def _refused(kubeconfig: dict[str, Any]) -> str:
    """What of a kubeconfig would run code or read files in the process that holds every cluster's keys."""
    for entry in kubeconfig["users"] or []:
        user = entry.get("user") or {}
        for field in ("exec", "auth-provider", *_FILES):
            if field in user:
                return f"users[].user.{field}"
    for entry in kubeconfig["clusters"] or []:
        cluster = entry.get("cluster") or {}
        for field in ("insecure-skip-tls-verify", *_FILES):
            if cluster.get(field):
                return f"clusters[].cluster.{field}"
    return ""
