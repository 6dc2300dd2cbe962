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
    assert "events     FAILED" in result.output


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


def repaired(directory: Path, *options: str, code: int = 0) -> str:
    """What `ome-admin repair` says."""
    result = CliRunner().invoke(main, ["repair", str(directory), "--yes", *options])
    assert result.exit_code == code, result.output
    return result.output


def goes_on(directory: Path) -> None:
    """A start completes the log, and everything is right."""
    trade(venue_config(directory, snapshot_commands=0))
    report, event_count = compared(directory)
    assert (report.events_checked, report.events_missing, report.events_ahead) == (event_count, 0, 0)


def test_a_damaged_log_is_cut_before_the_damage_and_completed(tmp_path: Path) -> None:
    """The journal has all that the log had: nothing is lost."""
    directory = tmp_path / "venue"
    for _ in range(2):
        trade(venue_config(directory, snapshot_commands=0, segment_bytes=64 << 10), count=900)
    _, event_count = compared(directory)
    for name, event in (("last", event_count - 5), ("first", 300)):
        path = [path for path in sorted(directory.glob("events-*.ome")) if int(path.stem[7:]) <= event][-1]
        data = bytearray(path.read_bytes())
        data[HEADER_SIZE + (event - int(path.stem[7:])) * RECORD_SIZE + 30] ^= 1
        path.write_bytes(data)
        said = repaired(directory)
        assert f"the event log is made to end behind event {event - 1:,}" in said, name
        assert "nothing is wrong" in said
        goes_on(directory)
    assert list(directory.glob("events-*.set-aside"))


def test_a_log_of_another_history_is_set_aside_and_made_anew(tmp_path: Path) -> None:
    """So does who has changed what the engine does on purpose."""
    for name, price in (("one", 1_000), ("other", 2_000)):
        trade(venue_config(tmp_path / name, snapshot_commands=0), price)
    for segment in (tmp_path / "one").glob("events-*.ome"):
        segment.unlink()
    for segment in (tmp_path / "other").glob("events-*.ome"):
        shutil.copy(segment, tmp_path / "one" / segment.name)
    assert "a new one begins with the next event" in repaired(tmp_path / "one")
    trade(venue_config(tmp_path / "one", snapshot_commands=0))
    report, event_count = compared(tmp_path / "one")
    assert 50 < report.events_checked < event_count
    assert (report.events_missing, report.events_ahead) == (0, 0)


def test_a_cut_journal_takes_its_log_along(tmp_path: Path) -> None:
    """The loss is accepted once, for both."""
    directory = tmp_path / "venue"
    trade(venue_config(directory, snapshot_commands=0), count=200)
    path = directory / f"journal-{1:020d}.ome"
    data = bytearray(path.read_bytes())
    data[HEADER_SIZE + 100 * 74 + 20] ^= 1
    path.write_bytes(data)
    said = repaired(directory, "--accept-loss")
    assert "commands 101 to" in said
    assert "done: cut event log" in said
    goes_on(directory)


def test_what_the_log_knows_of_a_lost_end_is_given_up_only_when_told(tmp_path: Path) -> None:
    """Without a word of acceptance nothing is changed: a backup may have what the journal lost."""
    directory = tmp_path / "venue"
    trade(venue_config(directory, snapshot_commands=0))
    kept = (directory / f"journal-{1:020d}.ome").read_bytes()
    trade(venue_config(directory, snapshot_commands=0))
    for path in directory.glob("journal-*.ome"):
        path.unlink()
    (directory / "manifest").unlink()
    (directory / f"journal-{1:020d}.ome").write_bytes(kept)
    assert "only with --accept-loss" in repaired(directory, code=3)
    repaired(directory, "--accept-loss")
    goes_on(directory)


def test_a_log_that_nothing_reaches_back_to_is_set_aside(tmp_path: Path) -> None:
    """Its end is before every snapshot, and the journal from there on is in an archive."""
    directory = tmp_path / "venue"
    for _ in range(3):
        trade(venue_config(directory, segment_bytes=64 << 10, snapshots_kept=1), count=900)
    append_manifest(directory)
    archive_segments(directory, before=1 << 60, target=tmp_path / "archive")
    for path in directory.glob("events-*.ome"):
        path.unlink()
    first = min((tmp_path / "archive").glob("events-*.ome"))
    shutil.copy(first, directory / first.name)
    with pytest.raises(JournalIntegrityError, match="the event log ends before every snapshot, and the journal begins later"):
        Server(venue_config(directory)).start()
    assert "a new one begins with the next event" in repaired(directory)
    trade(venue_config(directory))
