"""How a cluster refuses, does not answer, or cannot be reached from here."""

import json
import os
from http import HTTPStatus

_PASSING = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.GONE,
    HTTPStatus.TOO_MANY_REQUESTS,
)


class ApiError(Exception):
    """An API server's refusal: status, reason and the server's message, never the request's body."""

    def __init__(self, status: int, reason: str, message: str, what: str) -> None:
        super().__init__(f"{what}: {status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def is_permanent(self) -> bool:
        """Whether the same request can only be refused again."""
        return self.status < HTTPStatus.INTERNAL_SERVER_ERROR and self.status not in _PASSING


class ClusterUnreachableError(Exception):
    """No answer from a cluster's API server."""

    def __init__(self, cluster: str, cause: BaseException) -> None:
        super().__init__(f"Cluster {cluster} does not answer: {_why(cause)}.")
        self.cluster = cluster
        self.was_awaited = isinstance(cause, TimeoutError)
        """Whether there was no answer within the time for one, rather than no connection."""


def _why(cause: BaseException) -> str:
    """Say what the system says of a connection that was not made, as `Connection refused`."""
    told = getattr(cause, "os_error", None)
    if not isinstance(told, OSError):
        return type(cause).__name__
    said = os.strerror(told.errno) if told.errno and told.errno > 0 else told.strerror
    return said or type(cause).__name__


class UnknownClusterError(Exception):
    """A cluster that cannot be reached from here by what is known of it."""

    def __init__(
        self, name: str, why: str = "neither the clusters file nor an AttachedCluster names it"
    ) -> None:
        super().__init__(f"Cluster {name} is not known here: {why}.")


class ServedElsewhereError(UnknownClusterError):
    """A cluster that is to be reached by the workers of another task queue."""

    def __init__(self, name: str, task_queue: str) -> None:
        why = f"the workers of task queue {task_queue} serve it by now; apply its documents again"
        super().__init__(name, why)
        self.task_queue = task_queue


def refusal(status: int, data: bytes, what: str) -> ApiError:
    """Read an error out of the answer to *what* was asked."""
    try:
        body = json.loads(data)
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    message = str(body.get("message") or data[:200].decode(errors="replace"))
    return ApiError(status, str(body.get("reason") or ""), message, what)
