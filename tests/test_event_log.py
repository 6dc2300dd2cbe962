"""The event log of a running venue: every event on disk, completed and held against the journal by each start."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from venues import Wire, contents, new_order, venue_config

from ome.cli.admin import main
from ome.config import ServerConfig
from ome.journal import JournalIntegrityError
from ome.recovery import JournalReport, Replay
from ome.recovery.archive import archive_segments
from ome.recovery.manifest import append_manifest
from ome.server import Server

HEADER_SIZE = 4_096
RECORD_SIZE = 82  # of an event in a segment


def trade(config: ServerConfig, price: int = 1_000, count: int = 50) -> None:
    """A venue takes so many orders, and ends in good order."""
    with Server(config) as server, Wire(server.orders_endpoint) as wire:
        assert server.summary is not None
        first_id = server.summary.next_sequence
        wire.log_on("FIRM", first_id)
        for index in range(count):
            wire.say(new_order(client_order_id=first_id + index, price=price + index))
        for _ in range(count):
            wire.hear_report()


def compared(directory: Path) -> tuple[JournalReport, int]:
    """What a replay of everything finds, and how many events the journal gives."""
    with Replay(directory, checks_events=True) as replay:
        replay.run()
        assert replay.view is not None
        return replay.report, replay.view.state.event_count


def test_the_log_has_every_event_over_starts_and_segments(tmp_path: Path) -> None:
    """Numbered from 1, in order, byte for byte what the journal gives."""
    for _ in range(3):
        trade(venue_config(tmp_path, segment_bytes=64 << 10), count=900)
    report, event_count = compared(tmp_path)
    assert (report.events_checked, report.events_missing, report.events_ahead) == (event_count, 0, 0)
    assert len(list(tmp_path.glob("events-*.ome"))) > 3


def test_a_start_completes_a_log_that_lags(tmp_path: Path) -> None:
    """It says how many events it had to log anew; then the log is complete."""
    trade(venue_config(tmp_path))
    _, event_count = compared(tmp_path)
    os.truncate(tmp_path / f"events-{1:020d}.ome", HEADER_SIZE + 10 * RECORD_SIZE + 7)
    with Server(venue_config(tmp_path)) as server:
        assert server.summary is not None
        # The snapshot of the end is ahead of the log: the start begins without it.
        assert (server.summary.snapshot_sequence, server.summary.events_checked) == (0, 10)
        assert server.summary.events_completed == event_count - 10
    report, after = compared(tmp_path)
    assert (report.events_checked, report.events_missing) == (after, 0)
    assert (tmp_path / f"events-{1:020d}.ome.torn-{HEADER_SIZE + 10 * RECORD_SIZE}").exists()


def test_a_log_of_another_history_stops_the_start_and_nothing_is_changed(tmp_path: Path) -> None:
    """The first event that differs is named: what a change of the engine's behaviour would look like."""
    for name, price in (("one", 1_000), ("other", 2_000)):
        trade(venue_config(tmp_path / name, snapshot_commands=0), price)
    for segment in (tmp_path / "one").glob("events-*.ome"):
        segment.unlink()
    for segment in (tmp_path / "other").glob("events-*.ome"):
        shutil.copy(segment, tmp_path / "one" / segment.name)
    before = contents(tmp_path / "one")
    with pytest.raises(JournalIntegrityError, match=r"events-0+1\.ome at offset .*event \d+ of the log \(command \d+, kind \d+\) is not"):
        Server(venue_config(tmp_path / "one", snapshot_commands=0)).start()
    after = contents(tmp_path / "one")
    assert {name: after[name] for name in before if name != "counters.dat"} == {
        name: data for name, data in before.items() if name != "counters.dat"
    }
    result = CliRunner().invoke(main, ["verify", str(tmp_path / "one")])
    assert result.exit_code == 3
    assert "event log  FAILED" in result.output


def test_a_journal_that_lost_its_end_is_found_by_the_log(tmp_path: Path) -> None:
    """A journal put back as it was is a valid journal; the events of what it has lost say that it was on disk."""
    config = venue_config(tmp_path, snapshot_commands=0)
    trade(config)
    kept = {path.name: path.read_bytes() for path in tmp_path.glob("journal-*.ome")}
    trade(config)
    for path in tmp_path.glob("journal-*.ome"):
        path.unlink()
    for name, data in kept.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(JournalIntegrityError, match="which was on disk when it was written; the journal ends before that command"):
        Server(config).start()


def test_a_log_may_be_switched_off_and_on(tmp_path: Path) -> None:
    """Off: no file. On again: it begins with the next event, and what was before is compared by nobody."""
    trade(venue_config(tmp_path, event_log=False))
    assert list(tmp_path.glob("events-*")) == []
    with Replay(tmp_path) as replay:
        replay.run()
        assert replay.view is not None
        before = replay.view.state.event_count
    trade(venue_config(tmp_path))
    assert [path.name for path in tmp_path.glob("events-*.ome")] == [f"events-{before + 1:020d}.ome"]
    report, event_count = compared(tmp_path)
    assert (report.events_checked, report.events_missing) == (event_count - before, 0)


def test_the_log_goes_into_the_archive_with_the_journal(tmp_path: Path) -> None:
    """Segments whose events are all of older commands; a start finds what it needs."""
    directory, target = tmp_path / "venue", tmp_path / "archive"
    for _ in range(4):
        trade(venue_config(directory, segment_bytes=64 << 10, snapshots_kept=1), count=900)
    before = {path.name: path.read_bytes() for path in directory.glob("events-*.ome")}
    append_manifest(directory)
    archived = archive_segments(directory, before=1 << 60, target=target)
    gone = sorted(path.name for path in target.glob("events-*.ome"))
    assert len(gone) >= 3
    assert [name for name in archived.names if name.startswith("events-")] == gone
    assert {name: (target / name).read_bytes() for name in gone} == {name: before[name] for name in gone}
    assert sorted([*gone, *(path.name for path in directory.glob("events-*.ome"))]) == sorted(before)
    trade(venue_config(directory))
    for path in target.iterdir():
        shutil.copy(path, directory / path.name)
    report, event_count = compared(directory)
    assert (report.events_checked, report.events_missing) == (event_count, 0)
