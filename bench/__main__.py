"""`python -m bench [GROUP …] [--quick]`: measure, print the table, write build/bench.json."""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from bench import table
from bench.figure import Figure
from bench.groups import GROUPS
from bench.stage import Options

OUTPUT = Path("build/bench.json")


def main() -> int:
    """Run the command line; 1 where a figure misses what it must reach."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="few trials: to see that it works")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.groups if name not in GROUPS]
    if unknown:
        parser.error(f"no such group: {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a worker in use has its bytecode
    figures = asyncio.run(_measure(chosen.groups or list(GROUPS), Options(is_quick=chosen.quick)))
    print(table.markdown(figures))
    table.write(OUTPUT, figures)
    return 0 if all(figure.is_reached for figure in figures) else 1


async def _measure(groups: list[str], options: Options) -> list[Figure]:
    figures: list[Figure] = []
    for name in groups:
        begin = time.monotonic()
        figures += await GROUPS[name](options)
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return figures


if __name__ == "__main__":
    sys.exit(main())
