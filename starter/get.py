"""`canary get`: what a person asked for, as a list or as the tree of one object."""

from dataclasses import dataclass

from temporalio.client import Client

from starter import lists, names, tree
from starter.errors import Exit, UsageError
from starter.listing import Scope
from starter.lists import KINDS, Kind
from starter.names import Reference
from starter.options import Output
from starter.status import watch_status


@dataclass(frozen=True)
class Wanted:
    """A list of a kind, or one object of it."""

    kind: Kind
    name: str | None
    scope: Scope
    output: Output

    @property
    def namespace(self) -> str:
        """The namespace of the one object."""
        if self.scope.namespace is None:
            raise UsageError("-A lists; one object is in one namespace: give it with -n.")
        return self.scope.namespace


def wanted(words: list[str], scope: Scope, output: Output) -> Wanted:
    """Read `[KIND] [NAME]` or `KIND/NAME`; a first word that is no kind is a canary's name."""
    if len(words) == 1 and words[0].partition("/")[0] in KINDS:
        words = words[0].split("/", 1)
    match words:
        case []:
            return Wanted(Kind.CANARY, None, scope, output)
        case [word] if word in KINDS:
            return Wanted(KINDS[word], None, scope, output)
        case [name]:
            return Wanted(Kind.CANARY, name, scope, output)
        case [kind, name] if kind in KINDS:
            return Wanted(KINDS[kind], name, scope, output)
    raise UsageError(f"{' '.join(words)}: write [application|canary|rollout] [NAME].")


async def show(client: Client, what: Wanted, *, color: bool) -> int:
    """Print once."""
    if what.name is None:
        return await lists.print_list(client, what.kind, what.scope, what.output, color=color)
    if what.kind is Kind.APPLICATION:
        found = await names.find_application(client, what.name, what.namespace)
        await tree.print_application(client, found, what.output, color=color)
    else:
        reference = Reference(what.name, what.namespace, what.scope.cluster)
        await tree.print_canary(client, await names.find_canary(client, reference), what.output, color=color)
    return Exit.DONE


async def watch(client: Client, what: Wanted, *, color: bool) -> int:
    """Print, and print again what changes, until interrupted or, for one canary, at rest."""
    if what.output in (Output.JSON, Output.YAML):
        raise UsageError(f"-w prints tables, not {what.output}.")
    if what.name is None:
        await lists.watch_list(client, what.kind, what.scope, what.output, color=color)
        return Exit.DONE
    if what.kind is Kind.APPLICATION:
        raise UsageError("-w follows lists and canaries; for an application: canary get canary -A -w.")
    return await watch_status(
        client, Reference(what.name, what.namespace, what.scope.cluster), None, color=color
    )
