"""Snapshots of a running venue: made while it trades, at its end and on demand; a start begins with the newest one that is whole."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from venues import Wire, new_order, venue_config

from ome.cli.admin import main
from ome.errors import InvalidValueError
from ome.journal import JournalError, JournalIntegrityError
from ome.recovery import Replay
from ome.recovery.snapshots import REQUEST_FILE, make_snapshot, snapshot_sequences
from ome.server import Server

DEADLINE_S = 20.0


def trade(server: Server, count: int, first_id: int = 1) -> None:
    """That many orders at rest, each of which is known to be on disk."""
    with Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM", first_id)
        for index in range(first_id, first_id + count):
            wire.say(new_order(client_order_id=index, price=1_000 + index % 50))
        for _ in range(count):
            wire.hear_report()


def wait_for(condition: object) -> None:
    """Until a function is true."""
    assert callable(condition)
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


def full_state(directory: Path) -> tuple[int, int, int]:
    """Sequence, state hash and event hash of a replay from the first command."""
    with Replay(directory) as replay:
        replay.run()
        assert replay.view is not None, "the journal has commands"
        return replay.view.sequence, replay.view.state_hash, replay.report.event_hash


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The directory of a venue that traded and was stopped, with three snapshots."""
    for first_id in (1, 101, 201):
        with Server(venue_config(tmp_path)) as server:
            trade(server, 100, first_id)
    assert len(snapshot_sequences(tmp_path)) == 3
    return tmp_path


def test_snapshots_are_made_while_the_venue_trades_and_the_newest_are_kept(tmp_path: Path) -> None:
    """One every so many commands; as many kept as the configuration says; the last one is of the end."""
    with Server(venue_config(tmp_path, snapshot_commands=40, snapshots_kept=2)) as server:
        for first_id in (1, 101, 201):
            before = snapshot_sequences(tmp_path)
            trade(server, 100, first_id)
            wait_for(lambda before=before: snapshot_sequences(tmp_path)[-1:] > before[-1:])
    sequence, state_hash, event_hash = full_state(tmp_path)
    made = snapshot_sequences(tmp_path)
    assert len(made) == 2
    assert made[-1] == sequence
    with Replay(tmp_path, from_snapshot=True) as replay:
        replay.run()
        assert replay.report.snapshot_sequence == sequence
        assert replay.view is not None
        assert (replay.view.state_hash, replay.report.event_hash) == (state_hash, event_hash)


def test_a_start_begins_with_the_newest_snapshot_and_goes_on(stopped: Path) -> None:
    """D4: What a start recovers is what a replay of everything gives, and so is what comes after it."""
    sequence, state_hash, _ = full_state(stopped)
    with Server(venue_config(stopped)) as server:
        assert server.summary is not None
        assert (server.summary.snapshot_sequence, server.summary.recovered_commands) == (sequence, sequence)
        assert server.summary.refused_snapshots == 0
        trade(server, 10, 301)
        summary = server.close()
    assert summary is not None
    assert full_state(stopped)[:2] == (summary.state.sequence, summary.state_hash)
    assert summary.state_hash != state_hash


def test_a_broken_snapshot_is_set_aside_and_the_one_before_is_used(stopped: Path) -> None:
    """D4: The start says so, and that is all that it changes."""
    made = snapshot_sequences(stopped)
    newest = stopped / f"snapshot-{made[-1]:020d}.ome"
    data = bytearray(newest.read_bytes())
    data[-10] ^= 1
    newest.write_bytes(data)
    with Server(venue_config(stopped)) as server:
        assert server.summary is not None
        assert (server.summary.snapshot_sequence, server.summary.refused_snapshots) == (made[-2], 1)
        assert server.summary.refused_reason
        assert server.summary.recovered_commands == made[-1]
    assert newest.with_name(f"{newest.name}.broken").read_bytes() == data
    assert full_state(stopped)[0] == snapshot_sequences(stopped)[-1]


def test_without_snapshots_a_start_replays_everything(tmp_path: Path) -> None:
    """snapshot_commands = 0: no file, no follower."""
    for _ in range(2):
        with Server(venue_config(tmp_path, snapshot_commands=0)) as server:
            assert server.summary is not None
            assert server.summary.snapshot_sequence == 0
    assert snapshot_sequences(tmp_path) == []


