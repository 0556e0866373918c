"""An Application as Kurator's Application: its words for what it knows, and ours beside them."""

from starter.listing import Listed
from starter.objects import Metadata, Moment, Part, Workflow, workflow_of


class Status(Part):
    """How an Application stands; all of it is ours."""

    phase: str | None = None
    revision: str | None = None
    message: str | None = None
    last_transition_time: Moment | None = None
    workflow: Workflow | None = None


class Application(Part):
    """Kurator's Application."""

    api_version: str = "apps.kurator.dev/v1alpha1"
    kind: str = "Application"
    metadata: Metadata
    status: Status


def application_of_row(item: Listed) -> Application:
    """Show what a list knows of an Application."""
    row = item.row
    status = Status(
        phase=row.phase or None,
        revision=row.revision or None,
        message=row.message or None,
        last_transition_time=row.last_transition_time,
        workflow=workflow_of(item),
    )
    return Application(metadata=Metadata(name=row.name, namespace=row.namespace), status=status)
