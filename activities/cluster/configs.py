"""The ConfigMaps and Secrets of a workload: which it uses, their hashes, and the primary's copies."""

import asyncio
import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from activities.cluster import marks, paths
from activities.cluster.api import ClusterApi, Object
from canary.revision import config_hash

TRACKED_SECRETS = ("Opaque", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/tls")
"""Other types belong to controllers of their own (Flagger's `config_tracker.go`)."""
TRACKING = "flagger.app/config-tracking"
MISSING = "missing"
"""Stands for the hash of a config that is referenced and not there."""


class ConfigRef(NamedTuple):
    """A reference in a pod template: `ConfigMap` or `Secret`, its name, and where it stands."""

    kind: str
    name: str
    holder: dict[str, Any]
    field: str

    @property
    def key(self) -> str:
        """As `status.trackedConfigs` names it."""
        return f"{self.kind.lower()}/{self.name}"


def references(template: Object) -> Iterator[ConfigRef]:
    """Every reference to a ConfigMap or Secret that Flagger tracks, in the template's order."""
    pod = template.get("spec") or {}
    for volume in pod.get("volumes") or []:
        yield from _in_volume(volume)
    for container in [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]:
        for env in container.get("env") or []:
            source = env.get("valueFrom") or {}
            yield from _refs(source, ("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret"))
        for source in container.get("envFrom") or []:
            yield from _refs(source, ("configMapRef", "ConfigMap"), ("secretRef", "Secret"))


def _in_volume(volume: dict[str, Any]) -> Iterator[ConfigRef]:
    yield from _refs(volume, ("configMap", "ConfigMap"))
    if (secret := volume.get("secret")) and secret.get("secretName"):
        yield ConfigRef("Secret", secret["secretName"], secret, "secretName")
    for source in (volume.get("projected") or {}).get("sources") or []:
        yield from _refs(source, ("configMap", "ConfigMap"), ("secret", "Secret"))


def _refs(holder: dict[str, Any], *fields: tuple[str, str]) -> Iterator[ConfigRef]:
    for field, kind in fields:
        if (ref := holder.get(field)) and ref.get("name"):
            yield ConfigRef(kind, ref["name"], ref, "name")


def kind_and_name(key: str) -> tuple[str, str]:
    """What a key of `status.trackedConfigs` stands for."""
    kind, name = key.split("/", 1)
    return "Secret" if kind == "secret" else "ConfigMap", name


async def read_configs(api: ClusterApi, namespace: str, template: Object) -> dict[str, Object | None]:
    """Read what *template* references, by key; None for what is not there; untracked ones are left out."""
    refs = {ref.key: ref for ref in references(template)}
    found = await asyncio.gather(*(_find(api, namespace, ref) for ref in refs.values()))
    configs = dict(zip(refs, found, strict=True))
    return {key: config for key, config in configs.items() if config is None or _is_tracked(config)}


async def _find(api: ClusterApi, namespace: str, ref: ConfigRef) -> Object | None:
    if not paths.is_part(ref.name):  # a template may say anything; no such object can be there
        return None
    return await api.find(paths.one(ref.kind, namespace, ref.name))


def lacking(template: Object, configs: Mapping[str, Object | None]) -> list[str]:
    """What *template* cannot do without and is not there, as `ConfigMap name`."""
    needed = {ref.key: ref for ref in references(template) if not ref.holder.get("optional")}
    missing = (ref for key, ref in needed.items() if key in configs and configs[key] is None)
    return [f"{ref.kind} {ref.name}" for ref in missing]


def hashes(configs: Mapping[str, Object | None]) -> dict[str, str]:
    """The hash of each config's data."""
    return {key: MISSING if config is None else hash_of(config) for key, config in sorted(configs.items())}


def hash_of(config: Object) -> str:
    """The hash of a config's data."""
    return config_hash(config.get("data"), config.get("binaryData"))


def _is_tracked(config: Object) -> bool:
    annotations = marks.notes(config)
    if annotations.get(TRACKING, "").startswith("disable"):
        return False
    return "type" not in config or config["type"] in TRACKED_SECRETS


def with_names(template: Object, names: Mapping[str, str]) -> Object:
    """Return a copy of *template* whose references, by their key, name the primary's copies."""
    rewritten = copy.deepcopy(template)
    for ref in list(references(rewritten)):
        ref.holder[ref.field] = names.get(ref.key, ref.name)
    return rewritten


def primary_copy(config: Object, metadata: Object) -> Object:
    """The primary's copy of a config: data, binary data, type and immutability as they are."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret" if "type" in config else "ConfigMap",
        **metadata,
    }
    return body | {key: config[key] for key in ("type", "data", "binaryData", "immutable") if key in config}