def test_a_running_venue_makes_a_snapshot_when_asked(tmp_path: Path) -> None:
    """`ome-admin snapshot` on its directory: it is of everything that was on disk when it was asked for."""
    with Server(venue_config(tmp_path)) as server:
        trade(server, 25)
        made = make_snapshot(tmp_path, DEADLINE_S)
        assert made.sequence >= 25
        assert snapshot_sequences(tmp_path) == [made.sequence]
        assert not (tmp_path / REQUEST_FILE).exists()
        trade(server, 25, 101)
        assert make_snapshot(tmp_path, DEADLINE_S).sequence >= made.sequence + 25


def test_a_snapshot_of_a_directory_without_server_is_made_by_a_replay(stopped: Path) -> None:
    """The command says what it made; afterwards a replay from it has nothing to do."""
    for path in stopped.glob("snapshot-*"):
        path.unlink()
    result = CliRunner().invoke(main, ["snapshot", str(stopped)])
    assert result.exit_code == 0, result.output
    sequence, state_hash, _ = full_state(stopped)
    assert snapshot_sequences(stopped) == [sequence]
    assert f"command {sequence:,}" in result.output
    replayed = CliRunner().invoke(main, ["replay", str(stopped), "--from-snapshot"])
    assert replayed.exit_code == 0, replayed.output
    assert f"snapshot of {sequence:,}, then replayed 0 commands" in replayed.output
    assert f"{state_hash:016x}" in replayed.output


def test_what_cannot_be_asked_of_snapshots_is_refused(stopped: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A directory without a journal; a command before the snapshot; a directory that a server holds, which does not answer."""
    empty = tmp_path_factory.mktemp("empty")
    assert CliRunner().invoke(main, ["snapshot", str(empty)]).exit_code == 1
    with Replay(empty) as replay, pytest.raises(JournalError, match="a journal with commands"):
        replay.snapshot()
    with Replay(stopped, from_snapshot=True) as replay, pytest.raises(InvalidValueError, match="the snapshot's, or later"):
        replay.run(to=1)


def test_a_snapshot_ahead_of_its_journal_stops_the_start(stopped: Path) -> None:
    """Records were removed from the end of the journal: integrity, and nothing is changed."""
    last = max(stopped.glob("journal-*.ome"))
    last.unlink()
    before = {path.name for path in stopped.iterdir()}
    with pytest.raises(JournalIntegrityError, match="the journal ends before the sequence asked for"):
        Server(venue_config(stopped)).start()
    assert {path.name for path in stopped.iterdir()} == before


def test_verify_holds_every_snapshot_against_the_replay(stopped: Path) -> None:
    """D4: Each is restored and compared where the replay has come to it; one that is broken, or of another state, is named, and exit 3."""
    good = CliRunner().invoke(main, ["verify", str(stopped)])
    assert good.exit_code == 0, good.output
    assert re.search(r"snapshots +ok +3 snapshots", good.output)
    made = snapshot_sequences(stopped)
    oldest = stopped / f"snapshot-{made[0]:020d}.ome"
    data = oldest.read_bytes()
    oldest.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    broken = CliRunner().invoke(main, ["verify", str(stopped)])
    assert broken.exit_code == 3
    assert re.search(rf"snapshots +FAILED .*command {made[0]:,}", broken.output)
    oldest.unlink()
    (stopped / f"snapshot-{made[-1]:020d}.ome").rename(stopped / f"snapshot-{made[-1] + 1:020d}.ome")
    ahead = CliRunner().invoke(main, ["verify", str(stopped)])
    assert ahead.exit_code == 3
    assert re.search(rf"snapshots +FAILED .*command {made[-1] + 1:,}", ahead.output)


def test_a_snapshot_that_the_server_could_not_make_is_not_said_to_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older one that is still there is no answer; the venue goes on."""
    with Server(venue_config(tmp_path)) as server:
        trade(server, 5)
        older = make_snapshot(tmp_path, DEADLINE_S)
        trade(server, 5, 101)

        def fail(self: Replay, keep: int = 3, *, idle: bool = False) -> None:
            raise JournalError("pwrite", where=str(tmp_path), found="no space", allowed="success")

        monkeypatch.setattr(Replay, "snapshot", fail)
        with pytest.raises(JournalError, match=f"one of command {older.sequence:,}"):
            make_snapshot(tmp_path, DEADLINE_S)
        (follower,) = (thread for thread in server.threads if thread.name == "ome-follower")
        assert (follower.state, follower.failures) == ("running", 1)
        assert "no space" in follower.last_error
        trade(server, 5, 201)
