"""What a canary wants to be rung for, and how its cluster's watch is told."""

from collections.abc import Iterable

from temporalio import workflow

from activities.runs import RunActivities, SignalWithStart
from canary.spec import CanarySpec
from workflows.contract import CLUSTER_WATCH_WORKFLOW, QUEUE, REGISTER, Registration, watch_id
from workflows.options import ENTITY


def registration_of(spec: CanarySpec, configs: Iterable[str]) -> Registration:
    """The objects that concern a canary whose target uses *configs*, each as a revision names it."""
    objects = (
        f"{spec.target.kind}/{spec.target.name}",
        f"{spec.target.kind}/{spec.primary}",
        f"VirtualService/{spec.service.name}",
        *(f"Service/{name}" for name in spec.service.names),
        *(_as_object(key) for key in configs),
    )
    return Registration(
        canary=spec.tail, namespace=spec.namespace, objects=objects, task_queue=spec.task_queue
    )


async def tell_watch(cluster: str, registration: Registration) -> None:
    """Tell a cluster's watch whom to ring for what."""
    signal = SignalWithStart(
        workflow=watch_id(cluster),
        type=CLUSTER_WATCH_WORKFLOW,
        task_queue=QUEUE,
        signal=REGISTER,
        argument=registration.model_dump(mode="json"),
    )
    await workflow.execute_activity_method(
        RunActivities.signal_with_start, signal, summary="tell the cluster's watch", **ENTITY
    )


def _as_object(key: str) -> str:
    kind, name = key.split("/", 1)
    return f"{'Secret' if kind == 'secret' else 'ConfigMap'}/{name}"
