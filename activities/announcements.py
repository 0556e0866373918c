"""What workflows announce of a cluster that only its own workers reach, handed to those."""

from typing import Protocol

from temporalio import activity

from canary.notice import Announcement


class Listener(Protocol):
    """Tells announcements on, when it gets to it."""

    def take(self, announcement: Announcement) -> None:
        """Have it told, after those before it."""
        ...


class AnnouncementActivities:
    """Takes over announcements of workflows that run in other workers."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    @activity.defn
    async def hand_on(self, announcement: Announcement) -> None:
        """Have an announcement told; nothing waits for it, as nothing does for one that is made here."""
        self._listener.take(announcement)
