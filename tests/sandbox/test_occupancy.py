"""What one sandbox keeps from another."""

import os
import socket
from pathlib import Path

import pytest

from sandbox.occupancy import AlreadyRunningError, free_ports, holder, is_running, locked


def test_a_directory_says_whose_it_is_from_the_first_moment_on(tmp_path: Path) -> None:
    before = holder(tmp_path)
    with locked(tmp_path):
        inside = holder(tmp_path)
        with pytest.raises(AlreadyRunningError), locked(tmp_path):
            pass
        is_left_alone = holder(tmp_path) == inside

    assert (before, inside, holder(tmp_path)) == (None, os.getpid(), None)
    assert is_left_alone
    assert not is_running(tmp_path / "nowhere")


def test_a_chosen_port_is_for_whoever_asks_for_it_by_number() -> None:
    asked, chosen = free_ports(7233, 0)

    assert asked == 7233
    with socket.socket() as stranger, pytest.raises(OSError, match="Address already in use"):
        stranger.bind(("127.0.0.1", chosen))
    with socket.create_server(("127.0.0.1", chosen)):
        pass  # reuses addresses, as servers do


def test_chosen_ports_are_different() -> None:
    ports = free_ports(*[0] * 50)

    assert len(set(ports)) == 50
