"""From Kurator's Application to the engine's specs, and what is wrong with one."""

import re
from collections.abc import Iterator
from dataclasses import replace

from canary.application import ApplicationSpec, ClusterRef, SyncPolicy
from canary.documents import kurator
from canary.documents.catalogue import Catalogue, Reference
from canary.documents.fleet import Fleet
from canary.documents.mistake import Mistake, Path, show, under, warning
from canary.documents.reading import Key
from canary.documents.rollout_rules import rollout_mistakes
from canary.documents.rollouts import missing_of_rollout, rollout_spec
from canary.documents.rules import address_mistakes, namespace_mistakes, object_name_mistakes
from canary.spec import CanarySpec

HOST = ClusterRef(name="host")
"""The cluster Kurator itself runs in: where an Application without a fleet goes."""

_COMMIT = re.compile(r"[0-9a-fA-F]{40}")
_POLICIES: Path = ("spec", "syncPolicies")


def application_spec(application: kurator.Application, given: Catalogue) -> ApplicationSpec:
    """Return the spec of an Application that has no mistakes."""
    repository = application.spec.source.git_repository
    assert repository is not None  # noqa: S101 — an Application without one has a mistake
    return ApplicationSpec(
        namespace=application.metadata.namespace,
        name=application.metadata.name,
        source=repository.source(),
        policies=tuple(
            _policy(application, index, given) for index in range(len(application.spec.sync_policies))
        ),
    )


def _policy(application: kurator.Application, index: int, given: Catalogue) -> SyncPolicy:
    policy = application.spec.sync_policies[index]
    kustomization = policy.kustomization
    assert kustomization is not None  # noqa: S101 — a policy without one has a mistake
    clusters = _clusters(application, policy, given)
    return SyncPolicy(
        name=policy.name or f"{application.metadata.name}-{index}",
        path=kustomization.path,
        clusters=clusters,
        target_namespace=kustomization.target_namespace,
        interval=kustomization.interval,
        timeout=kustomization.timeout,
        prune=kustomization.prune,
        canaries=tuple(_canaries(application, policy, clusters, given)),
        public_test_loader=_has_public_test_loader(application, policy, given),
    )


def _canaries(
    application: kurator.Application,
    policy: kurator.SyncPolicy,
    clusters: tuple[ClusterRef, ...],
    given: Catalogue,
) -> Iterator[CanarySpec]:
    if policy.rollout is None:
        return
    metadata = application.metadata
    for cluster in clusters:
        spec = rollout_spec(policy.rollout, cluster.name, given)
        yield spec.model_copy(update={"application": f"{metadata.namespace}/{metadata.name}"})


def _clusters(
    application: kurator.Application, policy: kurator.SyncPolicy, given: Catalogue
) -> tuple[ClusterRef, ...]:
    if _destination(application, policy) is None:
        return (HOST,)
    namespace, fleet = application.metadata.namespace, _fleet(application, policy, given)
    members = fleet.spec.clusters if fleet else []
    return tuple(given.cluster(namespace, member.name, member.kind) for member in members)


def _destination(application: kurator.Application, policy: kurator.SyncPolicy) -> kurator.Destination | None:
    return policy.destination or application.spec.destination


def _fleet(application: kurator.Application, policy: kurator.SyncPolicy, given: Catalogue) -> Fleet | None:
    """The fleet that a policy goes to; None if it names none, or one that was not given."""
    destination = _destination(application, policy)
    return given.fleet(application.metadata.namespace, destination.fleet) if destination else None


def _has_public_test_loader(
    application: kurator.Application, policy: kurator.SyncPolicy, given: Catalogue
) -> bool:
    fleet = _fleet(application, policy, given)
    return fleet is not None and fleet.has_public_test_loader


def missing_of_application(application: kurator.Application, given: Catalogue) -> Iterator[Reference]:
    """Yield the fleet and the metric templates that are referred to and were not given."""
    path, destination = next(_destinations(application))  # any other fleet is a mistake of its own
    if destination is not None:
        key = Key("Fleet", application.metadata.namespace, destination.fleet)
        if not given.is_given(key):
            yield Reference(key, (*path, "fleet"))
    for index, policy in enumerate(application.spec.sync_policies):
        if policy.rollout is not None:
            for reference in missing_of_rollout(policy.rollout, given):
                yield replace(reference, path=(*_POLICIES, index, "rollout", *reference.path))


