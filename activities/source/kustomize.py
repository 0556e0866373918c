"""What kustomize makes of a folder: the manifests to be applied."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from activities.source.built import read_all
from activities.source.errors import SourceError

TREE = "tree"
FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
LARGEST_FILE = 2**20
LARGEST_BUILD = 32 * 2**20
LONGEST_MESSAGE = 400

# Every place of a kustomization that names a file or folder; the second name is the key inside an entry.
_PATHS = (
    *(("resources", ""), ("bases", ""), ("components", ""), ("crds", ""), ("configurations", "")),
    *(("patchesStrategicMerge", ""), ("patches", "path"), ("patchesJson6902", "path")),
    *(("replacements", "path"), ("openapi", "path")),
    *(
        (generator, key)
        for generator in ("configMapGenerator", "secretGenerator")
        for key in ("files", "envs", "env")
    ),
)
# They run programs, or read files and addresses that are not seen here.
_PLUGINS = (
    "generators",
    "transformers",
    "validators",
    "helmCharts",
    "helmGlobals",
    "helmChartInflationGenerator",
)


class Kustomize:
    """Builds folders with `kubectl kustomize`, shut off from the machine it runs on.

    It runs with an empty environment and home. A kustomization that names anything but files and folders of
    its own tree, or a plugin, is refused before.
    """

    def __init__(self, kubectl: Path) -> None:
        self._kubectl = kubectl

    async def build(self, work: Path, path: str, namespace: str | None) -> list[dict[str, Any]]:
        """Build the folder *path* of the tree that lies in *work*, a directory to write into.

        A folder without a kustomization is built from all manifests in and below it. A *namespace* is set in
        every object that can have one, as the field `namespace` of a kustomization does.
        """
        root = work / TREE
        folder = await asyncio.to_thread(_prepare, root, path)
        if namespace:
            folder = await asyncio.to_thread(_wrap, work, folder, namespace)
        output = await self._run(work, root, folder)
        return await asyncio.to_thread(_objects, output)

    async def _run(self, work: Path, root: Path, folder: Path) -> bytes:
        home = work / "home"
        home.mkdir()
        process = await asyncio.create_subprocess_exec(
            self._kubectl,
            "kustomize",
            folder,
            env={"HOME": str(home), "PATH": ""},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise SourceError(f"The kustomization cannot be built: {_shorten(complaint, root)}")
        if len(output) > LARGEST_BUILD:
            raise SourceError(f"The manifests are larger than {LARGEST_BUILD // 2**20} MiB.")
        return output


def _prepare(root: Path, path: str) -> Path:
    folder = Path(os.path.normpath(root / path.lstrip("/")))
    if not folder.is_relative_to(root) or not folder.resolve().is_relative_to(root.resolve()):
        raise SourceError(f"Path {path} leads out of the repository.")
    if not folder.is_dir():
        raise SourceError(f"Path {path} is not a folder of the repository.")
    folder = folder.resolve()
    if kustomization_in(folder) is None:
        _generate(folder)
    _check(folder, root.resolve(), set())
    return folder


def kustomization_in(folder: Path) -> Path | None:
    """Find the kustomization of a folder."""
    return next((folder / name for name in FILE_NAMES if (folder / name).is_file()), None)


def _generate(folder: Path) -> None:
    resources = [os.path.relpath(found, folder) for found in _manifests(folder)]
    if not resources:
        raise SourceError(f"Folder {folder.name} holds no manifest.")
    _write(folder / FILE_NAMES[0], {"resources": resources})


def _manifests(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or (entry.is_symlink() and entry.is_dir()):
            continue
        if entry.is_dir():
            yield from [entry] if kustomization_in(entry) else _manifests(entry)
        elif entry.suffix in (".yaml", ".yml"):
            yield entry


def _wrap(work: Path, folder: Path, namespace: str) -> Path:
    wrapper = work.resolve() / "wrapper"
    wrapper.mkdir()
    _write(wrapper / FILE_NAMES[0], {"namespace": namespace, "resources": [os.path.relpath(folder, wrapper)]})
    return wrapper


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content))  # which is YAML, and leaves no name without quotes


def _check(folder: Path, root: Path, seen: set[Path]) -> None:
    found = kustomization_in(folder)
    if found is None or folder in seen:
        return
    seen.add(folder)
    shown = found.relative_to(root)
    if found.stat().st_size > LARGEST_FILE:
        raise SourceError(f"{shown} is larger than {LARGEST_FILE // 2**20} MiB.")
    for content in _parse(found.read_bytes(), str(shown), _read_kustomization):
        if not isinstance(content, dict):
            raise SourceError(f"{shown} is not a kustomization.")
        if plugin := next((field for field in _PLUGINS if _values(content, field)), None):
            raise SourceError(f"{shown} uses {plugin}, which is not allowed here.")
        for entry in _named_paths(content, str(shown)):
            target = _local(entry, folder, root, str(shown))
            if target.is_dir():
                _check(target, root, seen)


def _named_paths(content: dict[str, Any], shown: str) -> Iterator[str]:
    for field, key in _PATHS:
        for value in _named_by(content, field, key):
            if not isinstance(value, str):
                raise SourceError(f"{shown} names {value} in {field}, which has to be text in quotes.")
            if not (field == "patchesStrategicMerge" and "\n" in value):  # else it is the patch itself
                yield value.partition("=")[2] or value if key == "files" else value


def _named_by(content: dict[str, Any], field: str, key: str) -> Iterator[Any]:
    for entry in chain.from_iterable(map(_listed, _values(content, field))):
        is_holder = key and isinstance(entry, dict)
        for value in _values(entry, key) if is_holder else [entry]:
            yield from _listed(value)


def _values(mapping: dict[Any, Any], field: str) -> list[Any]:
    """What a mapping has under a name, in whatever case, for kustomize decodes as Go does."""
    if odd := [name for name in mapping if not isinstance(name, str)]:
        raise SourceError(f"The key {odd[0]!r} of a kustomization is no text.")
    return [value for name, value in mapping.items() if name.casefold() == field.casefold()]


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _local(entry: str, folder: Path, root: Path, shown: str) -> Path:
    target = (folder / entry).resolve()
    if not target.is_relative_to(root):
        raise SourceError(f"{shown} names {entry}, which is outside the repository.")
    if "://" in entry or not target.exists():
        raise SourceError(
            f"{shown} names {entry}, which is not in the repository; remote bases are not allowed."
        )
    return target


def _parse(text: bytes, where: str, read: Callable[[bytes], list[Any]]) -> list[Any]:
    try:
        return read(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise SourceError(f"{where} is not YAML.") from error


def _read_kustomization(text: bytes) -> list[Any]:
    # Unlike what is built it may have merge keys.
    return [found for found in YAML(typ="safe", pure=True).load_all(text) if found is not None]


def _objects(output: bytes) -> list[dict[str, Any]]:
    found = _parse(output, "What kustomize built", read_all)
    for item in found:
        if not isinstance(item, dict) or not {"apiVersion", "kind", "metadata"} <= item.keys():
            raise SourceError("The build holds something that is not a Kubernetes object.")
    return found


def _shorten(complaint: bytes, root: Path) -> str:
    text = complaint.decode(errors="replace").strip().removeprefix("error: ")
    # The folder has another name at each attempt; the message of one mistake must not.
    for folder in (str(root.resolve()), str(root)):
        text = text.replace(f"{folder}/", "").replace(folder, ".")
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"
