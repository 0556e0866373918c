"""Putting a worker together: every adapter with its clients, and the Workers of its three queues."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.worker import PollerBehaviorAutoscaling, Worker, WorkerDeploymentConfig

from activities.alerts import AlertActivities
from activities.analysis import AnalysisActivities, Providers
from activities.announcements import AnnouncementActivities
from activities.cluster.events import Events
from activities.cluster.examination import ExaminationActivities, ListedClusters
from activities.cluster.initialisation import InitialisationActivities
from activities.cluster.observation import ObservationActivities
from activities.cluster.preflight import PreflightActivities
from activities.cluster.primary import PrimaryActivities
from activities.cluster.reach import Reach
from activities.cluster.removal import RemovalActivities
from activities.cluster.scaling import ScalingActivities
from activities.cluster.secrets import ClusterSecrets
from activities.cluster.traffic import TrafficActivities
from activities.cluster.watch import WatchActivities
from activities.entities import EntityActivities
from activities.gates import GateActivities
from activities.metrics import Prometheus
from activities.reports import ReportActivities
from activities.runs import RunActivities
from activities.source.delivery import SourceActivities
from activities.webhooks import Webhooks
from worker.herald import EventHooks, Herald
from worker.runner import build_runner
from worker.settings import WorkerSettings
from workflows.application import ApplicationWorkflow
from workflows.canary import CanaryWorkflow
from workflows.cluster_watch import ClusterWatchWorkflow
from workflows.contract import CHECKS_QUEUE, QUEUE, WATCH_QUEUE, own_queue
from workflows.doctor import DoctorWorkflow
from workflows.rollout import RolloutWorkflow

WORKFLOWS: Sequence[type] = (
    ApplicationWorkflow,
    CanaryWorkflow,
    RolloutWorkflow,
    ClusterWatchWorkflow,
    DoctorWorkflow,
)
CACHED_WORKFLOWS = 5000
"""More than a worker has live workflows: below that, every check replays a history."""
STICKY = timedelta(seconds=2)
"""After a killed worker its workflows go to another one this soon."""
HEARTBEATS = timedelta(milliseconds=500)
"""At least this often heartbeats reach the server, so that a cancelled check hears of it."""
THREADS_OF_A_CHECK = 4
"""A check with two built-in metrics asks for values and sample sizes at once."""
UNLIMITED = httpx.Limits(max_connections=None)
"""Waiting for a connection would count as the hook's time; the slots of the queue are the limit."""
RUNS_OF_A_WATCH = 2
"""While a watch takes over from the one before, both hold a slot."""
GRACE = timedelta(seconds=10)
DISTRIBUTION = "durable-canary"
"""The name of what runs; with its version it spares each start the seconds of hashing all modules."""


@dataclass(frozen=True)
class Activities:
    """The activities of each queue, and who tells on what workflows announce."""

    short: Sequence[Callable[..., Any]]
    checks: Sequence[Callable[..., Any]]
    watches: Sequence[Callable[..., Any]]
    herald: Herald


def build_activities(
    settings: WorkerSettings, clusters: ListedClusters, client: Client, kubectl: Path, stack: AsyncExitStack
) -> Activities:
    """Build every adapter; *stack* closes what they hold.

    Whoever serves one cluster does what can only be done from within it; what is the engine's is left to the
    shared workers: Temporal's workflows and the store of reports.
    """
    observation = ObservationActivities(clusters)
    reach = Reach(clusters)
    threads = stack.enter_context(ThreadPoolExecutor(THREADS_OF_A_CHECK * settings.checks, "metrics"))
    verified = httpx.AsyncClient(follow_redirects=False, trust_env=False, limits=UNLIMITED)
    unverified = httpx.AsyncClient(follow_redirects=False, trust_env=False, limits=UNLIMITED, verify=False)  # noqa: S501 — for hooks that say `disableTLS`
    stack.push_async_callback(verified.aclose)
    stack.push_async_callback(unverified.aclose)
    secrets = ClusterSecrets(clusters)
    webhooks = Webhooks(reach, secrets, verified, unverified, _now)
    prometheus = Prometheus(reach, secrets, threads)
    analysis = AnalysisActivities(observation, webhooks, prometheus, _now)
    herald = Herald(Events(clusters), EventHooks(webhooks))
    is_shared = not settings.task_queue
    short = [
        observation,
        TrafficActivities(clusters),
        ScalingActivities(clusters),
        PrimaryActivities(clusters),
        InitialisationActivities(clusters),
        RemovalActivities(clusters),
        PreflightActivities(clusters, Providers(prometheus)),
        ExaminationActivities(clusters, prometheus, reach, verified),
    ]
    checks = [
        analysis,
        GateActivities(observation, webhooks, _now),
        AlertActivities(reach, secrets, verified),
        SourceActivities(clusters, settings.cache, kubectl),
        AnnouncementActivities(herald),
    ]
    return Activities(
        short=_methods(*short, *([EntityActivities(client), RunActivities(client)] if is_shared else [])),
        checks=_methods(*checks, *([ReportActivities(settings.reports)] if is_shared else [])),
        watches=_methods(WatchActivities(clusters, client)),
        herald=herald,
    )


def build_workers(client: Client, settings: WorkerSettings, activities: Activities) -> list[Worker]:
    """Build the Workers: a write of traffic never queues behind a slow check."""
    common: dict[str, Any] = {
        "activity_task_poller_behavior": PollerBehaviorAutoscaling(),
        "max_heartbeat_throttle_interval": HEARTBEATS,
        "default_heartbeat_throttle_interval": HEARTBEATS,
        "graceful_shutdown_timeout": GRACE,
        "deployment_config": WorkerDeploymentConfig(
            WorkerDeploymentVersion(DISTRIBUTION, version(DISTRIBUTION)), use_worker_versioning=False
        ),
    }
    own = settings.task_queue
    return [
        Worker(
            client,
            task_queue=own_queue(own, QUEUE),
            activities=activities.short,
            max_concurrent_activities=settings.writes,
            **({} if own else _for_workflows()),
            **common,
        ),
        Worker(
            client,
            task_queue=own_queue(own, CHECKS_QUEUE),
            activities=activities.checks,
            max_concurrent_activities=settings.checks,
            **common,
        ),
        Worker(
            client,
            task_queue=own_queue(own, WATCH_QUEUE),
            activities=activities.watches,
            max_concurrent_activities=RUNS_OF_A_WATCH * settings.watches,
            **common,
        ),
    ]


def _for_workflows() -> dict[str, Any]:
    """What makes a Worker run workflows, which those of a single cluster do not."""
    return {
        "workflows": WORKFLOWS,
        "workflow_runner": build_runner(),
        "max_cached_workflows": CACHED_WORKFLOWS,
        "sticky_queue_schedule_to_start_timeout": STICKY,
        "workflow_task_poller_behavior": PollerBehaviorAutoscaling(),
    }


def _methods(*adapters: object) -> list[Callable[..., Any]]:
    """Every method of the adapters that is an activity."""
    return [
        method
        for adapter in adapters
        for name in dir(adapter)
        if hasattr(method := getattr(adapter, name), "__temporal_activity_definition")
    ]


def _now() -> datetime:
    return datetime.now(UTC)
