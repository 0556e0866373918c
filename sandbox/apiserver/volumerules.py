"""The rules of the volumes of pods."""

from collections.abc import Iterator
from typing import Any

from sandbox.apiserver import names
from sandbox.apiserver.causes import duplicate, forbidden, required, wrong
from sandbox.apiserver.errors import Cause

Object = dict[str, Any]
_HIGHEST_MODE = 0o777
# What a source cannot do without.
_NEEDED = {
    "configMap": "name",
    "hostPath": "path",
    "persistentVolumeClaim": "claimName",
    "secret": "secretName",
}


def volumes(found: list[Object], path: str) -> Iterator[Cause]:
    """Check the volumes of a pod."""
    known: list[str] = []
    for i, volume in enumerate(found):
        place, name = f"{path}[{i}]", volume.get("name", "")
        yield from _sources(volume, place)
        if not name:
            yield required(f"{place}.name")
        else:
            yield from names.label(name, f"{place}.name")
        if name in known:
            yield duplicate(f"{place}.name", name)
        known.append(name)


def _sources(volume: Object, path: str) -> Iterator[Cause]:
    kinds = [kind for kind in volume if kind != "name"]
    for kind in sorted(kinds, key=lambda kind: kind != "emptyDir")[1:]:
        yield forbidden(f"{path}.{kind}", "may not specify more than 1 volume type")
    for kind, key in _NEEDED.items():
        if kind in volume and not volume[kind].get(key):
            yield required(f"{path}.{kind}.{key}")
    for kind in ("configMap", "secret", "downwardAPI", "projected"):
        if kind in volume:
            yield from _files(volume[kind], f"{path}.{kind}")


def _files(source: Object, path: str) -> Iterator[Cause]:
    mode = source.get("defaultMode", 0)
    if not 0 <= mode <= _HIGHEST_MODE:
        text = "must be a number between 0 and 0777 (octal), both inclusive"
        yield wrong(f"{path}.defaultMode", mode, text)
    for i, item in enumerate(source.get("items") or []):
        for key in ("path",) if path.endswith("downwardAPI") else ("key", "path"):
            if not item.get(key):
                yield required(f"{path}.items[{i}].{key}")
