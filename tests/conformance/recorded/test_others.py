"""Other recordings of Flagger, in the folder that RECORDINGS names: the same but for what is excused."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.conformance.chorus import Chorus, together
from tests.conformance.recorded.comparing import differences
from tests.conformance.recorded.play import play
from tests.conformance.recorded.recording import Recording
from tests.conformance.recorded.wording import ANYWHERE
from tests.conformance.world import World

FOLDER = Path(os.environ["RECORDINGS"]) if "RECORDINGS" in os.environ else None


def told(path: Path) -> Callable[[Chorus], Awaitable[None]]:
    """Make a test of a recording."""

    async def story(world: World) -> None:
        recording = Recording.read(path.stem, path.parent)
        found = differences(recording.story, await play(recording, world), ANYWHERE, are_needed=False)

        assert not found, "\n".join(found)

    story.__name__ = f"test_{path.stem.replace('-', '_')}"
    story.__doc__ = f"Recorded from Flagger in {path}."
    return pytest.mark.conformance(together(story))


globals().update(
    (test.__name__, test) for test in map(told, sorted(FOLDER.glob("*.jsonl")) if FOLDER else ())
)
