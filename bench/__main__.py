"""`python -m bench [GROUP …] [--quick]`: measure, print the table, write build/bench.json."""

import argparse
import asyncio
import os
import sys
import time
import traceback
from pathlib import Path

from bench import table
from bench.figure import Figure
from bench.groups import GROUPS
from bench.stage import Options

OUTPUT = Path("build/bench.json")


def main() -> int:
    """Run the command line; 1 where a figure misses what it must reach, or could not be taken."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="few trials: to see that it works")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.groups if name not in GROUPS]
    if unknown:
        parser.error(f"no such group: {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a worker in use has its bytecode
    figures, failed = asyncio.run(_measure(chosen.groups or list(GROUPS), Options(is_quick=chosen.quick)))
    print(table.markdown(figures))
    return 0 if not failed and all(figure.is_reached for figure in figures) else 1


async def _measure(groups: list[str], options: Options) -> tuple[list[Figure], list[str]]:
    """Measure group by group; gives the figures, and the groups that came to grief."""
    figures: list[Figure] = []
    failed: list[str] = []
    for name in groups:
        begin = time.monotonic()
        try:
            figures += await GROUPS[name](options)
        except Exception:  # noqa: BLE001 — the figures of the other groups are not lost for it
            failed.append(name)
            traceback.print_exc()
        table.write(OUTPUT, figures)
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return figures, failed


if __name__ == "__main__":
    sys.exit(main())
