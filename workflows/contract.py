"""What starters and workers agree on: names, ids, queues, commands and their models."""

from datetime import datetime, timedelta
from enum import StrEnum

from temporalio.common import SearchAttributeKey

from canary.analysis import CheckRecord
from canary.application import ApplicationSpec, ClusterRef
from canary.notice import Notice
from canary.problem import Problem
from canary.spec import CanarySpec
from canary.status import CanaryStatus, Person, Phase, Revision, RolloutStatus, Wishes
from canary.stored import Stored

QUEUE = "canary"
"""Workflows, and reads and writes of Kubernetes: many and short."""
CHECKS_QUEUE = "canary-checks"
"""Prometheus, webhooks, git, kustomize: bounded, so that a write of traffic never waits behind them."""
WATCH_QUEUE = "canary-watch"
"""The cluster watches, one slot each, for good."""


def own_queue(task_queue: str, shared: str) -> str:
    """Name the queue of a kind of work, by the shared one's name, for a cluster with workers of its own."""
    return task_queue + shared.removeprefix(QUEUE) if task_queue else shared


APPLICATION_WORKFLOW = "ApplicationWorkflow"
CANARY_WORKFLOW = "CanaryWorkflow"
ROLLOUT_WORKFLOW = "RolloutWorkflow"
CLUSTER_WATCH_WORKFLOW = "ClusterWatchWorkflow"
DOCTOR_WORKFLOW = "DoctorWorkflow"

CLUSTER = SearchAttributeKey.for_keyword("CanaryCluster")
NAMESPACE = SearchAttributeKey.for_keyword("CanaryNamespace")
TARGET = SearchAttributeKey.for_keyword("CanaryTarget")
APPLICATION = SearchAttributeKey.for_keyword("CanaryApplication")
PHASE = SearchAttributeKey.for_keyword("CanaryPhase")
REVISION = SearchAttributeKey.for_keyword("CanaryRevision")
WEIGHT = SearchAttributeKey.for_int("CanaryWeight")

ROW = "row"
"""The memo key that holds a workflow's `ListRow`."""

APPLY = "apply"
DELETE = "delete"
BELL = "bell"
"""The doorbell: a signal without facts, after which a workflow observes."""
STATUS = "status"
"""The query every workflow answers with its status model."""
REGISTER = "register"
"""A canary tells `watch/<cluster>` which objects concern it."""


UPDATE_SPEC = "update_spec"
"""A canary tells its running rollout that its document has changed."""


LEAVE = "leave"
"""A canary that is taken out ends its rollout: an abort that waits for no primary."""


ALERTS = "alerts"
"""A rollout has its canary alert: that one lives on while an address is away."""


ENGINE = "durable-canary"
"""Who commands where no person does: a canary that ends its rollout."""


class Verb(StrEnum):
    """The commands of a person: Updates, and Signals of the same name."""

    ABORT = "abort"
    RESTART = "restart"
    APPROVE = "approve"
    """Answer the gate that a rollout waits for; only a rollout has gates."""


class Command(Stored):
    """A person's wish: who, why and when."""

    id: str = ""
    who: str = "unknown (signal)"
    reason: str = ""
    at: datetime | None = None


class Answer(Stored):
    """What a command was answered."""

    message: str
    is_done: bool = True
    """Whether it has come to what was wanted."""
    goes_on: bool = False
    """Not over: the same command, sent again, is answered once it is."""


class ApplyApplication(Stored):
    """The `apply` Update of an Application."""

    spec: ApplicationSpec
    command: Command = Command()


class ApplyCanary(Stored):
    """The `apply` Update of a canary."""

    spec: CanarySpec
    cluster: ClusterRef | None = None
    command: Command = Command()


class ApplyResult(Stored):
    """Whether an `apply` was taken, and every mistake that was found."""

    accepted: bool
    created: bool = False
    """Whether nothing was delivered by its name before."""
    changed: bool = False
    problems: tuple[Problem, ...] = ()


class DeleteCommand(Stored):
    """The `delete` Update: bring the workload back as it was and forget the canary."""

    command: Command = Command()
    document: str = ""
    """Of whose document it is to go; empty where a person asks, who may mean any but an Application's."""
    spec: CanarySpec | None = None
    """What is to go, for a workflow that knows of none: the one before it was terminated."""


