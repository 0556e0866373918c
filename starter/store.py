"""The folder of reports that the workers write: rollouts that Temporal need not hold any more."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from canary.status import ListRow
from starter.evidence import Commanded, Evidence, Kept
from starter.names import Reference
from workflows.contract import Command, RolloutView


@dataclass(frozen=True)
class Stored:
    """One stored report."""

    path: Path
    view: RolloutView

    @property
    def run(self) -> str:
        """The id of the execution that wrote it, or its beginning."""
        return _run(self.path)

    @property
    def row(self) -> ListRow:
        """The rollout as lists show it."""
        spec, status = self.view.spec, self.view.status
        return ListRow(
            application=spec.application,
            cluster=spec.cluster,
            namespace=spec.namespace,
            name=spec.name,
            phase=status.phase,
            weight=status.canary_weight,
            traffic_weight=status.traffic_weight,
            iterations=status.iterations,
            failed_checks=status.failed_checks,
            revision=status.revision.template,
            message=status.message,
            last_transition_time=status.last_transition_time,
        )

    @property
    def started(self) -> datetime:
        """When the rollout began."""
        return self.view.status.started_at

    @property
    def closed(self) -> datetime | None:
        """When it came to its end."""
        return self.view.status.last_transition_time

    @property
    def outcome(self) -> str:
        """How it ended."""
        return self.view.status.outcome or ""

    def evidence(self) -> list[Evidence]:
        """Give every check it holds, and every command, in order."""
        checks: list[Evidence] = [Kept(self.view.spec, record) for record in self.view.checks]
        return sorted([*checks, *self._commands()], key=lambda item: item.at)

    def _commands(self) -> Iterator[Commanded]:
        for given in self.view.commands:
            person = given.by
            command = Command(who=person.who, reason=person.reason, at=person.at)
            yield Commanded(person.at or self.started, given.verb, command)


@dataclass(frozen=True)
class Found:
    """What a folder holds of a canary, and what in it could not be read."""

    reports: tuple[Stored, ...] = ()
    unreadable: tuple[str, ...] = ()


class ReportStore:
    """Reads `<cluster>/<namespace>/<kind>/<target>/<time>-<run>.json` below a folder, if it is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, reference: Reference, known: Collection[str]) -> Found:
        """Read the reports of a name, but for the runs that are known already."""
        found = Found()
        for path in self._candidates(reference):
            if not any(run.startswith(_run(path)) for run in known):
                found = _add(found, path, reference)
        return found

    def _candidates(self, reference: Reference) -> Iterator[Path]:
        """Give what may be meant; a canary can have another name than its target, which only it tells."""
        for path in sorted(self.folder.glob("*/*/*/*/*.json")):
            cluster, namespace, kind = path.relative_to(self.folder).parts[:3]
            if namespace == reference.namespace and reference.cluster in (None, cluster):
                wanted, _, _ = reference.name.rpartition("/")
                if wanted.lower() in ("", kind.lower()):
                    yield path


def _add(found: Found, path: Path, reference: Reference) -> Found:
    name = reference.name.rpartition("/")[2]
    try:
        view = RolloutView.model_validate_json(path.read_bytes())
    except OSError as error:
        return replace(found, unreadable=(*found.unreadable, f"{path}: {error.strerror}"))
    except ValidationError as error:
        text = f"{path}: not a report of a rollout ({error.errors()[0]['msg']}); move it away"
        return replace(found, unreadable=(*found.unreadable, text))
    if name not in (view.spec.name, view.spec.target.name):
        return found
    return replace(found, reports=(*found.reports, Stored(path, view)))


def _run(path: Path) -> str:
    return path.stem.partition("-")[2] or path.stem
