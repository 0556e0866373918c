"""The options that commands share, and the group that accepts the global ones anywhere on the line."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from starter.errors import UsageError


@dataclass(frozen=True)
class Globals:
    """What holds for every command: where Temporal is, and whether to colour."""

    sandbox: Path | None = None
    color: bool = True

    def reports(self, given: Path | None) -> Path:
        """The folder of reports: the one that was given, the sandbox's, or where a worker here has it."""
        return given or (self.sandbox or Path()) / "reports"


class Output(StrEnum):
    """The forms in which objects are printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


class Form(StrEnum):
    """The forms of a report."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


class AnywhereGroup(TyperGroup):
    """A command group whose own options may also stand behind the subcommand, as kubectl's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move the global options to the front before the line is read."""
        return super().parse_args(ctx, hoist(args))


def hoist(args: list[str]) -> list[str]:
    """Put `--no-color` and `--sandbox DIR` before everything else; what follows `--` stays."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            return [*front, *rest, word, *words]
        if word == "--no-color" or word.startswith("--sandbox="):
            front.append(word)
        elif word == "--sandbox":
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        else:
            rest.append(word)
    return front + rest


def print_version(is_wanted: bool) -> None:  # noqa: FBT001 — the signature is an option callback's
    """Print which version this is, and leave."""
    from importlib.metadata import version

    if is_wanted:
        print(f"canary {version('durable-canary')}")
        raise typer.Exit


Name = Annotated[
    str, typer.Argument(help="The canary's or its target's name, also as KIND/NAME.", show_default=False)
]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="The namespace it is in.")]


def checked_cluster(value: str | None) -> str | None:
    """Give the name of a cluster back, if it can be one: it becomes part of workflows' ids."""
    from canary.documents.rules import object_name_mistakes

    if value is not None and (mistakes := list(object_name_mistakes((), value))):
        raise UsageError(f"--cluster: {mistakes[0].message}.")
    return value


Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="The cluster; may be left out where only one matches.",
        show_default=False,
        callback=checked_cluster,
    ),
]
DocumentsCluster = Annotated[
    str | None,
    typer.Option("--cluster", help="The cluster of Flagger's Canaries.", callback=checked_cluster),
]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", help="How long to wait at most, for instance 90s or 10m.", show_default=False),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="The form of the output.")]
Files = Annotated[
    list[str],
    typer.Option("--filename", "-f", help="A file or folder of documents, or - for standard input."),
]
As = Annotated[
    str | None,
    typer.Option("--as", help="Who you are; else CANARY_USER, else the system's user.", show_default=False),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the rollout.", show_default=False)]
Run = Annotated[
    str | None,
    typer.Option(
        "--run",
        help="One rollout with its checks: its number, 1 for the newest, or its run.",
        show_default=False,
    ),
]
Reports = Annotated[
    Path | None,
    typer.Option(
        "--reports",
        envvar="CANARY_REPORTS",
        help="The workers' folder of reports, for what Temporal no longer holds.",
        show_default=False,
    ),
]
