"""The documents given together, found by what they are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from canary.application import ClusterRef, SecretKey
from canary.documents.alerts import AlertProvider
from canary.documents.flagger import MetricTemplate
from canary.documents.fleet import AttachedCluster, Fleet
from canary.documents.mistake import Mistake, Path, of_document, path_text, warning
from canary.documents.reading import AnyDocument, Key, Reading, key_of, read
from canary.reference import ObjectRef

_IN_CLUSTERS = frozenset({"MetricTemplate", "AlertProvider"})
"""What is in the canary's own cluster, where a worker may read it."""


@dataclass(frozen=True)
class Reference:
    """Something a document refers to that was not given."""

    key: Key
    path: Path
    document: int = 0

    @property
    def mistake(self) -> Mistake:
        """What to say about it."""
        if self.key.kind in _IN_CLUSTERS:
            text = f"{self.key} was not given: it is read from the cluster, or pass it with -f"
            return warning(self.path, text)
        return Mistake(self.path, f"{self.key} not found; pass it with -f")


@dataclass(frozen=True)
class Entry:
    """One document that could be read, and its place among those that were given."""

    index: int
    reading: Reading
    model: AnyDocument


@dataclass(frozen=True)
class Catalogue:
    """Every document that could be read, by its key; those that could not are known by name only."""

    entries: Mapping[Key, Entry]
    mentioned: frozenset[Key]
    mistakes: tuple[Mistake, ...]

    def is_given(self, key: Key) -> bool:
        """Whether there is such a document, even one that could not be read."""
        return key in self.mentioned

    def missing(self, key: Key, path: Path) -> Reference | None:
        """Return the reference at *path*, if what it names was not given."""
        return None if self.is_given(key) else Reference(key, path)

    def fleet(self, namespace: str, name: str) -> Fleet | None:
        """Return a fleet."""
        entry = self.entries.get(Key("Fleet", namespace, name))
        return entry.model if entry and isinstance(entry.model, Fleet) else None

    def metric_template(self, namespace: str, name: str) -> MetricTemplate | None:
        """Return a metric template."""
        entry = self.entries.get(Key("MetricTemplate", namespace, name))
        return entry.model if entry and isinstance(entry.model, MetricTemplate) else None

    def alert_provider(self, namespace: str, name: str) -> AlertProvider | None:
        """Return an alert provider."""
        entry = self.entries.get(Key("AlertProvider", namespace, name))
        return entry.model if entry and isinstance(entry.model, AlertProvider) else None

    def cluster(self, namespace: str, name: str, kind: str = "AttachedCluster") -> ClusterRef:
        """Return how to reach a cluster: by its kubeconfig Secret where that is known, else by its name."""
        if kind == "Cluster":  # made by Cluster API, which names the Secret after the cluster
            return ClusterRef(
                name=name, kubeconfig=SecretKey(namespace=namespace, name=f"{name}-kubeconfig", key="value")
            )
        entry = self.entries.get(Key("AttachedCluster", namespace, name))
        if entry is None or not isinstance(entry.model, AttachedCluster):
            return ClusterRef(name=name)
        given = entry.model.spec.kubeconfig
        return ClusterRef(
            name=name, kubeconfig=SecretKey(namespace=namespace, name=given.name, key=given.key)
        )

    def cluster_named(self, name: str) -> ClusterRef:
        """Return how to reach a cluster that is only known by its name."""
        keys = (key for key in self.entries if key.kind == "AttachedCluster" and key.name == name)
        return self.cluster(next((key.namespace for key in keys), "default"), name)


def object_ref(reference: Reference | None) -> ObjectRef | None:
    """Return a reference as the engine keeps it, until it is read from the cluster."""
    if reference is None:
        return None
    key = reference.key
    return ObjectRef(namespace=key.namespace, name=key.name, path=path_text(reference.path))


def catalogue(documents: Sequence[object]) -> Catalogue:
    """Read *documents*, each a mapping as YAML or JSON gives it."""
    entries: dict[Key, Entry] = {}
    mentioned: set[Key] = set()
    mistakes: list[Mistake] = []
    for index, data in enumerate(documents):
        reading, key = read(data), key_of(data)
        mistakes += of_document(index, reading.mistakes)
        if key is not None and key in mentioned:
            mistakes.append(Mistake(("metadata", "name"), f"{key} is given twice", document=index))
        elif key is not None:
            mentioned.add(key)
            if reading.model is not None:
                entries[key] = Entry(index, reading, reading.model)
    return Catalogue(entries, frozenset(mentioned), tuple(mistakes))
