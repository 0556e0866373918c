"""A container's environment, resolved from ConfigMaps, Secrets and the pod itself."""

import base64
import re
from collections.abc import Iterator
from typing import Literal

from sandbox.client import FAILURES, KubeClient, NotFoundError
from sandbox.objects import Object

Plural = Literal["configmaps", "secrets"]


class ConfigError(Exception):
    """A reference that cannot be resolved, worded as the kubelet does."""


class MountError(Exception):
    """A volume that cannot be mounted, worded as the kubelet does."""


class Environment:
    """Reads what one pod refers to; each object once."""

    def __init__(self, client: KubeClient, pod: Object, pod_ip: str) -> None:
        self._client = client
        self._pod = pod
        self._pod_ip = pod_ip
        self._read: dict[tuple[Plural, str], dict[str, str] | None] = {}

    async def of(self, container: Object) -> dict[str, str]:
        """Return the variables of a container."""
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            for plural, reference in _sources(source):
                prefix = source.get("prefix", "")
                data = await self._data(plural, reference) or {}
                found |= {prefix + name: value for name, value in data.items()}
        for variable in container.get("env", []):
            value = await self._value(variable)
            if value is not None:
                found[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda m: found.get(m[1], m[0]), value)
        return found

    async def file(self, container: Object, path: str) -> str:
        """Return what a container reads from a file of a ConfigMap or Secret that is mounted there."""
        folder, _, name = path.rpartition("/")
        volumes = {volume["name"]: volume for volume in self._pod["spec"].get("volumes", [])}
        for mount in container.get("volumeMounts", []):
            if mount["mountPath"].rstrip("/") == folder:
                for plural, reference in _volume_sources(volumes[mount["name"]]):
                    data = await self._data(plural, reference) or {}
                    if name in data:
                        return data[name]
        raise ConfigError(f"{path}: no such file in a volume of this container")

    async def check_volumes(self) -> None:
        """Raise if a ConfigMap or Secret that is to be mounted is missing."""
        for volume in self._pod["spec"].get("volumes", []):
            for plural, reference in _volume_sources(volume):
                try:
                    await self._data(plural, reference)
                except ConfigError as error:
                    text = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
                    raise MountError(text) from error

    async def _value(self, variable: Object) -> str | None:
        source = variable.get("valueFrom")
        if not source:
            return str(variable.get("value", ""))
        if "fieldRef" in source:
            return self._field(source["fieldRef"]["fieldPath"])
        for plural, reference in _sources(source):
            data = await self._data(plural, reference)
            if data is not None and reference["key"] in data:
                return data[reference["key"]]
            if reference.get("optional"):
                return None
            owner = f"{_singular(plural)} {self._pod['metadata']['namespace']}/{reference['name']}"
            raise ConfigError(f"couldn't find key {reference['key']} in {owner}")
        raise ConfigError(f"{next(iter(source))} of {variable['name']} is not supported by the sandbox")

    async def _data(self, plural: Plural, reference: Object) -> dict[str, str] | None:
        """Return the data of a ConfigMap or Secret; None if it may be and is missing."""
        name = reference["name"]
        if (plural, name) not in self._read:
            self._read[plural, name] = await self._fetch(plural, name)
        data = self._read[plural, name]
        if data is None and not reference.get("optional"):
            raise ConfigError(f'{_singular(plural)} "{name}" not found')
        return data

    async def _fetch(self, plural: Plural, name: str) -> dict[str, str] | None:
        path = f"/api/v1/namespaces/{self._pod['metadata']['namespace']}/{plural}/{name}"
        try:
            found = await self._client.get(path)
        except NotFoundError:
            return None
        except FAILURES as error:
            raise ConfigError(f"failed to sync {_singular(plural)} cache: {error}") from error
        data: dict[str, str] = found.get("data") or {}
        if plural == "configmaps":
            return data
        return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}

    def _field(self, path: str) -> str:
        meta, spec = self._pod["metadata"], self._pod["spec"]
        fields = {
            "metadata.name": meta["name"],
            "metadata.namespace": meta["namespace"],
            "metadata.uid": meta["uid"],
            "spec.nodeName": spec.get("nodeName", ""),
            "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
            "status.podIP": self._pod_ip,
            "status.podIPs": self._pod_ip,
            "status.hostIP": "127.0.0.1",
            "status.hostIPs": "127.0.0.1",
        }
        keyed = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
        if keyed:
            return str(meta.get(keyed[1], {}).get(keyed[2], ""))
        return str(fields.get(path, ""))


def _sources(source: Object) -> Iterator[tuple[Plural, Object]]:
    """Yield the references of an `envFrom` entry or a `valueFrom`."""
    for name in ("configMapRef", "configMapKeyRef"):
        if name in source:
            yield "configmaps", source[name]
    for name in ("secretRef", "secretKeyRef"):
        if name in source:
            yield "secrets", source[name]


def _volume_sources(volume: Object) -> Iterator[tuple[Plural, Object]]:
    for source in (volume, *volume.get("projected", {}).get("sources", [])):
        if "configMap" in source:
            yield "configmaps", source["configMap"]
        if "secret" in source:
            # A volume calls its Secret `secretName`, a projected source `name`.
            secret = source["secret"]
            yield "secrets", secret | {"name": secret.get("secretName") or secret.get("name")}


def _singular(plural: Plural) -> str:
    return plural.removesuffix("s")
