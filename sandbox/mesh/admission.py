"""The objects in force: a mistake leaves the last valid version there, as Istio's webhook does."""

import logging
from collections.abc import Callable

from sandbox.mesh.validation import omissions
from sandbox.objects import Object, key_of

logger = logging.getLogger(__name__)


class Admitted:
    """The last valid version of each object of a kind."""

    def __init__(self, mistakes: Callable[[Object], list[str]]) -> None:
        self.objects: dict[str, Object] = {}
        self._mistakes = mistakes

    def take(self, event: str, obj: Object) -> None:
        """Take a change, if it is a valid one."""
        key = key_of(obj)
        if event == "DELETED":
            self.objects.pop(key, None)
            return
        facts = {"kind": obj["kind"], "object": key}
        found = self._mistakes(obj)
        if found:
            logger.error("object refused by the mesh", extra=facts | {"mistakes": found})
            return
        for text in omissions(obj):
            logger.warning("object served in part", extra=facts | {"what": text})
        self.objects[key] = obj
