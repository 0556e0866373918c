"""What an Application tells the workflow of its canary, and how it starts that where there is none."""

from temporalio import workflow

from activities.entities import EntityStart, EntityUpdate
from canary.delivery import Delivery
from canary.spec import CanarySpec
from canary.status import ListRow, Phase
from workflows import contract
from workflows.contract import ApplyCanary, Command, DeleteCommand


def apply_of(canary: CanarySpec, delivery: Delivery) -> EntityStart:
    """Have a canary delivered."""
    command = _command(canary)
    wanted = ApplyCanary(spec=canary, cluster=delivery.cluster, command=command)
    return _start(canary, contract.APPLY, wanted)


def delete_of(canary: CanarySpec) -> EntityUpdate:
    """Have a canary take its way out."""
    command = _command(canary, "taken out of the Application")
    wanted = DeleteCommand(command=command, document=canary.document)
    return EntityUpdate(
        workflow=contract.canary_id(canary.tail),
        update=contract.DELETE,
        id=command.id,
        argument=wanted.model_dump(mode="json"),
    )


def way_out_of(canary: CanarySpec) -> EntityStart:
    """Have a canary that no workflow delivers any more take its way out by what it left in its cluster."""
    command = _command(canary, "taken out of the Application")
    wanted = DeleteCommand(command=command, document=canary.document, spec=canary)
    return _start(canary, contract.DELETE, wanted)


def _command(canary: CanarySpec, reason: str = "") -> Command:
    who = f"application {canary.application}"
    return Command(id=str(workflow.uuid4()), who=who, reason=reason, at=workflow.now())


def _start(canary: CanarySpec, update: str, wanted: ApplyCanary | DeleteCommand) -> EntityStart:
    row = ListRow(
        application=canary.application,
        cluster=canary.cluster,
        namespace=canary.namespace,
        name=canary.name,
        phase=Phase.INITIALIZING,
    )
    return EntityStart(
        workflow=contract.canary_id(canary.tail),
        type=contract.CANARY_WORKFLOW,
        task_queue=contract.QUEUE,
        update=update,
        id=wanted.command.id,
        argument=wanted.model_dump(mode="json"),
        memo={contract.ROW: row.model_dump(mode="json")},
        keywords={
            contract.CLUSTER.name: canary.cluster,
            contract.NAMESPACE.name: canary.namespace,
            contract.TARGET.name: canary.target.name,
            contract.APPLICATION.name: canary.application or "",
        },
    )
