"""When Envoy has the addresses of what it hears of for the first time."""

from sandbox.mesh.clusters import Cluster
from sandbox.mesh.introductions import Introductions

HOSTS = [("127.0.0.1", 80)]


def served(introductions: Introductions, *names: str, now: float, delay: float = 1.0) -> list[str]:
    """Tell which clusters have their hosts."""
    given = [Cluster(name, {}, HOSTS, http2=False) for name in names]
    return [one.name for one in introductions.introduce(given, now, delay) if one.hosts]


def test_a_new_cluster_has_its_hosts_a_while_after_it_was_heard_of() -> None:
    introductions = Introductions()

    assert served(introductions, "old", now=0.0) == ["old"]
    assert served(introductions, "old", "new", now=5.0) == ["old"]
    assert introductions.due == 6.0
    assert served(introductions, "old", "new", now=5.9) == ["old"]
    assert served(introductions, "old", "new", now=6.0) == ["old", "new"]
    assert introductions.due is None


def test_one_that_went_is_new_again() -> None:
    introductions = Introductions()
    served(introductions, "old", now=0.0)
    served(introductions, now=5.0)

    assert served(introductions, "old", now=5.5) == []


def test_what_was_heard_of_without_a_delay_is_known() -> None:
    introductions = Introductions()
    served(introductions, now=0.0, delay=0.0)
    served(introductions, "one", now=5.0, delay=0.0)

    assert served(introductions, "one", now=5.1, delay=30.0) == ["one"]


def test_without_a_delay_all_have_their_hosts_at_once() -> None:
    introductions = Introductions()
    served(introductions, now=0.0)
    served(introductions, "one", now=5.0, delay=30.0)

    assert served(introductions, "one", now=5.1, delay=0.0) == ["one"]
    assert introductions.due is None
