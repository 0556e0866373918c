"""How an API server's answers become errors of an activity."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from http import HTTPStatus
from typing import Any, Concatenate, ParamSpec, TypeVar

from temporalio.exceptions import ApplicationError

from activities.cluster.errors import ApiError, UnknownClusterError
from activities.cluster.marks import ForeignError
from activities.cluster.workloads import SelectorError
from activities.heartbeat import heartbeating

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")

CONFLICTS = 5
"""So often a write is tried against a newer object before Temporal's retry takes over."""
_LONGEST = 1000


def guarded(
    act: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Let what may pass by itself out to be retried; name what cannot as permanent. Heartbeat meanwhile."""

    @wraps(act)
    async def wrapper(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            async with heartbeating():
                return await act(self, *args, **kwargs)
        except ApiError as error:
            if not error.is_permanent:
                raise
            # A refusal may quote the whole object.
            text = str(error)[:_LONGEST]
            raise ApplicationError(text, type=error.reason or "Refused", non_retryable=True) from error
        except (SelectorError, ForeignError, UnknownClusterError) as error:
            raise ApplicationError(str(error), type=type(error).__name__, non_retryable=True) from error

    return wrapper


async def until_settled(attempt: Callable[[], Awaitable[R]], what: str) -> R:
    """Look and write again where somebody has written in between; an attempt begins with reading."""
    for _ in range(CONFLICTS):
        try:
            return await attempt()
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
    raise ApplicationError(f"{what} is being changed all the time.", type="Conflict")
