"""What `canary doctor` asks the workers to look at, and what they saw."""

from pydantic import Field

from canary.stored import Stored


class Examination(Stored):
    """The clusters to look at beside those of the worker's clusters file."""

    clusters: tuple[str, ...] = ()
    has_file: bool = True
    """Whether those of the file are to be looked at too."""


class Finding(Stored):
    """One thing that was looked at in a cluster."""

    cluster: str
    what: str
    seen: str
    remedy: str = ""
    """What mends it; empty where nothing is amiss."""
    is_warning: bool = False
    """It may be meant to be so."""


class Findings(Stored):
    """All that was looked at, cluster by cluster."""

    findings: tuple[Finding, ...] = ()
    task_queues: dict[str, str] = Field(default_factory=dict)
    """Of each cluster that only others reach: whose workers do."""
