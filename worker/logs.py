"""What a worker prints: one line for each thing that is logged, with the facts about it as `key=value`."""

import asyncio
import json
import logging
from datetime import UTC, datetime
from typing import Any

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError
from temporalio.runtime import LogForwardingConfig, LoggingConfig, TelemetryFilter

from activities.cluster.errors import ApiError, ClusterUnreachableError, UnknownClusterError

TALKATIVE = ("httpx", "httpcore")
"""They write whole addresses, which of alerts and hooks may be secrets."""
_GIVEN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
"""What every record has: all else are facts."""
_ABOUT = {"workflow": "workflow_id", "activity": "activity_type"}
"""What is said of the workflow and the activity that something was logged in, and what the SDK calls it."""
_WORDED = (ApplicationError, ApiError, ClusterUnreachableError, UnknownClusterError, asyncio.CancelledError)
"""Errors that are no mistake of ours: what they say is all there is to know."""
SDK = LoggingConfig(
    filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
    forwarding=LogForwardingConfig(logging.getLogger("temporalio"), append_target_to_name=False),
)
"""Has Temporal's SDK print what it logs by the same means, and not in colours of its own."""


class Lines(logging.Formatter):
    """Moment in UTC, level, logger, message and facts; a traceback only of what nobody has put into words."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a line, and below it the traceback of an error that is a mistake of ours."""
        facts = _facts(record)
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, _WORDED):
            facts["cause"] = str(error)
        told = " ".join(f"{name}={_worded(value)}" for name, value in facts.items())
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        parts = (at.replace("+00:00", "Z"), record.levelname, record.name, record.getMessage(), told)
        line = " ".join(part for part in parts if part)
        if error is None or "cause" in facts or record.exc_info is None:
            return line
        return f"{line}\n{self.formatException(record.exc_info)}"


def configure(level: str) -> None:
    """Print from *level* on; whoever listens to workflows hears more than that."""
    logging.basicConfig(level=level)
    for handler in logging.getLogger().handlers:
        handler.setLevel(level)
        handler.setFormatter(Lines())
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Else it would stand behind each message, whole.
    workflow.logger.workflow_info_on_message = False
    activity.logger.activity_info_on_message = False


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """What was given with a message and can be said in a line, and whose workflow it is about."""
    given = {name: value for name, value in record.__dict__.items() if name not in _GIVEN}
    about = given.get("temporal_activity") or given.get("temporal_workflow") or {}
    facts = {
        name: value
        for name, value in given.items()
        if not name.startswith("_") and isinstance(value, str | int | float)
    }
    return facts | {name: about[key] for name, key in _ABOUT.items() if key in about}


def _worded(value: Any) -> str:
    text = str(value)
    return text if text and not set(text) & set(' "=\n') else json.dumps(text, ensure_ascii=False)
