"""Flux's specs inside an Application: where the manifests come from and how they are applied."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from canary.application import GitSource
from canary.documents.schema import NOT_YET, Document, Duration, Interval, NotDone, Structure, Text

MASTER = "master"
"""The branch Flux follows where the document names none."""


class SecretRef(Document):
    """A Secret in the Application's namespace."""

    name: Text


class GitRef(Document):
    """Which revision is followed."""

    branch: str | None = None
    tag: str | None = None
    commit: str | None = None
    semver: Annotated[str | None, NOT_YET] = None
    name: Annotated[str | None, NOT_YET] = None


class GitRepository(Document):
    """A git repository, as Flux's `GitRepositorySpec`."""

    url: Text
    interval: Interval
    timeout: Interval = timedelta(seconds=60)
    ref: GitRef = GitRef()
    secret_ref: SecretRef | None = None
    git_implementation: Literal["go-git", "libgit2"] | None = None  # neither is used here; same content
    provider: Annotated[str | None, NOT_YET] = None
    proxy_secret_ref: Annotated[Structure | None, NOT_YET] = None
    verify: Annotated[Structure | None, NOT_YET] = None
    ignore: Annotated[str | None, NOT_YET] = None
    suspend: Annotated[bool, NOT_YET] = False
    recurse_submodules: Annotated[bool, NOT_YET] = False
    include: Annotated[list[Structure], NOT_YET] = Field(default_factory=list)
    sparse_checkout: Annotated[list[str], NOT_YET] = Field(default_factory=list)
    access_from: Annotated[
        Structure | None, NotDone("not supported: nothing is shared between namespaces")
    ] = None

    def source(self) -> GitSource:
        """Return the repository as the engine follows it."""
        is_open = not (self.ref.branch or self.ref.tag or self.ref.commit)
        return GitSource(
            url=self.url,
            branch=MASTER if is_open else self.ref.branch,
            tag=self.ref.tag,
            commit=self.ref.commit,
            interval=self.interval,
            timeout=self.timeout,
            secret_ref=self.secret_ref.name if self.secret_ref else None,
        )


class Kustomization(Document):
    """A folder of the source and how it is applied, as Kurator's copy of Flux's `KustomizationSpec`."""

    interval: Duration
    path: str = "./"
    prune: bool
    timeout: Interval = timedelta(minutes=2)
    target_namespace: Text | None = None
    force: Annotated[bool, NOT_YET] = False
    suspend: Annotated[bool, NOT_YET] = False
    retry_interval: Annotated[Duration | None, NOT_YET] = None
    common_metadata: Annotated[Structure | None, NOT_YET] = None
    depends_on: Annotated[list[Structure], NOT_YET] = Field(default_factory=list)
    patches: Annotated[list[Structure], NOT_YET] = Field(default_factory=list)
    images: Annotated[list[Structure], NOT_YET] = Field(default_factory=list)
    components: Annotated[list[str], NOT_YET] = Field(default_factory=list)
