"""An Application as Kurator's Application: its words for what it knows, and ours beside them."""

from collections.abc import Mapping

from canary.status import ListRow
from starter.flagger import Status as CanaryStatus
from starter.listing import Listed
from starter.objects import Metadata, Moment, Part, Workflow, workflow_of
from workflows.contract import ApplicationStatus, ClusterProgress


class Condition(Part):
    """One of Flux' conditions, without its times, which are not kept; there is only `Ready`."""

    type: str = "Ready"
    status: str
    reason: str
    message: str | None = None


class Artifact(Part):
    """What was read of the source last."""

    revision: str


class GitRepoStatus(Part):
    """The status of a git repository, as Flux has it."""

    artifact: Artifact | None = None
    conditions: tuple[Condition, ...]


class SourceStatus(Part):
    """How the source stands."""

    git_repo_status: GitRepoStatus


class Entry(Part):
    """An object that a policy brought: `<namespace>_<name>_<group>_<Kind>`."""

    id: str


class Inventory(Part):
    """All that a policy brought to a cluster."""

    entries: tuple[Entry, ...]


class KustomizationStatus(Part):
    """How a policy stands in a cluster, as Flux has it."""

    conditions: tuple[Condition, ...]
    inventory: Inventory | None = None
    last_applied_revision: str | None = None
    last_attempted_revision: str | None = None


class RolloutStatus(Part):
    """The canary of a policy in a cluster; its status is Flagger's."""

    cluster_name: str
    rollout_name_in_cluster: str
    rollout_status_in_cluster: CanaryStatus | None = None


class KuratorSyncStatus(Part):
    """What Kurator says of one policy in one cluster (v1alpha1 `ApplicationSyncStatus`)."""

    name: str
    kustomization_status: KustomizationStatus
    rollout_status: RolloutStatus | None = None


class SyncStatus(KuratorSyncStatus):
    """Kurator's entry and, from here on, what is ours."""

    policy: str
    cluster_name: str


class KuratorStatus(Part):
    """The status that Kurator writes (v1alpha1 `ApplicationStatus`)."""

    source_status: SourceStatus | None = None
    sync_status: tuple[SyncStatus, ...] | None = None


class Status(KuratorStatus):
    """Kurator's status and, from here on, what is ours."""

    phase: str | None = None
    revision: str | None = None
    message: str | None = None
    last_transition_time: Moment | None = None
    last_fetched: Moment | None = None
    workflow: Workflow | None = None


class Application(Part):
    """Kurator's Application."""

    api_version: str = "apps.kurator.dev/v1alpha1"
    kind: str = "Application"
    metadata: Metadata
    status: Status


def application_of(
    row: ListRow, status: ApplicationStatus, canaries: Mapping[str, CanaryStatus]
) -> Application:
    """Show an Application as its workflow answers, with what is known of its *canaries*, by workflow id."""
    deliveries = tuple(_sync_status(progress, canaries) for progress in status.progress)
    shown = _status_of_row(row).model_copy(
        update={
            "source_status": SourceStatus(git_repo_status=_git_repo_status(status)),
            "sync_status": deliveries,
            "revision": status.revision or None,
            "message": status.message or None,
            "last_fetched": status.last_fetched,
        }
    )
    return Application(metadata=_metadata(row), status=shown)


def application_of_row(item: Listed) -> Application:
    """Show what a list knows of an Application."""
    status = _status_of_row(item.row).model_copy(update={"workflow": workflow_of(item)})
    return Application(metadata=_metadata(item.row), status=status)


def _metadata(row: ListRow) -> Metadata:
    return Metadata(name=row.name, namespace=row.namespace)


def _status_of_row(row: ListRow) -> Status:
    return Status(
        phase=row.phase or None,
        revision=row.revision or None,
        message=row.message or None,
        last_transition_time=row.last_transition_time,
    )


def _git_repo_status(status: ApplicationStatus) -> GitRepoStatus:
    read = Artifact(revision=status.revision) if status.revision else None
    return GitRepoStatus(artifact=read, conditions=(_source_condition(status),))


def _source_condition(status: ApplicationStatus) -> Condition:
    if status.source_message:
        return Condition(status="False", reason="GitOperationFailed", message=status.source_message)
    if not status.revision:
        return Condition(status="Unknown", reason="Progressing")
    text = f"stored artifact for revision '{status.revision}'"
    return Condition(status="True", reason="Succeeded", message=text)


def _sync_status(progress: ClusterProgress, canaries: Mapping[str, CanaryStatus]) -> SyncStatus:
    entries = tuple(Entry(id=each) for each in progress.inventory)
    return SyncStatus(
        name=progress.name,
        kustomization_status=KustomizationStatus(
            conditions=(_sync_condition(progress),),
            inventory=Inventory(entries=entries) if entries else None,
            last_applied_revision=progress.last_applied_revision or None,
            last_attempted_revision=progress.last_attempted_revision or None,
        ),
        rollout_status=_rollout_status(progress, canaries) if progress.canary else None,
        policy=progress.policy,
        cluster_name=progress.cluster,
    )


def _sync_condition(progress: ClusterProgress) -> Condition:
    status, reason = "Unknown", "Progressing"
    if progress.is_ready:
        status, reason = "True", "ReconciliationSucceeded"
    elif progress.has_failed:
        status, reason = "False", "ReconciliationFailed"
    return Condition(status=status, reason=reason, message=progress.message or None)


def _rollout_status(progress: ClusterProgress, canaries: Mapping[str, CanaryStatus]) -> RolloutStatus:
    """A canary has the name of its target, as Kurator renders it."""
    return RolloutStatus(
        cluster_name=progress.cluster,
        rollout_name_in_cluster=progress.canary.rpartition("/")[2],
        rollout_status_in_cluster=canaries.get(progress.canary),
    )
