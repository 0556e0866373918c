"""What one sandbox keeps from another."""

import socket

import pytest

from sandbox.occupancy import free_ports


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
