"""Repair of a journal: a command that is quarantined, damage that is healed, passed over or cut away; a journal without its beginning."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from click.testing import CliRunner, Result
from flows import flow
from test_recovery import LIMITS, crc32c, write_journal
from venues import Wire, new_order, read_json, venue_config

from ome._native import ffi, lib
from ome.cli.admin import main
from ome.codec import Records
from ome.codec.wire import encode_message
from ome.engine import Engine, EngineView
from ome.enums import CommandFlags, CommandKind, EventKind, Reason
from ome.journal import DecisionKind, JournalIntegrityError, JournalReader
from ome.recovery import Replay, ReplayAssertionError
from ome.recovery.directory import first_sequence, last_sequence_until, segments
from ome.recovery.findings import Remedy
from ome.recovery.manifest import MANIFEST_FILE, append_manifest, read_manifest
from ome.recovery.repair import apply_remedy, diagnose, quarantining, remedies
from ome.recovery.snapshots import make_snapshot, snapshot_path, snapshot_sequences
from ome.server import Server

COUNT: Final = 500  # commands of the journals here, in five segments
FIRST_ID: Final = 0x5EED_0000_0000_0001  # of the orders whose cancel the core does not survive


def admin(*arguments: object, code: int = 0, answer: str | None = None) -> Result:
    """Runs the command, which must end with this code; `answer` is what somebody types."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=answer)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def repair(directory: Path, *arguments: object, code: int = 0) -> str:
    """What a repair says that nobody is asked about."""
    return admin("repair", directory, "--yes", *arguments, code=code).stdout


def copies(directory: Path) -> list[Path]:
    """The copies that repairs have made of the directory."""
    return sorted(directory.parent.glob(f"{directory.name}.before-repair-*"))


