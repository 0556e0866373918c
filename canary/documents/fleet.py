"""Kurator's Fleet and AttachedCluster: which clusters an Application is delivered to."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from canary.documents.mistake import Mistake, show
from canary.documents.rules import object_name_mistakes
from canary.documents.schema import Document, Metadata, NotDone, Structure, Text
from canary.loadtester import public

_LONGEST_LABEL = 63
"""So long a Service's name may be."""
_NO_CHART = NotDone(
    "has no effect: no chart is installed, the engine does the plugin's work", is_warning=True
)
_NOT_OURS = NotDone("has no effect: this plugin is not a matter of rollouts", is_warning=True)


class FleetMember(Document):
    """One cluster of a fleet, by reference."""

    name: Text
    kind: Literal["Cluster", "AttachedCluster"]
    namespace: str | None = None  # Kurator looks in the fleet's own
    api_version: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    field_path: str | None = None


class FlaggerPlugin(Document):
    """The rollout plugin: the engine stands in for what it would install."""

    traffic_routing_provider: Literal["istio"]
    public_testloader: bool = False
    chart: Annotated[Structure | None, _NO_CHART] = None
    extra_args: Annotated[Structure | None, _NO_CHART] = None
    config: Annotated[Structure | None, _NO_CHART] = None


class FleetPlugins(Document):
    """Kurator's plugins; all but `flagger` are other products' business."""

    flagger: FlaggerPlugin | None = None
    metric: Annotated[Structure | None, _NOT_OURS] = None
    grafana: Annotated[Structure | None, _NOT_OURS] = None
    policy: Annotated[Structure | None, _NOT_OURS] = None
    backup: Annotated[Structure | None, _NOT_OURS] = None
    distributed_storage: Annotated[Structure | None, _NOT_OURS] = None
    submariner: Annotated[Structure | None, _NOT_OURS] = None


class FleetSpec(Document):
    """The clusters of a fleet."""

    clusters: Annotated[list[FleetMember], Field(min_length=1)]
    plugin: FleetPlugins = FleetPlugins()


class Fleet(Document):
    """A set of clusters that is delivered to as one."""

    api_version: Literal["fleet.kurator.dev/v1alpha1"]
    kind: Literal["Fleet"]
    metadata: Metadata
    spec: FleetSpec
    status: Structure | None = None

    @property
    def has_public_test_loader(self) -> bool:
        """Whether a load tester for everybody is wanted in each of its clusters."""
        flagger = self.spec.plugin.flagger
        return flagger is not None and flagger.public_testloader


class KubeconfigRef(Document):
    """The Secret that holds a cluster's kubeconfig, and under which key."""

    name: Text
    key: Text = "value"


class AttachedClusterSpec(Document):
    """How a cluster is reached."""

    kubeconfig: KubeconfigRef


class AttachedCluster(Document):
    """A cluster that exists already."""

    api_version: Literal["cluster.kurator.dev/v1alpha1"]
    kind: Literal["AttachedCluster"]
    metadata: Metadata
    spec: AttachedClusterSpec
    status: Structure | None = None


def fleet_mistakes(fleet: Fleet) -> Iterator[Mistake]:
    """Yield what is wrong with a Fleet in itself."""
    names = [member.name for member in fleet.spec.clusters]
    for index, name in enumerate(names):
        yield from object_name_mistakes(("spec", "clusters", index, "name"), name)
        if name in names[:index]:
            yield Mistake(("spec", "clusters", index, "name"), f"{show(name)} is in this fleet already")
        tester = public(name).name
        if fleet.has_public_test_loader and (len(tester) > _LONGEST_LABEL or "." in tester):
            yield Mistake(
                ("spec", "clusters", index, "name"),
                f"must have at most {_LONGEST_LABEL - len(public('').name)} characters and no dot, is "
                f"{show(name)}: publicTestloader makes a Service {tester}",
            )
