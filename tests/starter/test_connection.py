"""Where Temporal is, as the environment or a sandbox says: what cannot be is told in one sentence."""

from pathlib import Path

import pytest

from starter.connection import connect
from starter.errors import UsageError
from starter.options import Globals

SETTINGS = "TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE and TEMPORAL_TLS_*."


async def refused(settings: Globals) -> str:
    with pytest.raises(UsageError) as error:
        await connect(settings)
    [line] = str(error.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        pytest.param("TEMPORAL_PROFILE", "nope", "Profile 'nope' not found", id="no such profile"),
        pytest.param("TEMPORAL_CONFIG_FILE", "broken.toml", "error at line 1", id="a broken file"),
        pytest.param("TEMPORAL_TLS_CLIENT_CERT_PATH", "/nope", "/nope: No such file", id="no such file"),
    ],
)
async def test_settings_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, seen: str
) -> None:
    (tmp_path / "broken.toml").write_text("a = [\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)

    line = await refused(Globals())

    assert line.startswith("Temporal's settings cannot be read: ")
    assert seen in line
    assert line.endswith(f"; see {SETTINGS}")


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("bad address", "invalid target URL: "),
        ("h:x", "invalid target URL: "),
        ("http://127.0.0.1:7233", "an address is HOST:PORT, without a scheme; "),
    ],
)
async def test_what_is_no_address_is_named(monkeypatch: pytest.MonkeyPatch, address: str, seen: str) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)

    line = await refused(Globals())

    assert line.startswith(f"Cannot connect to Temporal at {address}: {seen}")
    assert line.endswith("; see TEMPORAL_ADDRESS, such as localhost:7233, and TEMPORAL_TLS_*.")


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        pytest.param(b"", "Expecting value", id="empty"),
        pytest.param(b'{"temporal": ', "Expecting value", id="cut off"),
        pytest.param(b"\xff", "can't decode", id="not text"),
        pytest.param(b"[]", "it does not say where Temporal is", id="a list"),
        pytest.param(b"{}", "it does not say where Temporal is", id="incomplete"),
        pytest.param(b'{"temporal": 7}', "it does not say where Temporal is", id="a number"),
    ],
)
async def test_a_sandbox_whose_file_is_broken_is_named(tmp_path: Path, content: bytes, seen: str) -> None:
    (tmp_path / "endpoints.json").write_bytes(content)

    line = await refused(Globals(sandbox=tmp_path))

    assert line.startswith(f"{tmp_path}/endpoints.json cannot be used: ")
    assert seen in line
    assert line.endswith(f"canary sandbox down --dir {tmp_path}, then canary sandbox up --dir {tmp_path}")


async def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").mkdir()

    assert "endpoints.json: Is a directory; " in await refused(Globals(sandbox=tmp_path))


async def test_a_file_is_no_sandbox(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert (await refused(Globals(sandbox=tmp_path / "file"))).startswith("No sandbox runs in ")


async def test_a_sandbox_that_names_no_address_is_named(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text('{"temporal": "bad address"}')

    assert (await refused(Globals(sandbox=tmp_path))).endswith(f"; see {tmp_path}/endpoints.json.")
