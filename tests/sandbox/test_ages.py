"""How long ago something was, in kubectl's words."""

import pytest

from sandbox.apiserver.ages import UNKNOWN, age, duration

MINUTE, HOUR, DAY = 60, 3600, 86400
YEAR = 365 * DAY


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-1, "0s"),
        (0.9, "0s"),
        (119, "119s"),
        (2 * MINUTE, "2m"),
        (9 * MINUTE + 59, "9m59s"),
        (10 * MINUTE + 59, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (7 * HOUR + 59 * MINUTE, "7h59m"),
        (8 * HOUR + 59 * MINUTE, "8h"),
        (2 * DAY - 1, "47h"),
        (2 * DAY, "2d"),
        (7 * DAY + 23 * HOUR, "7d23h"),
        (8 * DAY + 23 * HOUR, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR + 334 * DAY, "2y334d"),
        (8 * YEAR - 1, "7y364d"),
        (8 * YEAR + 364 * DAY, "8y"),
    ],
)
def test_an_age_has_two_units_while_it_is_short(seconds: float, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize("stamp", [None, ""])
def test_what_has_no_time_has_no_age(stamp: str | None) -> None:
    assert age(stamp) == UNKNOWN
