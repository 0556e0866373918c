"""One canary or one Application with all that belongs to it, as its workflows answer."""

from rich.tree import Tree
from temporalio.client import Client

from canary.spec import CanarySpec
from canary.status import ListRow, Phase, RolloutStatus
from starter import evidence, flagger, kurator, listing, tables, words
from starter.answers import ask, canary_statuses, canary_view
from starter.evidence import Checked
from starter.listing import Listed
from starter.objects import print_object
from starter.options import Output
from workflows.contract import ApplicationStatus, CanaryView, ClusterProgress, rollout_id


async def print_canary(client: Client, found: Listed, output: Output, *, color: bool) -> None:
    """Print a canary, its rollout and the last check; as JSON or YAML, what Flagger would say of it."""
    view = await canary_view(client, found.tail)
    if output in (Output.JSON, Output.YAML):
        return print_object(flagger.canary_of(view), output)
    tree = Tree(_headline("canary", found.tail, found.row))
    _describe(tree, view)
    if view.rollout is not None:
        doing = _doing(view.spec, view.rollout)
        branch = tree.add(f"rollout of revision {view.rollout.revision.template}: {doing}")
        for text in await last_check(client, found.tail):
            branch.add(text)
    return tables.console(color=color).print(tree)


async def print_application(client: Client, found: Listed, output: Output, *, color: bool) -> None:
    """Print an Application, its source and what became of it in each cluster; as JSON or YAML, Kurator's."""
    status: ApplicationStatus = await ask(client, found.id, ApplicationStatus)
    own = {progress.canary for progress in status.progress}
    canaries = [item for item in await listing.canaries(client, listing.Scope(None)) if item.id in own]
    if output in (Output.JSON, Output.YAML):
        statuses = await canary_statuses(client, canaries)
        return print_object(kurator.application_of(found.row, status, statuses), output)
    rows = {item.tail: item.row for item in canaries}
    source = status.spec.source
    tree = Tree(f"application {status.spec.namespace}/{status.spec.name} {status.message}".rstrip())
    tree.add(f"source {source.url} {status.revision} {status.source_message}".rstrip())
    for progress in status.progress:
        branch = tree.add(_progress(progress))
        tail = progress.canary.partition("/")[2]
        if tail in rows:
            branch.add(_headline("canary", tail, rows[tail]))
    return tables.console(color=color).print(tree)


async def last_check(client: Client, tail: str) -> list[str]:
    """Give the newest check of a running rollout, line by line."""
    newest: Checked | None = None
    async for item in evidence.evidence(client, client.get_workflow_handle(rollout_id(tail))):
        if isinstance(item, Checked):
            newest = item
    if newest is None:
        return []
    lines = [words.hook_line(answer) for answer in newest.hooks]
    lines += [words.measurement_line(*measured) for measured in newest.measurements]
    return [
        f"check at {tables.stamp(newest.at)}: {newest.verdict.result} {newest.verdict.message}".rstrip(),
        *lines,
    ]


def _headline(kind: str, tail: str, row: ListRow) -> str:
    since = tables.stamp(row.last_transition_time)
    return f"{kind} {tail} {row.phase} weight {row.weight} traffic {row.traffic_weight} since {since}"


def _describe(tree: Tree, view: CanaryView) -> None:
    spec, status = view.spec, view.status
    if spec.application:
        tree.add(f"application {spec.application}")
    tree.add(
        f"target {spec.target.kind}/{spec.target.name}, primary {spec.primary}, service {spec.service.name}"
    )
    if status.last_promoted is not None:
        tree.add(f"promoted revision {status.last_promoted.template}")
    if status.phase is Phase.FAILED and status.last_applied is not None:
        tree.add(f"failed revision {status.last_applied.template}")
    if status.message:
        tree.add(status.message)


def _doing(spec: CanarySpec, status: RolloutStatus) -> str:
    text = f"{status.phase}, weight {status.canary_weight}, traffic {status.traffic_weight}, "
    text += f"failed checks {status.failed_checks} of {spec.analysis.threshold}"
    if status.waiting_for is not None:
        text += f", waits for {status.waiting_for} (`canary approve` answers it)"
    return f"{text}. {status.message}".rstrip(" .") if status.message else text


def _progress(progress: ClusterProgress) -> str:
    ready = "Ready" if progress.is_ready else "NotReady"
    return f"{progress.name} {ready} {progress.last_applied_revision} {progress.message}".rstrip()
