"""What a venue tells systemd. Source: sd_notify(3)."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from venues import VenueProcess, config_file

from ome.cli.systemd import notify


@pytest.mark.parametrize("is_abstract", [False, True])
def test_a_venue_says_when_it_is_ready_and_when_it_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_abstract: bool) -> None:
    """READY=1 when it takes orders, STOPPING=1 when it was told to stop; by a socket with a path or an abstract name."""
    name = f"ome-test-{tmp_path}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if is_abstract else name)
        manager.settimeout(20.0)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if is_abstract else name)
        with VenueProcess(config_file(tmp_path)) as venue:
            venue.start()
            assert manager.recv(100) == b"READY=1"
            venue.stop()
            assert manager.recv(100) == b"STOPPING=1"


def test_without_a_manager_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither without the variable nor where nobody listens."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")
