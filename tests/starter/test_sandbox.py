"""The sandbox is an extra: an install without it says so."""

import sys
from pathlib import Path

import pytest

from starter.demo import running
from starter.errors import UsageError
from starter.sandbox import OF_EXTRA, execute


@pytest.mark.parametrize("missing", OF_EXTRA)
def test_an_install_without_the_sandbox_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(UsageError, match=r"pip install 'durable-canary\[sandbox\]'"):
        execute(["up", "--dir", str(tmp_path)])
    with pytest.raises(UsageError, match=r"pip install 'durable-canary\[sandbox\]'"):
        running.run(tmp_path, is_kept=False, has_seed_timing=False, color=False)
