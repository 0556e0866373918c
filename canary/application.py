"""What an Application delivers: a source, and where each of its folders goes."""

from collections.abc import Mapping
from datetime import timedelta

from canary.spec import CanarySpec
from canary.stored import Stored


class GitSource(Stored):
    """A git repository and the revision to follow: a commit, else a tag, else a branch."""

    url: str
    branch: str | None = None
    tag: str | None = None
    commit: str | None = None
    interval: timedelta = timedelta(minutes=1)
    timeout: timedelta = timedelta(seconds=60)
    secret_ref: str | None = None

    def has_revisions_of(self, other: "GitSource") -> bool:
        """Whether both follow the same commits."""
        return (self.url, self.branch, self.tag, self.commit) == (
            other.url,
            other.branch,
            other.tag,
            other.commit,
        )


class SecretKey(Stored):
    """One key of a Secret in the host cluster."""

    namespace: str
    name: str
    key: str


class ClusterRef(Stored):
    """A member cluster: by its name in the worker's clusters file, else by a kubeconfig Secret."""

    name: str
    kubeconfig: SecretKey | None = None
    task_queue: str = ""
    """Whose workers reach it, as it was found when the document was applied; empty: the shared ones."""


class SyncPolicy(Stored):
    """One folder of the source and the clusters it is applied to."""

    name: str
    path: str
    clusters: tuple[ClusterRef, ...]
    target_namespace: str | None = None
    interval: timedelta = timedelta(0)
    """How often it is applied without a new revision; zero means: on a new revision only."""
    timeout: timedelta = timedelta(minutes=2)
    prune: bool = False
    canaries: tuple[CanarySpec, ...] = ()
    """The rollout of this policy, one spec for each of its clusters."""
    public_test_loader: bool = False
    """Whether its fleet wants a load tester in each cluster that all Applications there share."""


class ApplicationSpec(Stored):
    """One Application, its fleet resolved to clusters."""

    schema_version: int = 1
    namespace: str
    name: str
    source: GitSource
    policies: tuple[SyncPolicy, ...]

    @property
    def clusters(self) -> tuple[ClusterRef, ...]:
        """Every cluster that a policy names, once, in their order."""
        seen: dict[str, ClusterRef] = {}
        for policy in self.policies:
            for cluster in policy.clusters:
                seen.setdefault(cluster.name, cluster)
        return tuple(seen.values())

    @property
    def left_behind(self) -> str:
        """What stays when it is deleted, as the end of a sentence; empty if nothing does."""
        if not any(policy.public_test_loader for policy in self.policies):
            return ""
        return "; its clusters keep their public load testers, which others may use"

    def served_by(self, task_queues: Mapping[str, str]) -> "ApplicationSpec":
        """The same, each cluster reached by the workers of its task queue, if it has one."""
        return self.model_copy(
            update={"policies": tuple(_served_by(policy, task_queues) for policy in self.policies)}
        )


def _served_by(policy: SyncPolicy, task_queues: Mapping[str, str]) -> SyncPolicy:
    return policy.model_copy(
        update={
            "clusters": tuple(
                cluster.model_copy(update={"task_queue": task_queues.get(cluster.name, "")})
                for cluster in policy.clusters
            ),
            "canaries": tuple(
                canary.model_copy(update={"task_queue": task_queues.get(canary.cluster, "")})
                for canary in policy.canaries
            ),
        }
    )
