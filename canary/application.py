"""What an Application delivers: a source, and where each of its folders goes."""

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


class SecretKey(Stored):
    """One key of a Secret in the host cluster."""

    namespace: str
    name: str
    key: str


class ClusterRef(Stored):
    """A member cluster: by its name in the worker's clusters file, else by a kubeconfig Secret."""

    name: str
    kubeconfig: SecretKey | None = None


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
        seen = {
            cluster.name: cluster
            for policy in reversed(self.policies)
            for cluster in reversed(policy.clusters)
        }
        return tuple(reversed(seen.values()))
