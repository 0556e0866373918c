"""What a refused Update says: the sentence at the bottom of Temporal's wrappings."""

from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import FailureError


def sentence(error: WorkflowUpdateFailedError) -> str:
    """Give the innermost cause's message."""
    cause: BaseException = error.cause
    while isinstance(cause, FailureError) and cause.cause is not None:
        cause = cause.cause
    return cause.message if isinstance(cause, FailureError) else str(cause)
