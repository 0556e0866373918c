"""Where an object of a build goes: into its namespace, into `default`, or into none."""

import copy

from activities.source.discovery import Discovery
from activities.source.manifest import Key, Manifest

DEFAULT_NAMESPACE = "default"


async def place(discovery: Discovery, manifest: Manifest) -> Manifest:
    """Give an object the namespace that it gets in a cluster, as the cluster's own kinds say."""
    key = manifest.key
    resource = await discovery.find(manifest.api_version, key.kind)
    namespaced = resource.is_namespaced if resource else bool(key.namespace)
    namespace = (key.namespace or DEFAULT_NAMESPACE) if namespaced else ""
    body = copy.deepcopy(manifest.body)
    body["metadata"].pop("namespace", None)
    if namespace:
        body["metadata"]["namespace"] = namespace
    return Manifest(Key(namespace, key.name, key.group, key.kind), manifest.version, body)
