"""One mistake of a document."""

from canary.stored import Stored


class Problem(Stored):
    """Where a document is wrong, what is wrong, and what is allowed."""

    path: str
    """The field, in dots and brackets from the document's root: `spec.syncPolicies[0].rollout.port`."""
    message: str
    is_warning: bool = False
    is_unreachable: bool = False
    """Not a mistake of the document: a cluster or server did not answer."""
    is_missing: bool = False
    """Something the document names is not there."""
