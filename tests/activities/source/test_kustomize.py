import asyncio
from pathlib import Path

import pytest

from activities.source.errors import SourceError
from activities.source.kustomize import TREE, Kustomize

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "work" / TREE


def write(tree: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


async def names(kubectl: Path, tree: Path, path: str, namespace: str | None = None) -> list[str]:
    built = await Kustomize(kubectl).build(tree.parent, path, namespace)
    return [f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}" for item in built]


async def test_a_kustomization_is_built(kubectl: Path, tree: Path) -> None:
    write(
        tree,
        {"app/kustomization.yaml": "resources: [a.yaml]\nnamePrefix: x-\n", "app/a.yaml": CONFIG.format("a")},
    )

    assert await names(kubectl, tree, "./app") == ["/x-a"]


async def test_a_folder_without_kustomization_is_built_from_all_its_manifests(
    kubectl: Path, tree: Path
) -> None:
    write(
        tree,
        {
            "app/a.yaml": CONFIG.format("a"),
            "app/deep/er/b.yml": CONFIG.format("b"),
            "app/deep/readme.md": "no manifest",
            "app/.hidden/c.yaml": CONFIG.format("c"),
            "app/own/kustomization.yaml": "resources: [d.yaml]\nnamePrefix: own-\n",
            "app/own/d.yaml": CONFIG.format("d"),
        },
    )

    assert sorted(await names(kubectl, tree, "app")) == ["/a", "/b", "/own-d"]


@pytest.mark.parametrize(
    "text",
    [
        "=",
        "<<",
        "~x",
        "2024-01-01",
        "2024-01-01 12:00:00 +00:00",
        "2024-01-01T12:00:00Z",
        "yes",
        "null",
        "0o8",
        "0x_",
        "-_",
        "1_000",
        "0644",
        "1e3",
        "1.",
        "true",
        "",
    ],
)
async def test_strings_stay_strings_however_they_look(kubectl: Path, tree: Path, text: str) -> None:
    body = CONFIG.format("a") + f'data:\n  value: "{text}"\n  "={text}": key\nenum: ["{text}"]\n'
    write(tree, {"app/a.yaml": body})

    (built,) = await Kustomize(kubectl).build(tree.parent, "app", None)

    assert built["data"] == {"value": text, f"={text}": "key"}
    assert built["enum"] == [text]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("0644", 0o644),
        ("0x1F", 31),
        ("123456789012345678", 123456789012345678),
        ("1.5", 1.5),
        ("-1e-7", -1e-7),
        ("1e21", 1e21),
        ("=", "="),
        ("yes", "yes"),
        ("2024-01-01 12:00:00 +00:00", "2024-01-01 12:00:00 +00:00"),
    ],
)
async def test_what_is_no_string_is_read_as_kubectl_reads_it(
    kubectl: Path, tree: Path, text: str, value: object
) -> None:
    write(tree, {"app/a.yaml": CONFIG.format("a") + f"value: {text}\n"})

    (built,) = await Kustomize(kubectl).build(tree.parent, "app", None)

    assert built.get("value") == value
    assert type(built.get("value")) is type(value)


async def test_a_target_namespace_overrides_what_manifests_say(kubectl: Path, tree: Path) -> None:
    other = CONFIG.format("b") + "  namespace: other\n"
    write(tree, {"app/a.yaml": CONFIG.format("a"), "app/b.yaml": other})

    assert sorted(await names(kubectl, tree, "app", "target")) == ["target/a", "target/b"]


@pytest.mark.parametrize("name", ["on", "1e3", "0x1"])
async def test_a_name_stays_a_name_however_it_looks(kubectl: Path, tree: Path, name: str) -> None:
    write(tree, {"app/a.yaml": CONFIG.format("a"), f"app/{name}/kustomization.yaml": "resources: [b.yaml]\n"})
    write(tree, {f"app/{name}/b.yaml": CONFIG.format("b")})

    assert sorted(await names(kubectl, tree, "app", name)) == [f"{name}/a", f"{name}/b"]


