"""Why a workload's pods are not ready, as the pods themselves tell it (T21).

The same trouble is told in the same words for as long as it lasts: a pod that cannot be started swings
between two reasons, and whoever hears a new one every few seconds stops listening.
"""

import asyncio
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from http import HTTPStatus

from temporalio import activity

from activities.cluster import paths
from activities.cluster.api import ClusterApi, Object
from activities.cluster.errors import ApiError, ClusterUnreachableError

PATIENCE = 2.0
"""Seconds: a look at a canary that has lost its pods does not wait for an explanation."""
STARTING = timedelta(seconds=5)
"""Pods of a workload that moved this lately are only starting: nothing keeps them from it yet."""
PAGE = 100
PAGES = 5
"""Hundreds of pods are mostly ready ones: so many are looked through for one that is not."""
REASONS = 2
"""So many different ones are told."""
LONGEST = 200
"""Letters of a scheduler's sentence."""
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
_UNPULLED = frozenset({"ErrImagePull", "ImagePullBackOff"})
_CRASHED = "CrashLoopBackOff"
_REFUSED_BY = re.compile(
    r'(exceeded|failed) quota: [^,:]+|admission webhook "[^"]+" denied the request'
    r'|violates PodSecurity "[^"]+"|(minimum|maximum) \S+ usage per \w+ is [^,.]+'
)
"""As much of a refusal as is the same at each try, and quotes nothing of the pod."""


async def trouble_of(api: ClusterApi, workload: Object) -> str:
    """Say what keeps pods of a workload from being ready; empty where nothing does, or all merely start."""
    try:
        async with asyncio.timeout(PATIENCE):
            return "; ".join(await _reasons(api, workload))
    except ApiError as error:
        if error.status == HTTPStatus.FORBIDDEN:
            return "why is not known, for the worker may not list pods (deploy/rbac.yaml)"
        _log(workload, str(error))
    except (ClusterUnreachableError, TimeoutError) as error:
        _log(workload, type(error).__name__)
    return ""


def refusal_of(workload: Object) -> str:
    """Say what keeps a workload's pods from being made, as a quota or a webhook; empty where nothing does."""
    for condition in (workload.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            said = _REFUSED_BY.search(str(condition.get("message") or ""))
            why = f": {said[0][:LONGEST]}" if said else ""
            return f"its pods are refused ({condition.get('reason') or 'FailedCreate'}){why}"
    return ""


def are_starting(workload: Object, now: datetime) -> bool:
    """Whether its controller has told of a change so lately that its pods have had no time to get ready."""
    times = (
        condition.get(key)
        for condition in (workload.get("status") or {}).get("conditions") or []
        for key in ("lastUpdateTime", "lastTransitionTime")
    )
    return any(now - datetime.fromisoformat(time) < STARTING for time in times if time)


def _log(workload: Object, why: str) -> None:
    metadata = workload["metadata"]
    told = {"workload": f"{metadata['namespace']}/{metadata['name']}", "cause": why}
    activity.logger.warning("pods cannot be asked why they are not ready", extra=told)


async def _reasons(api: ClusterApi, workload: Object) -> list[str]:
    """Read page by page, until one holds a pod that is in trouble."""
    path = paths.collection("Pod", workload["metadata"]["namespace"])
    query = {"labelSelector": selector_of(workload), "limit": str(PAGE)}
    for _ in range(PAGES):
        found = await api.list(path, **query)
        said = {reason for pod in found["items"] for reason in _troubles(pod)}
        if said:
            return sorted(said)[:REASONS]
        if not (following := found["metadata"].get("continue")):
            break
        query["continue"] = following
    return []


def selector_of(workload: Object) -> str:
    """Write a workload's selector as a query has it."""
    selector = workload["spec"]["selector"]
    wanted = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or []:
        key, values = each["key"], ",".join(each.get("values") or [])
        match each["operator"]:
            case "In":
                wanted.append(f"{key} in ({values})")
            case "NotIn":
                wanted.append(f"{key} notin ({values})")
            case "Exists":
                wanted.append(key)
            case _:
                wanted.append(f"!{key}")
    return ",".join(wanted)


def _troubles(pod: Object) -> Iterator[str]:
    if pod["metadata"].get("deletionTimestamp"):
        return
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            why = str(condition.get("message") or "").partition(" preemption:")[0][:LONGEST].rstrip(".")
            yield f"no node takes its pods (Unschedulable): {why}" if why else "no node takes its pods"
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or []:
            if not container.get("ready") and (reason := _trouble(container)):
                yield reason


def _trouble(container: Object) -> str:
    """What keeps one container from being ready; empty while it starts for the first time."""
    name, state = container["name"], container.get("state") or {}
    reason = str((state.get("waiting") or {}).get("reason") or "")
    if reason in _UNPULLED:
        return f"container {name} cannot pull image {container.get('image')} (ImagePullBackOff)"
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    if ended or reason == _CRASHED:
        return f"container {name} crashes ({_CRASHED}){_last(ended or {})}"
    return "" if not reason or reason in _STARTING else f"container {name} cannot start ({reason})"


def _last(ended: Object) -> str:
    if not ended:
        return ""
    return f": it ended last with {ended.get('reason') or 'Error'}, exit code {ended.get('exitCode')}"
