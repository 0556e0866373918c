"""Whom to tell of a rollout: alerts and the services they are sent to."""

from enum import StrEnum

from canary.reference import ObjectRef
from canary.stored import Stored


class Severity(StrEnum):
    """How much a message matters; an alert takes those of its own severity and above."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"

    def takes(self, message: "Severity") -> bool:
        """Whether an alert of this severity tells of *message*."""
        order = list(Severity)
        return order.index(message) >= order.index(self)


class AlertType(StrEnum):
    """The services an alert can be sent to."""

    SLACK = "slack"
    MS_TEAMS = "msteams"
    DISCORD = "discord"
    ROCKET = "rocket"
    GOOGLE_CHAT = "gchat"
    WEBHOOK = "webhook"
    """Any address: the alert as plain JSON. Ours."""


class AlertProvider(Stored):
    """Where an alert is sent: by an address, or by a Secret that holds it as `address`."""

    type: AlertType
    name: str
    namespace: str
    channel: str = "general"
    username: str = "durable-canary"
    address: str | None = None
    secret_ref: str | None = None
    """A Secret in the provider's namespace with `address`, and `token` where the service wants one."""
    proxy: str | None = None


class AlertSpec(Stored):
    """One alert of a canary."""

    name: str
    severity: Severity = Severity.INFO
    """Left out it means info (T10)."""
    provider: AlertProvider | None = None
    provider_ref: ObjectRef | None = None
    """Where its provider stands in the cluster, if it was not given: it is read there again and again."""