async def test_a_base_beside_the_folder_is_built(kubectl: Path, tree: Path) -> None:
    write(
        tree,
        {
            "base/kustomization.yaml": "resources: [a.yaml]\n",
            "base/a.yaml": CONFIG.format("a"),
            "app/kustomization.yaml": "resources: [../base]\n",
        },
    )

    assert await names(kubectl, tree, "/app") == ["/a"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        pytest.param({}, "Path app is not a folder of the repository", id="no folder"),
        pytest.param({"app/readme.md": "x"}, "Folder app holds no manifest", id="no manifest"),
        pytest.param({"app/a.yaml": "{"}, "cannot be built", id="no yaml"),
        pytest.param(
            {"app/kustomization.yaml": "resources: [gone.yaml]\n"}, "gone.yaml, which is not in", id="gone"
        ),
        pytest.param(
            {"app/kustomization.yaml": "resources: ['https://example.com/x.yaml']\n"},
            "remote bases are not allowed",
            id="remote file",
        ),
        pytest.param(
            {"app/kustomization.yaml": "resources: ['github.com/a/b?ref=c']\n"},
            "remote bases are not allowed",
            id="remote repository",
        ),
        pytest.param(
            {"app/kustomization.yaml": "configMapGenerator: [{name: a, files: ['k=http://127.0.0.1/x']}]\n"},
            "remote bases are not allowed",
            id="remote data",
        ),
        pytest.param(
            {"app/kustomization.yaml": "secretGenerator: [{name: a, envs: [../../../../etc/hosts]}]\n"},
            "which is outside the repository",
            id="file of the machine",
        ),
        pytest.param(
            {"app/kustomization.yaml": "resources: [../x]\n", "x/kustomization.yml": "bases: ['../../..']\n"},
            "which is outside the repository",
            id="outside, in a base",
        ),
        pytest.param(
            {"app/kustomization.yaml": "generators: [a.yaml]\n", "app/a.yaml": CONFIG.format("a")},
            "uses generators, which is not allowed",
            id="plugin",
        ),
        pytest.param(
            {"app/kustomization.yaml": "helmCharts: [{name: x, repo: 'https://example.com'}]\n"},
            "uses helmCharts, which is not allowed",
            id="helm",
        ),
        pytest.param(
            {"app/kustomization.yaml": "resources: [2024-01-01]\n"},
            "names 2024-01-01 in resources, which has to be text in quotes",
            id="a date",
        ),
        pytest.param({"app/kustomization.yaml": "- a\n"}, "is not a kustomization", id="list"),
        pytest.param({"app/kustomization.yaml": "a: [\n"}, "app/kustomization.yaml is not YAML", id="broken"),
    ],
)
async def test_what_cannot_be_built_is_named(
    kubectl: Path, tree: Path, files: dict[str, str], sentence: str
) -> None:
    write(tree, {"other/file": "x", **files})

    with pytest.raises(SourceError, match=sentence):
        await names(kubectl, tree, "app")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Resources: ['{url}']\n", id="capital"),
        pytest.param("resources: []\nRESOURCES: ['{url}']\n", id="both"),
        pytest.param("re\u017fources: ['{url}']\n", id="long s"),
        pytest.param("configMapGenerator: [{{name: a, Files: ['k={url}']}}]\n", id="files"),
        pytest.param("ConfigMapGenerator: [{{name: a, files: ['k={url}']}}]\n", id="generator"),
        pytest.param("secretGenerator: [{{name: a, ENVs: ['{url}']}}]\n", id="envs"),
        pytest.param("patches: [{{Path: '{url}'}}]\nresources: [a.yaml]\n", id="patch"),
        pytest.param("openapi: {{Path: '{url}'}}\nresources: [a.yaml]\n", id="openapi"),
        pytest.param("resources: [2024-01-01]\n", id="folder that reads as a date"),
        pytest.param("!!binary cmVzb3VyY2Vz: ['{url}']\n", id="key in base64"),
        pytest.param("<<: {{Resources: ['{url}']}}\n", id="merged"),
        pytest.param(
            "HelmCharts: [{{name: x, repo: '{url}'}}]\nresources: [a.yaml]\n", id="plugin with a capital"
        ),
    ],
)
async def test_no_request_leaves_however_it_is_written(kubectl: Path, tree: Path, text: str) -> None:
    asked: list[None] = []

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(None)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    nested = {
        "app/2024-01-01/kustomization.yaml": f"resources: ['{url}']\n",
        "app/a.yaml": CONFIG.format("a"),
    }
    write(tree, {"app/kustomization.yaml": text.format(url=url), **nested})

    async with server:
        with pytest.raises(SourceError, match=r"not allowed|in quotes|is no text"):
            await Kustomize(kubectl).build(tree.parent, "app", None)

    assert not asked


@pytest.mark.parametrize("path", ["../..", "a/../../..", "/../x"])
async def test_a_path_out_of_the_repository_is_refused(kubectl: Path, tree: Path, path: str) -> None:
    write(tree, {"a/a.yaml": CONFIG.format("a")})

    with pytest.raises(SourceError, match="leads out of the repository"):
        await names(kubectl, tree, path)


async def test_the_message_of_a_mistake_does_not_name_temporary_folders(kubectl: Path, tree: Path) -> None:
    write(
        tree, {"app/kustomization.yaml": "resources: [a.yaml]\nnope: 1\n", "app/a.yaml": CONFIG.format("a")}
    )

    with pytest.raises(SourceError) as caught:
        await names(kubectl, tree, "app")

    assert str(tree.parent) not in str(caught.value)
    assert "nope" in str(caught.value)


async def test_the_build_sees_neither_environment_nor_home(tree: Path, tmp_path: Path) -> None:
    write(tree, {"app/a.yaml": CONFIG.format("a")})
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\n/usr/bin/env > {tmp_path}/seen\n")
    spy.chmod(0o755)

    await Kustomize(spy).build(tree.parent, "app", None)

    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())
    assert seen.keys() - {"PWD", "_", "SHLVL"} == {"HOME", "PATH"}
    assert seen["PATH"] == ""
    assert seen["HOME"].startswith(str(tree.parent))
