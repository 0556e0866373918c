"""Reads Prometheus' text format."""

import re
from collections.abc import Iterator

from sandbox.metrics.labels import NAME

LABEL = re.compile(r'\s*([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?')
ESCAPE = re.compile(r"\\(.)")


def samples(text: str) -> Iterator[tuple[str, float]]:
    """Yield each sample: its series as it is spelt, which `series_labels` reads, and its value.

    Timestamps are passed over: like every series here, the sample is taken to be of the time of its scrape.
    """
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        # A label's value may hold spaces, so the value is looked for behind the last brace.
        brace = line.rfind("}") + 1
        name, rest = (line[:brace], line[brace:]) if brace else line.split(None, 1)
        value, *_ = rest.split()
        yield name, float(value)


def series_labels(text: str) -> dict[str, str]:
    """Return the labels of a series, its name among them."""
    name, _, inside = text.partition("{")
    labels = {key: ESCAPE.sub(_unescape, value) for key, value in LABEL.findall(inside.removesuffix("}"))}
    return labels | {NAME: name.strip()}


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
