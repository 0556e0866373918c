"""What was found out while nobody was there to act on it."""

from datetime import timedelta

import pytest

from canary.observation import OUTDATED, is_outdated
from tests.canary.rollouts import NOW


@pytest.mark.parametrize(
    ("age", "outdated"),
    [
        pytest.param(timedelta(0), False, id="just now"),
        pytest.param(OUTDATED, False, id="at the limit"),
        pytest.param(OUTDATED + timedelta(milliseconds=1), True, id="beyond it"),
        pytest.param(timedelta(seconds=-5), False, id="by a clock that is ahead"),
    ],
)
def test_too_old_to_be_acted_on(age: timedelta, *, outdated: bool) -> None:
    assert is_outdated(NOW - age, NOW) is outdated


def test_what_does_not_tell_when_is_taken_as_it_is() -> None:
    assert not is_outdated(None, NOW)
