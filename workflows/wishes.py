"""Reading what a person sends: a signal may carry nothing, a string or an object, and never fails."""

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from canary.status import Person
from workflows.contract import Command


def as_command(argument: Any) -> Command:
    """Make a command of whatever a signal brought; what cannot be read is a command without a reason."""
    if isinstance(argument, Command):
        return argument
    if isinstance(argument, str):
        return Command(reason=argument)
    if isinstance(argument, dict):
        try:
            return Command.model_validate(argument)
        except ValidationError:
            return Command()
    return Command()


def as_person(command: Command, now: datetime) -> Person:
    """Who commanded it, why, and when."""
    return Person(who=command.who, reason=command.reason, at=command.at or now)
