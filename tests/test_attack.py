"""A venue under attack (tests/sieges.py says what must hold after each), and what the judge itself would see. `tools/attack` does more."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sieges
from hostile import ATTACKS, Target
from sieges import Row, Siege
from venues import Wire, venue_config
from zmtp import Cut, Peer, frame, ping

from ome.codec.wire import decode_message, encode_message
from ome.enums import Policy, Reason
from ome.server import Server

SECONDS = 0.8
QUICK = ("endless-tiny", "identities", "garbage")


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    """One venue for all attacks, as long as it stands them."""
    with Siege(tmp_path_factory.mktemp("siege"), seed=1, seconds=SECONDS) as started:
        yield started


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ATTACKS])
def test_the_venue_stands_an_attack(siege: Siege, name: str) -> None:
    """It is alive, took at most 64 MB, served the honest clients, and has its descriptors back. Source: docs/THREATS.md."""
    row = siege.run(ATTACKS[name])
    assert row.failures == [], row.as_line()
    assert row.orders > 100
    assert sum(row.counts.values()) > 0, "the attackers did nothing"


@pytest.mark.slow
def test_the_judge_fails_a_venue_that_dies(tmp_path: Path) -> None:
    """Killed during an attack: the row says so, and the next attack gets a new venue."""
    with Siege(tmp_path, seed=1, seconds=SECONDS) as siege:
        siege.run(ATTACKS["garbage"])
        pid = siege.venue.pid
        killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
        killer.start()
        row = siege.run(ATTACKS["garbage"])
        killer.join()
        (failure,) = row.failures
        assert failure.startswith("the venue ended with -9: ")  # then the end of its log
        assert siege.run(ATTACKS["no-logons"]).failures == []
        assert siege.venue.pid != pid


@pytest.mark.slow
def test_the_judge_fails_a_venue_that_takes_memory_or_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing allowed, an ordinary attack is too much."""
    monkeypatch.setattr(sieges, "GROWTH_MAX_MB", -1.0)
    monkeypatch.setattr(sieges, "DESCRIPTOR_SLACK", -1)
    monkeypatch.setattr(sieges, "DESCRIPTORS_BACK_S", 0.2)
    with Siege(tmp_path, seed=1, seconds=SECONDS) as siege:
        failures = siege.run(ATTACKS["no-logons"]).failures
    assert any(failure.startswith("grew by") for failure in failures)
    assert any("descriptors" in failure for failure in failures)


@pytest.mark.slow
def test_the_judge_fails_a_venue_that_takes_a_session_from_an_honest_client(tmp_path: Path) -> None:
    """Somebody logs on as the honest trader during the attack: its reports no longer come."""
    with Siege(tmp_path, seed=1, seconds=SECONDS) as siege:
        siege.run(ATTACKS["no-logons"])

        def take_over() -> None:
            with Wire(siege.venue.orders_endpoint) as wire:
                wire.log_on("HONEST")

        thief = threading.Timer(0.3, take_over)
        thief.start()
        row = siege.run(ATTACKS["no-logons"])
        thief.join()
    assert any("honest trader" in failure for failure in row.failures)


@pytest.mark.slow
def test_the_judge_fails_a_venue_that_is_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped for half of an attack and continued: nothing is lost, but the honest trader waited."""
    with Siege(tmp_path, seed=1, seconds=2.0, rounds=1) as siege:
        siege.run(ATTACKS["no-logons"])
        attack = ATTACKS["no-logons"]

        pid = siege.venue.pid
        original = siege._attack_once

        def stopped(*given: Any) -> None:
            timers = [threading.Timer(0.5, os.kill, (pid, signal.SIGSTOP)), threading.Timer(1.5, os.kill, (pid, signal.SIGCONT))]
            for timer in timers:
                timer.start()
            original(*given)
            for timer in timers:
                timer.join()

        monkeypatch.setattr(siege, "_attack_once", stopped)
        failures = siege.run(attack).failures
    assert any("times the yardstick" in failure or "no honest order" in failure for failure in failures), failures


def test_the_judge_fails_a_phase_in_which_nothing_was_measured(tmp_path: Path) -> None:
    """An attack under which no honest order is answered must not count as a fast one; a ratio above the bound fails."""
    for attacked, word in ((0.0, "no honest order"), (4.1, "4.1 times the yardstick")):
        row = Row(name="an attack")
        Siege(tmp_path, seed=1, seconds=1.0, rounds=1)._judge_times({"alone": [1.0], "attack": [attacked], "neighbour": [1.0]}, row)
        assert [word in failure for failure in row.failures] == [True]
    row = Row(name="an attack")
    Siege(tmp_path, seed=1, seconds=1.0, rounds=1)._judge_times({"alone": [1.0], "attack": [2.9], "neighbour": [1.0]}, row)
    assert row.failures == []


def test_an_attacker_that_breaks_is_no_attack_withstood() -> None:
    """An exception in one of its threads is a violation."""
    target = Target("tcp://127.0.0.1:1", "tcp://127.0.0.1:1", "tcp://127.0.0.1:1", time.monotonic() + 5.0, random.Random(1))

    def broken() -> None:
        raise KeyError("a mistake")

    target.together(broken, broken)
    assert target.violations == ["the attacker: KeyError('a mistake')"] * 2


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A venue in this process."""
    with Server(venue_config(None, policy=Policy.MEMORY)) as running:
        yield running


def test_the_raw_peer_speaks_zmtp_as_libraries_do(server: Server) -> None:
    """Its handshake, frames and commands are understood: a logon is answered, a PING by a PONG with its context."""
    with Peer(server.orders_endpoint).handshake() as peer:
        peer.send(frame(encode_message("Logon", participant_name=b"RAW")))
        kind, fields = decode_message(peer.receive_message())
        assert (kind, fields["reason"]) == ("LogonAnswer", Reason.NONE)
        peer.send(ping(0, b"context"))
        while not (body := peer.receive_frame()[1]).startswith(b"\x04PONG"):
            pass
        assert body == b"\x04PONGcontext"


def test_a_raw_peer_that_is_cut_says_so() -> None:
    """Where the other side closes, says nothing, or is not there, every wait ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        with Peer(endpoint, timeout=0.1) as peer:
            with pytest.raises(Cut, match="0 of 64 bytes came"):
                peer.receive(64)
            listener.accept()[0].close()
            with pytest.raises(Cut, match="closed by the other side"):
                peer.receive(64)
            with pytest.raises(Cut):
                peer.send(bytes(50_000_000))
    with pytest.raises(Cut, match="refused"):
        Peer(endpoint)


def test_the_page_of_threats_has_every_attack_and_no_other() -> None:
    """docs/THREATS.md names an attack in square brackets and code; each says in one line what it teaches."""
    page = (Path(__file__).parent.parent / "docs" / "THREATS.md").read_text()
    assert set(re.findall(r"`\[([a-z-]+)\]`", page)) == set(ATTACKS)
    assert all(len(attack.incident) > 40 for attack in ATTACKS.values())
