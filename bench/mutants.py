"""`python -m bench.mutants [NAME …]`: mutate a copy of `canary/`, and print how many mutants no test noticed.

A name is one of mutmut's, such as `canary.steps*`; without one all are tried.

mutmut leaves decorated functions out; in the copy, properties are therefore plain functions that become
properties at the end of their class.
"""

import ast
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TREE = Path("build/mutants")
NEEDED = ("canary", "examples", "tests")
"""What is mutated, and what its tests read."""
MUST_REACH = 95.0
UNNOTICED = {"survived", "no tests"}


def main() -> int:
    """Mutate, test, and print a table; 1 where too many mutants survive."""
    prepare(TREE)
    subprocess.run(_mutmut("run", *sys.argv[1:]), cwd=TREE, check=True)
    listed = subprocess.run(
        _mutmut("results", "--all", "true"), cwd=TREE, check=True, capture_output=True, text=True
    )
    counted = count(listed.stdout.splitlines())
    print(table(counted))
    return 0 if share(counted.values()) >= MUST_REACH else 1


def prepare(tree: Path) -> None:
    """Copy what mutmut needs to *tree*, with properties it can mutate."""
    shutil.rmtree(tree, ignore_errors=True)
    for name in NEEDED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    for module in (tree / "canary").rglob("*.py"):
        module.write_text(without_property_decorators(module.read_text()))


def without_property_decorators(source: str) -> str:
    """Write `@property def name` as `def name`, and `name = property(name)` at the end of its class."""
    lines = source.splitlines()
    after: dict[int, list[str]] = defaultdict(list)
    for owner, function in _properties(ast.parse(source)):
        lines[function.decorator_list[0].lineno - 1] = ""
        after[owner.end_lineno or 0].append(f"    {function.name} = property({function.name})")
    return "\n".join(line for number, text in enumerate(lines, 1) for line in (text, *after[number])) + "\n"


def _properties(module: ast.Module) -> Iterator[tuple[ast.ClassDef, ast.FunctionDef]]:
    for owner in ast.walk(module):
        if isinstance(owner, ast.ClassDef):
            functions = (each for each in owner.body if isinstance(each, ast.FunctionDef))
            yield from ((owner, each) for each in functions if _decorators(each) == ["property"])


def _decorators(function: ast.FunctionDef) -> list[str]:
    return [ast.unparse(each) for each in function.decorator_list]


def count(results: Iterable[str]) -> dict[str, Counter[str]]:
    """Count the results of each module, from lines `<module>.<function>__mutmut_<n>: <result>`."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for line in results:
        mutant, _, result = line.strip().partition(": ")
        if result and result != "not checked":  # others were named
            counted[mutant.rpartition(".")[0]][result] += 1
    return counted


def share(counts: Iterable[Counter[str]]) -> float:
    """The percentage of mutants that a test noticed."""
    total = Counter[str]()
    for each in counts:
        total += each
    unnoticed = sum(total[result] for result in UNNOTICED)
    return 100 * (1 - unnoticed / max(total.total(), 1))


def table(counted: dict[str, Counter[str]]) -> str:
    """Write the counts as Markdown."""
    rows = ["| module | mutants | killed | survived | % |", "|---|--:|--:|--:|--:|"]
    whole = sum(counted.values(), Counter[str]())
    for module, results in [*sorted(counted.items()), ("all of `canary/`", whole)]:
        survived = sum(results[result] for result in UNNOTICED)
        killed = results.total() - survived
        rows.append(f"| {module} | {results.total()} | {killed} | {survived} | {share([results]):.1f} |")
    return "\n".join(rows)


def _mutmut(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mutmut", *arguments]


if __name__ == "__main__":
    sys.exit(main())
