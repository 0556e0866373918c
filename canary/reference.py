"""What a spec names and its documents did not bring."""

from canary.stored import Stored


class ObjectRef(Stored):
    """An object of the canary's cluster that has yet to be read there."""

    namespace: str
    name: str
    path: str
    """Where the document names it, in dots and brackets."""
