"""From plain data to a model of its kind, or to one line for each mistake."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from canary.documents.alerts import AlertProvider
from canary.documents.flagger import Canary, MetricTemplate
from canary.documents.fleet import AttachedCluster, Fleet
from canary.documents.kurator import Application
from canary.documents.mistake import Mistake, Path, show
from canary.documents.wording import mistakes_of, one_of

AnyDocument = Application | Fleet | AttachedCluster | Canary | MetricTemplate | AlertProvider
"""Every kind of document that is read."""

KINDS: Mapping[str, tuple[str, type[AnyDocument]]] = {
    "Application": ("apps.kurator.dev/v1alpha1", Application),
    "Fleet": ("fleet.kurator.dev/v1alpha1", Fleet),
    "AttachedCluster": ("cluster.kurator.dev/v1alpha1", AttachedCluster),
    "Canary": ("flagger.app/v1beta1", Canary),
    "MetricTemplate": ("flagger.app/v1beta1", MetricTemplate),
    "AlertProvider": ("flagger.app/v1beta1", AlertProvider),
}


@dataclass(frozen=True)
class Key:
    """What a document is referred to by."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{show(self.kind)} {show(self.namespace)}/{show(self.name)}"


def key_of(data: object) -> Key | None:
    """Return what a document calls itself, also where it is wrong otherwise; None if it has no name."""
    match data:
        case {"kind": str(kind), "metadata": {"name": str(name), **rest}}:
            namespace = rest.get("namespace")
            return Key(kind, namespace if isinstance(namespace, str) else "default", name)
        case _:
            return None


@dataclass(frozen=True)
class Reading:
    """What was understood of a document."""

    model: AnyDocument | None
    mistakes: list[Mistake]
    dropped: tuple[Path, ...] = ()
    """Fields that were left out of the model, so that the rest can be looked at."""

    def is_certain(self, mistake: Mistake) -> bool:
        """Whether *mistake*, found in the model, is none that a dropped field may have caused."""
        if not self.dropped:
            return True
        around = mistake.path[:-1]
        return not mistake.is_warning and all(path[: len(around)] != around for path in self.dropped)


def read(data: object) -> Reading:
    """Read one document; without a model where it cannot be understood at all."""
    if not isinstance(data, dict):
        return Reading(None, [Mistake((), f"must be a mapping with apiVersion and kind, is {show(data)}")])
    found = _model_of(data)
    if isinstance(found, Mistake):
        return Reading(None, [found])
    said = _without_nulls(data)
    try:
        return Reading(found.model_validate(said), [])
    except ValidationError as error:
        mistakes = list(mistakes_of(found, error))
    dropped = tuple(mistake.path for mistake in mistakes)
    try:
        return Reading(found.model_validate(_without(said, dropped)), mistakes, dropped)
    except ValidationError:  # what was dropped is required: the mistakes are known already
        return Reading(None, mistakes)


def _without(value: Any, dropped: tuple[Path, ...]) -> Any:
    """Leave the *dropped* fields out; lists with a wrong item go whole, so that places stay as they are."""
    within: dict[int | str, list[Path]] = {}
    for path in dropped:
        within.setdefault(path[0], []).append(path[1:])
    if isinstance(value, list):
        return [_without(item, tuple(within.get(place, ()))) for place, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    return {
        key: _without(item, tuple(within.get(key, ())))
        for key, item in value.items()
        if not any(_is_whole(path) for path in within.get(key, ()))
    }


def _is_whole(path: Path) -> bool:
    return not path or (len(path) == 1 and isinstance(path[0], int))


def _model_of(data: dict[Any, Any]) -> type[AnyDocument] | Mistake:
    kind, version = data.get("kind"), data.get("apiVersion")
    if kind is None:
        return Mistake((), f"kind is required; allowed are {one_of(KINDS)}")
    if not isinstance(kind, str) or kind not in KINDS:
        return Mistake(("kind",), f"must be {one_of(KINDS)}, is {show(kind)}")
    expected, model = KINDS[kind]
    if version != expected:
        return Mistake(
            ("apiVersion",) if version else (), f"must be {expected} for kind {kind}, is {show(version)}"
        )
    return model


def _without_nulls(value: Any) -> Any:
    """Drop keys without a value, as the API server does."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