class Registration(Stored):
    """What `watch/<cluster>` rings a canary for."""

    canary: str
    """The workflow id's tail."""
    namespace: str
    objects: tuple[str, ...] = ()
    """`<Kind>/<name>` each, for instance `Deployment/backend`."""
    task_queue: str = ""
    """Whose workers reach the cluster; empty: the shared ones."""
    remove: bool = False


class ClusterProgress(Stored):
    """One policy of an Application in one cluster, as Kurator's `syncStatus` entry."""

    name: str
    """`<policy>-<cluster>`."""
    policy: str
    cluster: str
    last_applied_revision: str = ""
    last_attempted_revision: str = ""
    message: str = ""
    is_ready: bool = False
    has_failed: bool = False
    """The last attempt did not work; it is tried again."""
    inventory: tuple[str, ...] = ()
    """`<namespace>_<name>_<group>_<Kind>` each."""
    canary: str = ""
    """The workflow id of its canary, empty where the policy has no rollout."""


class ApplicationStatus(Stored):
    """The state of one Application."""

    schema_version: int = 1
    spec: ApplicationSpec
    revision: str = ""
    """`<branch>@sha1:<commit>`, as Flux writes it."""
    message: str = ""
    source_message: str = ""
    last_fetched: datetime | None = None
    progress: tuple[ClusterProgress, ...] = ()


class Given(Stored):
    """A command that a rollout was given, and who gave it."""

    verb: Verb
    by: Person


class RolloutStart(Stored):
    """One rollout to carry out; with a status, one to go on with."""

    spec: CanarySpec
    revision: Revision
    promoted: Revision
    primary_size: int = 1
    primary_desired: int = 0
    """How many pods the primary was seen to want; 0: not known."""
    is_exposed: bool = False
    """Whether somebody has given the canary a weight while nothing ran: nobody has judged this revision."""
    scale_down_delay: timedelta = timedelta(seconds=30)
    status: RolloutStatus | None = None
    wishes: Wishes = Wishes()
    checks: tuple[CheckRecord, ...] = ()
    commands: tuple[Given, ...] = ()
    phase_before: Phase = Phase.INITIALIZED
    """What the canary was in when the rollout began: gates are told so when they are first asked."""
    expired_cookie: str = ""
    """The session cookie of the rollout before: browsers are still told to forget it."""
    is_unpaused: bool = False
    """Whether a newer template would get pods at once: its canary is to be paused before the next step."""


class Alerts(Stored):
    """What a rollout has to alert of."""

    phase: Phase
    revision: Revision
    notices: tuple[Notice, ...]


class CanaryState(Stored):
    """What a canary's continue-as-new carries."""

    spec: CanarySpec
    status: CanaryStatus
    wishes: Wishes = Wishes()
    scale_down_delay: timedelta = timedelta(seconds=30)
    is_initialised: bool = False
    has_new_spec: bool = False
    leaving_at: datetime | None = None
    """When the way out was decided that it is on."""


class CanaryView(Stored):
    """What `CanaryWorkflow` answers the `status` query with."""

    spec: CanarySpec
    status: CanaryStatus
    rollout: RolloutStatus | None = None


class RolloutView(Stored):
    """What `RolloutWorkflow` answers the `status` query with, and what its report holds."""

    spec: CanarySpec
    status: RolloutStatus
    checks: tuple[CheckRecord, ...] = ()
    """Every check so far, oldest first."""
    commands: tuple[Given, ...] = ()
    """Whoever took a hand so far, oldest first."""


def application_id(namespace: str, name: str) -> str:
    """The id of an Application's workflow."""
    return f"application/{namespace}/{name}"


def canary_id(tail: str) -> str:
    """The id of a canary's workflow; one target in one cluster has one."""
    return f"canary/{tail}"


def rollout_id(tail: str) -> str:
    """The id of the workflow of a canary's running rollout."""
    return f"rollout/{tail}"


def watch_id(cluster: str) -> str:
    """The id of the workflow that watches a cluster."""
    return f"watch/{cluster}"


def doctor_id(who: str) -> str:
    """The id of the workflow that looks at the clusters for somebody."""
    return f"doctor/{who}"


ACCEPTANCE = timedelta(seconds=2)
"""How long a starter waits for a worker to accept an Update before it sends the same as a Signal."""
