"""Descriptors: the soft limit is raised as far as it is needed and may, and connections leave what the venue's own files need."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from venues import VenueProcess, config_file, venue_config

from ome.client import OrderEntry
from ome.descriptors import connections_that_fit
from ome.enums import Policy
from ome.server import Server

INFINITY = resource.RLIM_INFINITY
USED = 20


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "set_to", "fits"),
    [
        (100, 5_000, 1_000, USED + 64 + 2_000, 1_000),  # raised as far as it needs
        (100, INFINITY, 1_000, USED + 64 + 2_000, 1_000),
        (100, 1_000, 1_000, 1_000, (1_000 - USED - 64) // 2),  # raised as far as it may: the reserve comes first
        (5_000, 5_000, 1_000, None, 1_000),  # enough as it is
        (INFINITY, INFINITY, 1_000, None, 1_000),
        (USED + 40, USED + 40, 1_000, USED + 40, 10),  # a small one is shared by halves
        (USED + 16, USED + 16, 1_000, USED + 16, 0),  # no room for any
    ],
)
def test_connections_leave_a_reserve_below_the_limit(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: int, set_to: int | None, fits: int
) -> None:
    """With `USED` descriptors open."""
    limits = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: limits.append(given))
    monkeypatch.setattr(os, "listdir", lambda _: [str(number) for number in range(USED)])
    assert connections_that_fit(wanted, 2) == fits
    assert limits[1:] == ([] if set_to is None else [(set_to, hard)])


def test_a_start_raises_the_soft_limit_of_its_process(tmp_path: Path) -> None:
    """Of 64: a hundred connections are held at once nevertheless."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))  # what a child inherits
    try:
        venue = VenueProcess(config_file(tmp_path))
        summary = venue.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with venue:
        host, port = venue.orders_endpoint.removeprefix("tcp://").rsplit(":", 1)
        held = [socket.create_connection((host, int(port))) for _ in range(100)]
        assert all(connection.recv(1) == b"\xff" for connection in held), "each is greeted"
        assert summary["connections"] >= 100
        for connection in held:
            connection.close()


def test_connections_of_the_server_find_a_dead_machine_by_tcp() -> None:
    """Keepalive after 5 s, every 3 s, three times: on the accepted descriptor itself."""
    with Server(venue_config(None, policy=Policy.MEMORY)) as server:
        for endpoint in (server.orders_endpoint, server.feed_endpoint):
            host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
            with socket.create_connection((host, int(port))) as client:
                assert client.recv(1) == b"\xff"
                with _accepted(client) as accepted:
                    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_NODELAY)
                    assert [accepted.getsockopt(socket.IPPROTO_TCP, name) for name in names] == [5, 3, 3, 1]


def _accepted(client: socket.socket) -> socket.socket:
    """A copy of this process's other end of a connection."""
    for name in os.listdir("/proc/self/fd"):
        try:
            copy = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        try:
            if copy.getpeername() == client.getsockname():
                return copy
        except OSError:
            pass
        copy.close()
    raise AssertionError("no descriptor of this process is the other end")


@pytest.mark.parametrize(("closed", "numbers"), [("<&- >&- 2>&-", (0, 1, 2)), (">&-", (1,))])
def test_a_closed_standard_stream_is_the_null_device_and_no_file_of_the_venue(
    tmp_path: Path, closed: str, numbers: tuple[int, ...]
) -> None:
    """As some supervisors start a daemon: whatever is printed goes nowhere, and the venue runs and stops as always."""
    addresses = [f"--{name}=ipc://{tmp_path}/{name}" for name in ("orders", "feed", "requests")]
    commands, directory = Path(sys.executable).parent, str(tmp_path / "data")
    shell = ("/bin/sh", "-c", f'exec "$0" "$@" {closed}')
    venue = subprocess.Popen([*shell, str(commands / "ome"), "run", "--directory", directory, *addresses])
    try:
        OrderEntry(f"ipc://{tmp_path}/orders", "FIRM1", timeout=30.0).close()
        assert {os.readlink(f"/proc/{venue.pid}/fd/{number}") for number in numbers} == {os.devnull}
        venue.terminate()
        assert venue.wait(30) == 0
    finally:
        venue.kill()
        venue.wait()
    assert subprocess.run([*shell, str(commands / "ome-admin"), "dump", directory], check=False).returncode == 0