def files(directory: Path) -> dict[str, bytes]:
    """All files, but for the lock."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir()) if path.name != "lock"}


# ---- a command that no engine survives ----


class Miscounting:
    """A core that has lost count: before it applies some cancels the order is not what it was, so that they trip an assertion.

    `commands` are the sequences of the cancels, with the client order ids. A cancel that is rejected does not look at its order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, commands: dict[int, int]) -> None:
        self._commands = commands
        step, read = Replay.step, Replay.read
        monkeypatch.setattr(Replay, "step", lambda replay, count=100_000, *, idle=False: self._careful(replay, count, step))
        monkeypatch.setattr(Replay, "read", lambda replay, count=65_536: self._careful(replay, count, read))

    def _careful(self, replay: Replay, count: int, work: Callable[[Replay, int], Any]) -> Any:
        reached = 0 if replay.view is None else replay.view.sequence
        following = min((sequence for sequence in self._commands if sequence > reached), default=None)
        if following is None:
            return work(replay, count)
        if reached < following - 1:
            return work(replay, min(count, following - 1 - reached))
        view = replay.view
        assert view is not None
        self._add(view, self._commands[following], 1)
        result = work(replay, 1)
        self._add(view, self._commands[following], -1)
        return result

    @staticmethod
    def _add(view: EngineView, client_order_id: int, lots: int) -> None:
        """Changes what is left of an order, which stands 16 bytes before its client order id."""
        limits = ffi.new("ome_limits_t *", {name: getattr(view.limits, name) for name in type(view.limits).__slots__})
        size = lib.ome_engine_size_bytes(limits)
        words = np.frombuffer(ffi.buffer(ffi.cast("char *", view._handle.pointer), size), np.int64)
        words[np.flatnonzero(words == client_order_id) - 2] += lots


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, int]]:
    """The directory of a venue that took two orders and their cancels among others; and where these cancels are."""
    directory = tmp_path_factory.mktemp("traded") / "data"
    with Server(venue_config(directory, snapshot_commands=0)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM", 1)
        order_ids = []
        for index in range(2):
            # Hidden: the plain path, which cancels what is displayed, does not look at the level's lots.
            wire.say(new_order(client_order_id=FIRST_ID + index, price=500 + index, flags=CommandFlags.HIDDEN))
            order_ids.append(wire.hear_report()["order_id"])
            wire.say(new_order(client_order_id=index + 1, price=900 + index))
            wire.hear_report()
        for index, order_id in enumerate(order_ids):
            wire.say(encode_message("CancelOrder", client_order_id=order_id, flags=CommandFlags.BY_ORDER_ID))
            assert wire.hear_report()["kind"] is EventKind.CANCELLED
            wire.say(new_order(client_order_id=index + 11, price=950 + index))
            wire.hear_report()
    with JournalReader(directory) as reader:
        commands = reader.read()
    cancels = commands[commands["kind"] == CommandKind.CANCEL_ORDER]
    return directory, {sequence: FIRST_ID + index for index, sequence in enumerate(cancels["sequence"].tolist())}


@pytest.fixture
def bad(tmp_path: Path, traded: tuple[Path, dict[int, int]]) -> tuple[Path, list[int], dict[int, int]]:
    """A copy of it, and the sequences of the two cancels."""
    directory = tmp_path / "data"
    shutil.copytree(traded[0], directory)
    return directory, sorted(traded[1]), traded[1]


def test_a_command_that_trips_is_quarantined_and_the_venue_goes_on(
    bad: tuple[Path, list[int], dict[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start names the first and refuses; once both are rejected by decisions it starts, and whatever reads the journal agrees."""
    directory, sequences, cancels = bad
    kept = files(directory)
    Miscounting(monkeypatch, cancels)
    for number, sequence in enumerate(sequences, 1):
        with pytest.raises(ReplayAssertionError, match=rf"command {sequence}.*assertion failed"):
            Server(venue_config(directory)).start()
        assert f"--quarantine {sequence}" in repair(directory, code=3)
        said = repair(directory, "--quarantine", sequence, code=3 if number == 1 else 0)  # the other one still trips
        assert f"command {sequence} is quarantined" in said
        assert len(copies(directory)) == number
    assert files(copies(directory)[0]) | {"counters.dat": b""} == kept | {"counters.dat": b""}
    for name, data in kept.items():
        assert name in ("counters.dat", "audit.log") or name.startswith("events-") or files(directory)[name] == data
    # What the event log had of the first one, and behind it, is not what the journal gives now.
    assert len(list(directory.glob("events-*.torn-*"))) == 1
    with Replay(directory) as replay:
        assert [(made.kind, made.sequence, made.is_void) for made in replay.decisions] == [
            (DecisionKind.QUARANTINE, sequence, False) for sequence in sequences
        ]
        batches = list(replay.batches())
        assert replay.report.quarantined == 2
    for sequence in sequences:
        (event,) = next(found for batch in batches if len(found := batch.events_of(sequence)))
        assert (event["kind"], event["reason"]) == (EventKind.REJECTED, Reason.UNKNOWN_COMMAND)
    with Server(venue_config(directory, snapshot_commands=5)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM", 1)
        for index in range(20):
            wire.say(new_order(client_order_id=100 + index))
            wire.hear_report()
        assert make_snapshot(directory, 20.0).sequence > sequences[-1]
    said = admin("verify", directory, "--reference").stdout
    assert f"quarantined, so rejected: {sequences[0]}, {sequences[1]}" in said
    assert "FAILED" not in said
    lines = admin("dump", directory).stdout.splitlines()
    assert [line.split()[0] for line in lines if line.endswith("quarantined")] == [str(sequence) for sequence in sequences]
    told = [read_json(line) for line in admin("dump", directory, "--events", "--json").stdout.splitlines()]
    assert [fields["sequence"] for fields in told if fields.get("quarantined")] == sequences
    assert admin("replay", directory).stdout.split("state ")[1] == admin("replay", directory, "--from-snapshot").stdout.split("state ")[1]
    assert repair(directory) == "nothing is wrong\n"


def test_only_the_command_that_trips_is_quarantined(bad: tuple[Path, list[int], dict[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one is refused, and so is any where no command trips; nothing is changed."""
    directory, sequences, cancels = bad
    kept = files(directory)
    assert "found 'none'" in admin("repair", directory, "--yes", "--quarantine", sequences[0], code=1).stderr
    Miscounting(monkeypatch, cancels)
    for wrong in (1, sequences[0] - 1, sequences[1], 10_000):
        assert f"found 'command {sequences[0]}'" in admin("repair", directory, "--yes", "--quarantine", wrong, code=1).stderr
    assert admin("repair", directory, "--quarantine", sequences[0], code=1, answer="n\n")
    assert files(directory) == kept
    assert copies(directory) == []


def test_a_quarantine_that_would_not_help_is_refused(bad: tuple[Path, list[int], dict[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the time of the command alone trips the assertion, as orders expire, no decision is made."""
    directory, sequences, _ = bad
    kept = files(directory)
    monkeypatch.setattr(quarantining, "_tripping", lambda *_: sequences[0])
    assert "its time alone does it" in admin("repair", directory, "--yes", "--quarantine", sequences[0], code=1).stderr
    assert files(directory) == kept


def test_a_decision_is_about_one_record(bad: tuple[Path, list[int], dict[int, int]]) -> None:
    """Where the journal has another record of that sequence a start refuses, and names both checksums."""
    directory, sequences, _ = bad
    with JournalReader(directory, first=sequences[0]) as reader:
        reader.read(1)
        checksum = reader.report.record_checksum
    assert lib.ome_decision_make(os.fsencode(directory), DecisionKind.QUARANTINE, sequences[0], checksum ^ 1) == lib.OME_OK
    with pytest.raises(JournalIntegrityError, match=f"{checksum ^ 1:08x}.*{checksum:08x}"):
        Server(venue_config(directory)).start()
    assert f"{checksum:08x}" in admin("verify", directory, code=3).stdout
    assert "--accept-loss" in repair(directory, code=3)
    assert "done: set decisions aside" in repair(directory, "--accept-loss")
    assert repair(directory) == "nothing is wrong\n"


def test_damaged_decisions_are_an_integrity_error(bad: tuple[Path, list[int], dict[int, int]]) -> None:
    """Nobody reads the journal as if there were none."""
    directory, sequences, _ = bad
    assert lib.ome_decision_make(os.fsencode(directory), DecisionKind.QUARANTINE, sequences[0], 1) == lib.OME_OK
    path = directory / f"decisions-{1:020d}.ome"
    data = bytearray(path.read_bytes())
    data[4096 + 20] ^= 1
    path.write_bytes(data)
    for command in ("verify", "dump", "state"):
        assert path.name in admin(command, directory, code=3).stderr
    assert path.name in repair(directory, code=3)


# ---- damage ----


@pytest.fixture(scope="module")
def commands() -> Records:
    """Commands that begin with their limits."""
    return flow(7, COUNT, limits=LIMITS)


@pytest.fixture
def journal(tmp_path: Path, commands: Records) -> Path:
    """A journal of five sealed segments of a hundred commands, with its manifest, without a snapshot."""
    directory = tmp_path / "journal"
    write_journal(directory, commands, segments=5)
    append_manifest(directory)
    return directory


def snapshot_at(directory: Path, *sequences: int) -> None:
    """Leaves snapshots of these commands and no other."""
    for sequence in sequences:
        with Replay(directory) as replay:
            replay.run(to=sequence)
            replay.snapshot(10)


def state_after(commands: Records, sequence: int) -> int:
    """The state hash of an engine that took the commands up to one."""
    with Engine(limits=LIMITS) as engine:
        engine.apply_records(commands[:sequence])
        return engine.state_hash


def started(directory: Path) -> tuple[int, int]:
    """Sequence and state hash of what a start recovers."""
    with Replay(directory, from_snapshot=True) as replay:
        replay.run()
        assert replay.view is not None
        return replay.view.sequence, replay.view.state_hash


def damage(directory: Path, index: int, kind: str) -> int:
    """Damages the segment of that index; gives the first command that cannot be read any more."""
    path = segments(directory)[index]
    data = bytearray(path.read_bytes())
    if kind == "missing":
        path.unlink()
        return 100 * index + 1
    record = 50
    while int.from_bytes(data[4096 + 74 * record + 8 : 4096 + 74 * record + 10], "little") & 0x7FFF == CommandKind.ORDER_TERMS:
        record += 1  # the record before it would be lost with it
    offset = {"record": 4096 + 74 * record + 30, "header": 30, "seal": 4096 + 74 * 100 + 20}[kind]
    data[offset] ^= 4
    path.write_bytes(data)
    return 100 * index + {"record": record + 1, "header": 1, "seal": 101}[kind]


def test_where_nothing_is_wrong_nothing_is_done(journal: Path) -> None:
    """It says so, copies nothing and changes nothing; so for a torn tail, which the next start sees to."""
    kept = files(journal)
    assert repair(journal) == "nothing is wrong\n"
    assert files(journal) == kept
    last = segments(journal)[-1]
    (journal / MANIFEST_FILE).unlink()
    end = 4096 + 74 * 100
    last.write_bytes(last.read_bytes()[:end] + b"torn".ljust(1000, b"\0"))
    assert "next start: the next start cuts it off" in repair(journal)
    assert kept.keys() - files(journal).keys() == {MANIFEST_FILE}
    assert copies(journal) == []


@pytest.mark.parametrize("kind", ["record", "header", "missing", "seal"])
@pytest.mark.parametrize("index", [0, 2, 3])
def test_damage_before_a_snapshot_loses_nothing_that_was_acknowledged(journal: Path, commands: Records, index: int, kind: str) -> None:
    """The journal begins behind the oldest snapshot that helps, all later commands stay, and what was before stays beside."""
    snapshot_at(journal, 100 * index + 60, 460)
    kept = files(journal)
    damage(journal, index, kind)
    if (index, kind) == (0, "missing"):  # as if it were archived
        assert repair(journal) == "nothing is wrong\n"
        return
    before = files(journal)
    (journal / MANIFEST_FILE).write_bytes(kept[MANIFEST_FILE])
    if kind == "seal":
        snapshot_path(journal, 460).rename(journal.parent / "later")
        assert "--accept-loss" in repair(journal, code=3)
        (journal.parent / "later").rename(snapshot_path(journal, 460))
    said = repair(journal)
    inside = 100 * index + 60
    begin = 460 if kind in ("seal", "missing") else inside
    assert ("begin behind the snapshot of command 460" in said) == (begin == 460)
    assert (f"begin behind the snapshot of command {inside}" in said) == (kind != "seal")
    assert f"commands 1 to {begin} cannot be read any more" in said
    assert segments(journal)[0].name in said or kind == "missing" or "according to the manifest" in said
    assert started(journal) == (COUNT, state_after(commands, COUNT))
    assert first_sequence(journal) == (401 if begin == 460 else begin + 1)
    assert files(copies(journal)[0]) == before
    found = read_json(admin("verify", journal, "--json").stdout)
    assert (found["ok"], found["begins_behind"], found["sequence"]) == (True, begin, COUNT)
    assert repair(journal) == "nothing is wrong\n"
    assert len(copies(journal)) == 1
    kept_bytes = set(files(journal).values())
    assert all(data in kept_bytes for name, data in before.items() if name.startswith("journal-"))
    with Replay(journal, from_snapshot=True) as replay:
        steps = [one for one in (inside, 460) if f"begin behind the snapshot of command {one}," in said]
        assert [(made.kind, made.sequence) for made in replay.decisions] == [(DecisionKind.BEGIN, one + 1) for one in steps]


def test_a_snapshot_inside_the_damaged_segment_gets_a_segment_of_its_own(journal: Path, commands: Records) -> None:
    """The records behind it are found by their checksums and taken over as they are."""
    snapshot_at(journal, 260)
    damage(journal, 2, "record")
    repair(journal)
    assert [path.name for path in segments(journal)] == [f"journal-{first:020d}.ome" for first in (261, 301, 401)]
    assert started(journal) == (COUNT, state_after(commands, COUNT))
    with JournalReader(journal, first=261) as reader:
        assert reader.read()["sequence"].tolist() == list(range(261, COUNT + 1))
    assert admin("verify", journal).stdout.count(" ok ") == 6


@pytest.mark.parametrize("kind", ["record", "header", "missing", "seal"])
@pytest.mark.parametrize("index", [1, 3])
def test_other_damage_is_cut_away_where_the_loss_is_accepted(journal: Path, commands: Records, index: int, kind: str) -> None:
    """Not before; then the journal ends before the damage, what it loses is told and kept beside."""
    snapshot_at(journal, 40)
    lost = damage(journal, index, kind)
    before = files(journal)
    said = repair(journal, code=3)
    assert f"commands {lost} to {COUNT}, " in said
    assert f"{COUNT - lost + 1 - {'record': 1, 'missing': 100}.get(kind, 0)} of them readable" in said
    assert files(journal) == before
    assert copies(journal) == []
    assert "verdict clean" in repair(journal, "--accept-loss")
    assert started(journal) == (lost - 1, state_after(commands, lost - 1))
    assert files(copies(journal)[0]) == before
    assert read_json(admin("verify", journal, "--json").stdout)["ok"]
    assert repair(journal) == "nothing is wrong\n"
    with Replay(journal) as replay:
        assert [(made.kind, made.sequence) for made in replay.decisions] == [(DecisionKind.CUT, lost)]


def test_a_cut_makes_decisions_behind_it_void(journal: Path) -> None:
    """Other commands get these sequences: a decision about one that is gone is not held against them."""
    with JournalReader(journal) as reader:
        checksum = 0
        for sequence in (100, 300):
            with JournalReader(journal, first=sequence) as one:
                one.read(1)
                checksum = one.report.record_checksum
            assert lib.ome_decision_make(os.fsencode(journal), DecisionKind.QUARANTINE, sequence, checksum) == lib.OME_OK
        assert reader.quarantined == ()
    damage(journal, 2, "record")
    repair(journal, "--accept-loss")
    with JournalReader(journal) as reader:
        assert reader.quarantined == (100,)
        made = reader.decisions
    assert [(one.kind, one.sequence, one.is_void) for one in made] == [
        (DecisionKind.QUARANTINE, 100, False),
        (DecisionKind.QUARANTINE, 300, True),
        (DecisionKind.CUT, 251, False),
    ]


@pytest.mark.parametrize("kind", ["record", "header", "missing", "seal"])
def test_a_good_copy_heals_all(journal: Path, tmp_path: Path, kind: str) -> None:
    """It takes the place of the damaged segment, and the journal is byte for byte what it was. A bad copy, or another's, is none."""
    kept = files(journal)
    backup = tmp_path / "backup"
    shutil.copytree(journal, backup)
    damage(journal, 2, kind)
    damage(journal, 3, "record")
    worse, other = tmp_path / "worse", tmp_path / "other"
    shutil.copytree(backup, worse)
    damage(worse, 2, "record")
    write_journal(other, flow(8, COUNT, limits=LIMITS), segments=5)
    for wrong in (worse, other, tmp_path):
        (journal / MANIFEST_FILE).unlink(missing_ok=True)
        assert "--accept-loss" in repair(journal, "--from", wrong, code=3)
    (journal / MANIFEST_FILE).write_bytes(kept[MANIFEST_FILE])
    said = repair(journal, "--from", backup)
    assert said.count("done: copy") == 2
    assert {name: data for name, data in files(journal).items() if name in kept} == kept
    assert repair(journal) == "nothing is wrong\n"


def test_what_the_manifest_finds_is_healed_by_a_copy_only(journal: Path, tmp_path: Path) -> None:
    """A segment that can be read and is not what was sealed."""
    backup = tmp_path / "backup"
    shutil.copytree(journal, backup)
    path = segments(journal)[1]
    data = bytearray(path.read_bytes())
    data[48] ^= 1  # the configuration hash
    data[4092:4096] = crc32c(bytes(data[:4092])).to_bytes(4, "little")
    path.write_bytes(data)
    assert path.name in repair(journal, code=3)
    assert "done: copy" in repair(journal, "--from", backup)
    assert repair(journal) == "nothing is wrong\n"


def test_a_snapshot_that_is_not_of_the_journal_is_set_aside(journal: Path, tmp_path: Path, commands: Records) -> None:
    """And where the journal ends before its snapshot, it goes on behind it."""
    other = tmp_path / "other"
    write_journal(other, flow(8, COUNT, limits=LIMITS))
    snapshot_at(other, 300)
    shutil.copy(snapshot_path(other, 300), journal)
    assert "is not of this journal" in repair(journal)
    assert snapshot_sequences(journal) == []
    assert started(journal) == (COUNT, state_after(commands, COUNT))
    snapshot_at(journal, COUNT)
    segments(journal)[-1].unlink()
    (journal / MANIFEST_FILE).unlink()
    assert "its end is missing" in repair(journal)
    assert started(journal) == (COUNT, state_after(commands, COUNT))
    assert first_sequence(journal) == COUNT + 1


def test_a_repair_is_asked_for_and_needs_room_and_the_directory(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Declined, without room for the copy, or where a server runs, nothing is changed."""
    snapshot_at(journal, 400)
    damage(journal, 1, "record")
    before = files(journal)
    admin("repair", journal, code=1, answer="n\n")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))
        assert "room for a copy" in admin("repair", journal, "--yes", code=1).stderr
    assert files(journal) == before
    assert copies(journal) == []
    assert "done: begin" in admin("repair", journal, answer="y\n").stdout
    served = journal.parent / "served"
    with Server(venue_config(served)):
        assert "one process at a time" in admin("repair", served, code=1).stderr


def test_a_journal_that_has_no_beginning_and_no_snapshot_is_not_repaired(journal: Path) -> None:
    """It says what would help."""
    segments(journal)[0].unlink()
    before = files(journal)
    assert "put the segments before back" in repair(journal, code=3)
    assert files(journal) == before


@pytest.mark.parametrize("remedy", [Remedy.CUT, Remedy.BEGIN])
def test_a_repair_that_dies_is_completed_by_the_next(
    journal: Path, commands: Records, monkeypatch: pytest.MonkeyPatch, remedy: Remedy
) -> None:
    """Whatever step it dies before, it is run again, and the result is the same."""
    snapshot_at(journal, *((260,) if remedy is Remedy.BEGIN else ()))
    lost = damage(journal, 2, "record")
    expected = COUNT if remedy is Remedy.BEGIN else lost - 1
    names = ("decide", "rename", "_cut_manifest", "append_manifest")
    calls = 0
    for number in range(1, 20):
        directory = journal.parent / f"try-{number}"
        shutil.copytree(journal, directory)
        calls = 0

        def dying(work: Callable[..., Any], limit: int) -> Callable[..., Any]:
            def run(*arguments: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == limit:
                    raise OSError("died")
                return work(*arguments)

            return run

        with monkeypatch.context() as patch:
            for name in names:
                patch.setattr(remedies, name, dying(getattr(remedies, name), number))
            found = diagnose(directory)
            assert found.remedy is remedy
            with contextlib.suppress(OSError):
                apply_remedy(directory, found)
        repair(directory, "--accept-loss")
        assert started(directory) == (expected, state_after(commands, expected))
        assert read_json(admin("verify", directory, "--json").stdout)["ok"]
        if calls < number:
            break
    assert calls >= 3


# ---- manifest and configuration ----


def test_a_server_keeps_the_manifest_up_to_date(tmp_path: Path) -> None:
    """While it runs, and at its end, with or without snapshots: every sealed segment has a line."""
    directory = tmp_path / "data"
    with Server(venue_config(directory, segment_bytes=64 << 10, snapshot_commands=0)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM", 1)
        for index in range(2_000):
            wire.say(new_order(client_order_id=index + 1, quantity=1, price=100 + index % 9))
            wire.hear_report()
        for _ in range(200):
            if len(read_manifest(directory)[0]) == 2:
                break
            wire.hears_nothing()
        assert len(read_manifest(directory)[0]) == 2
    assert len(read_manifest(directory)[0]) == 3 == len(segments(directory))
    assert append_manifest(directory) == []
    assert read_json(admin("verify", directory, "--json").stdout)["ok"]


def test_a_manifest_that_cannot_be_written_is_logged_and_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The venue trades on, and stops as always."""
    (tmp_path / MANIFEST_FILE).mkdir()
    with Server(venue_config(tmp_path)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM", 1)
        wire.say(new_order(client_order_id=1))
        assert wire.hear_report()["kind"] is EventKind.ACCEPTED
    assert "is not up to date" in caplog.text


def test_the_configuration_hash_is_in_every_segment(tmp_path: Path) -> None:
    """It is that of what decides how the venue answers, and nothing else; verify shows it."""
    config = venue_config(tmp_path)
    with Server(config):
        pass
    stored = int.from_bytes(segments(tmp_path)[0].read_bytes()[48:56], "little")
    assert stored == config.behaviour_hash != 0
    assert f"configuration {stored:016x}" in admin("verify", tmp_path).stdout
    other = tmp_path / "other"
    same = venue_config(other, ring_slots=16, segment_bytes=64 << 10, wait="yield", snapshot_commands=7, snapshot_levels=9)
    assert same.behaviour_hash == stored
    changed: list[dict[str, Any]] = [{"participants": ("FIRM",)}, {"instruments": ()}, {"limits": LIMITS}]
    assert len({stored, *(venue_config(other, **fields).behaviour_hash for fields in changed)}) == 4


# ---- a journal without its beginning ----


@pytest.fixture
def archived(journal: Path, tmp_path: Path) -> Path:
    """The journal without its first two segments, with snapshots of commands 230 and 400."""
    snapshot_at(journal, 230, 400)
    admin("archive", journal, "--before", 201, "--to", tmp_path / "archive")
    assert first_sequence(journal) == 201
    return journal


def test_what_looks_at_an_archived_journal_begins_with_its_oldest_snapshot(archived: Path, commands: Records, tmp_path: Path) -> None:
    """And says so: verify, state, replay, diff; dump and export begin with the first command that there is."""
    kept = files(archived)
    whole = tmp_path / "whole"
    write_journal(whole, commands)
    found = read_json(admin("verify", archived, "--json").stdout)
    assert (found["ok"], found["begins_behind"], found["sequence"]) == (True, 230, COUNT)
    assert {check["name"]: check["count"] for check in found["checks"]}["snapshots"] == 2
    assert "begins after command 230" in admin("verify", archived).stdout
    assert "which the reference needs" in admin("verify", archived, "--reference", code=1).stderr
    for at in (230, 300, COUNT):
        state = read_json(admin("state", archived, "--at", at, "--orders", "--json").stdout)
        expected = read_json(admin("state", whole, "--at", at, "--orders", "--json").stdout)
        assert state == expected | {"begins_behind": 230}
    assert "begins after command 230" in admin("state", archived).stdout
    assert "allowed: 230, the snapshot's, or later" in admin("state", archived, "--at", 229, code=2).stderr
    assert "begins after command 230" in admin("replay", archived).stdout
    lines = admin("dump", archived).stdout.splitlines()
    expected = admin("dump", whole, "--from", 201).stdout.splitlines()
    assert lines[1:] == expected[1:]
    assert lines[0].startswith("       201 ")  # of the terms of a command that is not there
    assert "begins with command 201" in admin("dump", archived).stderr
    assert admin("dump", archived, "--events").stdout == admin("dump", whole, "--events", "--from", 231).stdout
    compared = read_json(admin("diff", archived, whole, "--json").stdout)
    assert (compared["equal"], compared["begins_behind"], compared["commands"]) == (True, 230, COUNT - 230)
    assert "begins after command 230" in admin("diff", whole, archived).stdout
    assert files(archived) == kept


def test_journals_that_begin_differently_are_told_apart(archived: Path, tmp_path: Path) -> None:
    """States behind the first command that both are there from are compared first."""
    other = tmp_path / "other"
    write_journal(other, flow(8, COUNT, limits=LIMITS))
    assert "different in state after command 230" in admin("diff", archived, other, code=1).stdout


def test_export_of_an_archived_journal_begins_with_what_is_there(archived: Path, tmp_path: Path) -> None:
    """Symbols of instruments that were defined before are known from the snapshot."""
    parquet = pytest.importorskip("pyarrow.parquet")
    assert "begins with command 201" in admin("export", archived, tmp_path / "all.parquet").stdout
    rows = parquet.read_table(tmp_path / "all.parquet").to_pylist()
    assert [row["sequence"] for row in rows] == list(range(201, COUNT + 1))
    with Replay(archived, snapshot=230) as replay:
        assert replay.view is not None
        symbols = {number: instrument.symbol for number, instrument in replay.view.instruments.values()}
    named = [row for row in rows if row["kind"] == CommandKind.NEW_ORDER and row["instrument"] in symbols]
    assert named
    assert all(row["symbol"] == symbols[row["instrument"]] for row in named)
    written = read_json(admin("export", archived, tmp_path / "some.parquet", "--events", "--json").stdout)
    assert (written["first_sequence"], written["command_count"]) == (231, COUNT - 230)


def test_a_moment_is_found_in_an_archived_journal(archived: Path, commands: Records) -> None:
    """replay --until counts from where the journal begins."""
    times = commands["timestamp_ns"].tolist()
    moment = times[299]
    later = next(index for index, time in enumerate(times) if index >= 200 and time > moment)  # from command 201 on
    assert last_sequence_until(archived, moment) == later
