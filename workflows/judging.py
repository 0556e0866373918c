"""What the clusters say to the spec of an Application, before it is taken up."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from activities.cluster.preflight import Preflight, PreflightActivities
from activities.source.delivery import Members, Reachability, SourceActivities
from canary.application import ApplicationSpec, ClusterRef
from canary.problem import Problem
from canary.spec import CanarySpec
from workflows import contract
from workflows.options import ActivityOptions
from workflows.serving import TAKEN_WITHIN, at, unserved

A_FEW_TIMES = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_attempts=3)
"""A person waits for the answer."""
SHORTLY = timedelta(seconds=20)
REACH = ActivityOptions(
    task_queue=contract.CHECKS_QUEUE, start_to_close_timeout=SHORTLY, retry_policy=A_FEW_TIMES
)
PREFLIGHT = ActivityOptions(
    task_queue=contract.QUEUE, start_to_close_timeout=SHORTLY, retry_policy=A_FEW_TIMES
)

# Where an Application has what a canary calls by another name.
_PATHS = {
    "cluster": "destination.fleet",
    "spec.testLoader": "rollout.testLoader",
    "spec.targetRef.name": "rollout.workload.name",
    "spec.service.name": "rollout.serviceName",
    "spec.service.port": "rollout.port",
    "spec.service.hosts": "rollout.rolloutPolicy.trafficRouting.hosts",
}


async def judge(spec: ApplicationSpec, *, is_new: bool) -> tuple[ApplicationSpec, tuple[Problem, ...]]:
    """Look at every cluster and what each canary would stand on; the spec comes back with who serves them.

    A member that does not answer speaks against a new Application only: a running one must be able to bring
    the others what is new.
    """
    reach = await _reach(spec.clusters)
    spec = spec.served_by(reach.task_queues)
    inside = await asyncio.gather(*(_reach_inside(one) for one in spec.clusters if one.task_queue))
    unreached = {**reach.problems, **{name: problem for each in inside for name, problem in each.items()}}
    found = [_placed(problem, _first_policy_in(spec, name)) for name, problem in unreached.items()]
    looks = [
        _look(canary, index)
        for index, policy in enumerate(spec.policies)
        for canary in policy.canaries
        if canary.cluster not in unreached
    ]
    for problems in await asyncio.gather(*looks):
        found.extend(problems)
    # What is wrong in each of its clusters is told once.
    return spec, tuple(dict.fromkeys(problem if is_new else _softened(problem) for problem in found))


async def _reach(clusters: tuple[ClusterRef, ...], task_queue: str = "") -> Reachability:
    return await workflow.execute_activity_method(
        SourceActivities.check_clusters,
        Members(clusters=clusters),
        summary="reach the clusters",
        **at(task_queue, REACH, within=TAKEN_WITHIN[contract.QUEUE]),  # a person waits for it
    )


async def _reach_inside(cluster: ClusterRef) -> dict[str, Problem]:
    """What the workers inside a cluster say of it, or that there are none."""
    try:
        return (await _reach((cluster,), cluster.task_queue)).problems
    except ActivityError as error:
        return {cluster.name: unserved(error, cluster.name, cluster.task_queue)}


async def _look(canary: CanarySpec, index: int) -> list[Problem]:
    try:
        preflight: Preflight = await workflow.execute_activity_method(
            PreflightActivities.preflight,
            canary,
            summary=f"preflight of {canary.tail}",
            **at(canary.task_queue, PREFLIGHT),
        )
    except ActivityError as error:
        return [_placed(unserved(error, canary.cluster, canary.task_queue), index)]
    return [_placed(problem, index) for problem in preflight.problems]


def _first_policy_in(spec: ApplicationSpec, cluster: str) -> int:
    return next(
        index
        for index, policy in enumerate(spec.policies)
        if any(member.name == cluster for member in policy.clusters)
    )


def _placed(problem: Problem, index: int) -> Problem:
    path = _PATHS.get(problem.path, problem.path)
    return problem.model_copy(update={"path": f"spec.syncPolicies[{index}].{path}"})


def _softened(problem: Problem) -> Problem:
    return problem.model_copy(update={"is_warning": True}) if problem.is_unreachable else problem
