"""What `canary doctor` asks the workers to look at, and what they saw."""

from canary.stored import Stored


class Examination(Stored):
    """The clusters to look at beside those of the worker's clusters file."""

    clusters: tuple[str, ...] = ()


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
