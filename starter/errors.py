"""How a command ends without success, and with which exit code.

StarterError
├── RefusedError      1: the rollout failed, or the engine said no
├── UsageError        2: the command line or a document is wrong
├── UnreachableError  3: Temporal, a worker or a cluster does not answer
└── TimedOutError     124: `--timeout` passed
"""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    TIMED_OUT = 124
    INTERRUPTED = 130


class StarterError(Exception):
    """A sentence for the person at the terminal, and the exit code that goes with it."""

    code = Exit.REFUSED


class RefusedError(StarterError):
    """The rollout failed, or the engine refused."""


class UsageError(StarterError):
    """The command line names what is not there, or a document is invalid."""

    code = Exit.USAGE


class UnreachableError(StarterError):
    """Temporal, a worker or a cluster does not answer."""

    code = Exit.UNREACHABLE


class TimedOutError(StarterError):
    """The time a person was ready to wait is over."""

    code = Exit.TIMED_OUT
