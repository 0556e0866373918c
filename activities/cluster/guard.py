"""How an API server's answers become errors of an activity."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from temporalio.exceptions import ApplicationError

from activities.cluster.api import ApiError, UnknownClusterError
from activities.cluster.workloads import SelectorError
from activities.heartbeat import heartbeating

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")


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
            raise ApplicationError(str(error), type=error.reason or "Refused", non_retryable=True) from error
        except (SelectorError, UnknownClusterError) as error:
            raise ApplicationError(str(error), type=type(error).__name__, non_retryable=True) from error

    return wrapper
