"""When something was found out, by the clock that workflows go by: Temporal's. A worker's own may go wrong.

Like the heartbeat, any adapter may import it.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import activity


def temporals_clock() -> Callable[[], datetime]:
    """Start a clock at the beginning of an activity; each call of it tells what moment it is."""
    started, begun = activity.info().started_time, time.monotonic()
    return lambda: started + timedelta(seconds=time.monotonic() - begun)