def application_mistakes(application: kurator.Application, given: Catalogue) -> Iterator[Mistake]:
    """Yield what is wrong with an Application and with what it refers to."""
    yield from under(("spec", "source"), _source_mistakes(application.spec.source))
    yield from _fleet_mistakes(application, given)
    for index, policy in enumerate(application.spec.sync_policies):
        yield from under((*_POLICIES, index), _policy_mistakes(policy))
        if policy.rollout is not None:
            yield from under((*_POLICIES, index, "rollout"), rollout_mistakes(policy.rollout))
            yield from under((*_POLICIES, index, "rollout"), _tester_warnings(application, policy, given))
    yield from _policy_name_mistakes(application)


def _source_mistakes(source: kurator.Source) -> Iterator[Mistake]:
    if source.git_repository is None:
        if not source.helm_repository and not source.oci_repository:
            yield Mistake((), "gitRepository is required")
        return
    yield from address_mistakes(("gitRepository", "url"), source.git_repository.url)
    commit = source.git_repository.ref.commit
    if commit and not _COMMIT.fullmatch(commit):
        text = f"must be a commit's whole SHA-1, 40 hexadecimal digits, is {show(commit)}"
        yield Mistake(("gitRepository", "ref", "commit"), text)
    if source.git_repository.secret_ref is not None:
        name = source.git_repository.secret_ref.name
        yield from object_name_mistakes(("gitRepository", "secretRef", "name"), name)


def _policy_mistakes(policy: kurator.SyncPolicy) -> Iterator[Mistake]:
    if policy.name is not None:
        yield from object_name_mistakes(("name",), policy.name)
    if policy.kustomization is None:
        if not policy.helm:
            yield Mistake((), "kustomization is required")
        return
    if policy.kustomization.target_namespace is not None:
        yield from namespace_mistakes(
            ("kustomization", "targetNamespace"), policy.kustomization.target_namespace
        )


def _tester_warnings(
    application: kurator.Application, policy: kurator.SyncPolicy, given: Catalogue
) -> Iterator[Mistake]:
    """Warn of commands for a public load tester that no fleet asks for; somebody may have deployed it."""
    rollout = policy.rollout
    if rollout is None or rollout.test_loader or not rollout.rollout_policy.traffic_analysis.webhooks.command:
        return
    destination, fleet = _destination(application, policy), _fleet(application, policy, given)
    if destination is not None and (fleet is None or fleet.has_public_test_loader):
        return
    text = "go to the public load tester, which only a Fleet can ask for: say testLoader: true"
    if fleet is not None:
        text = (
            f"go to the public load tester, which Fleet {fleet.metadata.name} does not ask for: "
            "say testLoader: true, or publicTestloader: true there"
        )
    yield warning(("rolloutPolicy", "trafficAnalysis", "webhooks", "command"), text)


def _policy_name_mistakes(application: kurator.Application) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for index, policy in enumerate(application.spec.sync_policies):
        name = policy.name or f"{application.metadata.name}-{index}"
        if name in seen:
            yield Mistake(
                (*_POLICIES, index, "name"), f"{show(name)} is the name of syncPolicies[{seen[name]}] too"
            )
        seen.setdefault(name, index)


def _destinations(application: kurator.Application) -> Iterator[tuple[Path, kurator.Destination | None]]:
    """Yield where each policy goes, and where the document says so."""
    for index, policy in enumerate(application.spec.sync_policies):
        if policy.destination is not None:
            yield (*_POLICIES, index, "destination"), policy.destination
        elif application.spec.destination is not None:
            yield ("spec", "destination"), application.spec.destination
        else:
            yield (*_POLICIES, index), None


def _fleet_mistakes(application: kurator.Application, given: Catalogue) -> Iterator[Mistake]:
    """Yield what keeps the Application from one fleet that is known."""
    (first_path, first), *others = _destinations(application)
    for path, destination in others:
        if (destination is None) != (first is None):
            yield Mistake(path, "a fleet must be named for every policy or for none")
        elif destination is not None and first is not None and destination.fleet != first.fleet:
            yield Mistake(
                (*path, "fleet"),
                f"{show(destination.fleet)} is not {show(first.fleet)}, the fleet of syncPolicies[0]: "
                "an Application goes to one fleet",
            )
    if first is not None:
        namespace = application.metadata.namespace
        yield from _member_mistakes(namespace, (*first_path, "fleet"), first.fleet, given)


def _member_mistakes(namespace: str, path: Path, name: str, given: Catalogue) -> Iterator[Mistake]:
    fleet = given.fleet(namespace, name)
    for member in fleet.spec.clusters if fleet else []:
        key = Key(member.kind, namespace, member.name)
        if member.kind == "AttachedCluster" and not given.is_given(key):
            yield warning(
                path,
                f"{key} of this fleet not found: pass it with -f, "
                "unless the workers know the cluster by its name",
            )
