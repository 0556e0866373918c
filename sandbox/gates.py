"""The gates of the load tester, which people open and close and canaries ask."""

import json
from pathlib import Path


class Gates:
    """Gates by kind and canary, closed unless opened; with a `file` they outlive a restart."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._open = _read(file) if file and file.exists() else set()

    def is_open(self, kind: str, canary: str) -> bool:
        """Tell whether a gate is open."""
        return f"{kind}.{canary}" in self._open

    def open(self, kind: str, canary: str) -> None:
        """Open a gate, for good."""
        self._replace(self._open | {f"{kind}.{canary}"})

    def close(self, kind: str, canary: str) -> None:
        """Close a gate."""
        self._replace(self._open - {f"{kind}.{canary}"})

    def _replace(self, wanted: set[str]) -> None:
        """Write first: what was answered holds."""
        if self._file and wanted != self._open:
            fresh = self._file.with_name(f"{self._file.name}.new")
            fresh.write_text(json.dumps({"open": sorted(wanted)}) + "\n")
            fresh.replace(self._file)
        self._open = wanted


def _read(file: Path) -> set[str]:
    try:
        found = json.loads(file.read_text())["open"]
    except (ValueError, KeyError, TypeError) as error:
        raise LookupError(f'{file} holds no gates such as {{"open": []}}; mend it or delete it.') from error
    return {str(one) for one in found}
