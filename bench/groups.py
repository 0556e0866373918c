"""The groups of figures, each measured on a stage of its own, in the order they are shown."""

from collections.abc import Awaitable, Callable, Mapping

from bench import decide, demo, events, fleet, kills, latency, requests, startup, users
from bench.figure import Figure
from bench.stage import Options

GROUPS: Mapping[str, Callable[[Options], Awaitable[list[Figure]]]] = {
    "decide": decide.measure,
    "latency": latency.measure,
    "requests": requests.measure,
    "events": events.measure,
    "users": users.measure,
    "kills": kills.measure,
    "fleet": fleet.measure,
    "startup": startup.measure,
    "demo": demo.measure,
}
