"""The table of findings, row by row: the damage is made, verify finds it, repair names and does the remedy, and then all is well."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from test_event_log import trade
from test_recovery import crc32c
from test_repair import Miscounting, traded
from venues import venue_config

from ome._native import lib
from ome.audit import AUDIT_FILE
from ome.cli.admin import main
from ome.config import ServerConfig
from ome.engine import EngineView
from ome.errors import InvariantError
from ome.journal import DecisionKind, JournalIntegrityError
from ome.recovery import Replay
from ome.recovery.archive import archive_segments
from ome.recovery.directory import segments
from ome.recovery.findings import TABLE, WAYS, Doer, Finding, Remedy, Row, Start, Way, markdown, way_of, ways_markdown
from ome.recovery.manifest import MANIFEST_FILE
from ome.recovery.repair.diagnosing import CHECKS
from ome.recovery.repair.remedies import REMEDIES
from ome.recovery.snapshots import snapshot_path, snapshot_sequences
from ome.recovery.verification import verify
from ome.server import Server

__all__ = ["traded"]

HEADER_SIZE: Final = 4_096
COMMAND_SIZE: Final = 74  # of a record
EVENT_SIZE: Final = 82
SEAL_SIZE: Final = 42
DOCS: Final = Path(__file__).parent.parent / "docs"


def config(directory: Path) -> ServerConfig:
    """Small segments, a snapshot at the end of each run, no check in the background."""
    return venue_config(directory, segment_bytes=64 << 10, check_bytes_per_second=0)


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of a venue: six segments of the journal, and as many or more of the event log, three snapshots, the manifest."""
    directory = tmp_path_factory.mktemp("venue") / "data"
    for price in (1_000, 2_000, 3_000):
        trade(config(directory), price, count=900)
    assert len(segments(directory)) == 6 <= len(segments(directory, "events"))
    assert len(snapshot_sequences(directory)) == 3
    return directory


@pytest.fixture(scope="module")
def other_venue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venue that has heard something else."""
    directory = tmp_path_factory.mktemp("other") / "data"
    trade(config(directory), 5_000, count=900)
    return directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a damage may use: the directory, whole copies, and the test's tools."""

    directory: Path
    backup: Path
    other: Path
    traded: tuple[Path, dict[int, int]]
    monkeypatch: pytest.MonkeyPatch

    @property
    def snapshots(self) -> list[Path]:
        return [snapshot_path(self.directory, sequence) for sequence in snapshot_sequences(self.directory)]


def flip(path: Path, offset: int) -> None:
    """One bit of one byte; an offset below zero counts from the end."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)


def flip_in_header(path: Path, offset: int, bit: int) -> None:
    """With a checksum that fits."""
    data = bytearray(path.read_bytes())
    data[offset] ^= bit
    data[4092:4096] = crc32c(bytes(data[:4092])).to_bytes(4, "little")
    path.write_bytes(data)


def flip_command(path: Path) -> None:
    """In the fiftieth record."""
    flip(path, HEADER_SIZE + 50 * COMMAND_SIZE + 30)


def flip_event(path: Path) -> None:
    """In the fiftieth record."""
    flip(path, HEADER_SIZE + 50 * EVENT_SIZE + 30)


def forget(paths: list[Path]) -> None:
    """Removes them."""
    for path in paths:
        path.unlink()


def torn_tail(place: Place) -> None:
    """The last segment as a kill leaves it: without its seal, and with half a record; the manifest does not name it yet."""
    last = segments(place.directory)[-1]
    data = last.read_bytes().rstrip(b"\0")
    last.write_bytes(data[: (len(data) - HEADER_SIZE) // COMMAND_SIZE * COMMAND_SIZE + HEADER_SIZE] + b"torn".ljust(1_000, b"\0"))
    manifest = place.directory / MANIFEST_FILE
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:-1]))


def cut_segment(place: Place) -> None:
    """Behind every snapshot that is left."""
    place.snapshots[-1].unlink()
    flip_command(segments(place.directory)[4])


def missing_beginning(place: Place) -> None:
    forget(place.snapshots)
    forget(segments(place.directory)[:2])


def damaged_decisions(place: Place) -> None:
    assert lib.ome_decision_make(os.fsencode(place.directory), DecisionKind.QUARANTINE, 50, 1) == lib.OME_OK
    flip(segments(place.directory, "decisions")[0], HEADER_SIZE + 20)


def tripping(place: Place) -> None:
    """A core that has lost count, and a journal with a cancel that trips it."""
    shutil.rmtree(place.directory)
    shutil.copytree(place.traded[0], place.directory)
    Miscounting(place.monkeypatch, dict([min(place.traded[1].items())]))


def tripping_before_the_snapshot(place: Place) -> None:
    """The same where the core has become wrong since."""
    shutil.rmtree(place.directory)
    shutil.copytree(place.traded[0], place.directory)
    with Replay(place.directory) as replay:
        replay.run()
        replay.snapshot()
    Miscounting(place.monkeypatch, dict([min(place.traded[1].items())]))


def foreign_snapshot(place: Place) -> None:
    forget(place.snapshots)
    shutil.copy(snapshot_path(place.other, snapshot_sequences(place.other)[-1]), place.directory)


def nothing_to_begin_with(place: Place) -> None:
    """The history is archived, one snapshot is left, and the event log is damaged before it."""
    forget(place.snapshots[:-1])
    archive_segments(place.directory, before=1 << 60, target=place.directory.parent / "archive")
    flip_event(segments(place.directory, "events")[0])


def other_events(place: Place) -> None:
    """Whole ones, of a venue that has said something else; the start has no snapshot that would be behind them."""
    forget(place.snapshots)
    forget(segments(place.directory, "events"))
    for path in segments(place.other, "events"):
        shutil.copy(path, place.directory)


def lost_end(place: Place) -> None:
    """The journal as it was before the last run; its event log is not."""
    forget(place.snapshots)
    forget(segments(place.directory)[4:])


def damaged_manifest(place: Place) -> None:
    """A digit of a digest."""
    manifest = place.directory / MANIFEST_FILE
    text = manifest.read_text()
    position = text.index(" ", text.index(" ") + 1) + 5
    manifest.write_text(text[:position] + ("0" if text[position] != "0" else "1") + text[position + 1 :])


def torn_audit(place: Place) -> None:
    """Half a line, as a kill leaves it."""
    with (place.directory / AUDIT_FILE).open("ab") as file:
        file.write(b'{"chain":"00')


def changed_audit(place: Place) -> None:
    """Another word in a line, which stays a line."""
    path = place.directory / AUDIT_FILE
    path.write_bytes(path.read_bytes().replace(b'"asked"', b'"ashed"', 1))


def broken_invariant(place: Place) -> None:
    def broken(view: EngineView) -> None:
        raise InvariantError("a level is out of order")

    place.monkeypatch.setattr(EngineView, "check", broken)


Damage = Callable[[Place], None]
FROM, ACCEPT = "--from", "--accept-loss"

CASES: Final[dict[tuple[Finding, Remedy], tuple[Damage, tuple[str, ...]]]] = {
    (Finding.TORN_TAIL, Remedy.NEXT_START): (torn_tail, ()),
    (Finding.SEGMENT, Remedy.COPY): (cut_segment, (FROM,)),
    (Finding.SEGMENT, Remedy.BEGIN): (lambda place: flip_command(segments(place.directory)[-1]), ()),
    (Finding.SEGMENT, Remedy.CUT): (cut_segment, (ACCEPT,)),
    (Finding.OLD_SEGMENT, Remedy.COPY): (lambda place: flip_command(segments(place.directory)[0]), (FROM,)),
    (Finding.OLD_SEGMENT, Remedy.BEGIN): (lambda place: flip_command(segments(place.directory)[0]), ()),
    (Finding.FOREIGN, Remedy.NONE): (lambda place: flip_in_header(segments(place.directory)[-1], 8, 8), ()),
    (Finding.BEGINNING, Remedy.COPY): (missing_beginning, (FROM,)),
    (Finding.BEGINNING, Remedy.NONE): (missing_beginning, ()),
    (Finding.DECISIONS, Remedy.SET_DECISIONS_ASIDE): (damaged_decisions, (ACCEPT,)),
    (Finding.ASSERTION, Remedy.QUARANTINE): (tripping, ()),
    (Finding.OLD_ASSERTION, Remedy.NONE): (tripping_before_the_snapshot, ()),
    (Finding.SNAPSHOT_BROKEN, Remedy.SET_SNAPSHOT_ASIDE): (lambda place: flip(place.snapshots[1], -10), ()),
    (Finding.SNAPSHOT_OTHER, Remedy.SET_SNAPSHOT_ASIDE): (foreign_snapshot, ()),
    (Finding.END, Remedy.BEGIN): (lambda place: forget(segments(place.directory)[4:]), ()),
    (Finding.EVENTS, Remedy.CUT_EVENTS): (lambda place: flip_event(segments(place.directory, "events")[-1]), ()),
    (Finding.EVENTS, Remedy.SET_EVENTS_ASIDE): (nothing_to_begin_with, ()),
    (Finding.OLD_EVENTS, Remedy.CUT_EVENTS): (lambda place: flip_event(segments(place.directory, "events")[0]), ()),
    (Finding.OLD_EVENTS, Remedy.SET_EVENTS_ASIDE): (lambda place: flip(segments(place.directory, "events")[0], 30), ()),
    (Finding.EVENTS_DIFFER, Remedy.CUT_EVENTS): (other_events, ()),
    (Finding.EVENTS_AHEAD, Remedy.CUT_EVENTS): (lost_end, (ACCEPT,)),
    (Finding.MANIFEST, Remedy.NEW_MANIFEST): (damaged_manifest, ()),
    (Finding.CHANGED, Remedy.COPY): (lambda place: flip_in_header(segments(place.directory)[1], 48, 1), (FROM,)),
    (Finding.CHANGED, Remedy.NEW_MANIFEST): (lambda place: flip_in_header(segments(place.directory)[1], 48, 1), (ACCEPT,)),
    (Finding.AUDIT_TORN, Remedy.NEXT_START): (torn_audit, ()),
    (Finding.AUDIT, Remedy.SET_AUDIT_ASIDE): (changed_audit, (ACCEPT,)),
    (Finding.ENGINE, Remedy.NONE): (broken_invariant, ()),
}


def admin(*arguments: object) -> Result:
    """Runs the command."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def files(directory: Path) -> dict[str, bytes]:
    """All that is told apart: not the lock, and not the counters."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name not in ("lock", "counters.dat")}


def starts(directory: Path) -> bool:
    """Whether a server starts on a copy."""
    copy = directory.with_name("tried")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(directory, copy)
    try:
        with Server(config(copy)):
            return True
    except JournalIntegrityError:
        return False


def rows() -> Iterator[tuple[Row, Remedy]]:
    """Every remedy of every row."""
    return ((row, remedy) for row in TABLE for remedy in row.remedies)


def test_every_row_and_remedy_has_a_case() -> None:
    """And every finding has a row, every remedy is used, and every check of verify is in the table."""
    assert {(row.finding, remedy) for row, remedy in rows()} == CASES.keys()
    assert {row.finding for row in TABLE} == set(Finding)
    assert {remedy for _, remedy in rows()} | {Remedy.NOTHING} == set(Remedy)


def test_every_check_of_verify_has_rows(venue: Path) -> None:
    """What can fail has a remedy, or the table says why there is none."""
    checks = {name for row in TABLE for name in row.check.split(", ") if name}
    assert {check.name for check in verify(venue).checks} | {"reference"} == checks


def test_every_remedy_has_a_way_and_code() -> None:
    """Who does a remedy is in the table; those of a repair, and no others, are in the code that does them; so for the checks of verify."""
    assert [way.remedy for way in WAYS] == list(dict.fromkeys(way.remedy for way in WAYS))
    assert {way.remedy for way in WAYS} == set(Remedy)
    assert {way.remedy for way in WAYS if way.doer is Doer.REPAIR} == REMEDIES.keys()
    assert all(REMEDIES.keys() >= row.needs_accept <= set(row.remedies) for row in TABLE)
    assert {name for row in TABLE for name in row.check.split(", ") if name} == CHECKS.keys() | {"reference"}


def table_of(page: str, head: str) -> list[list[str]]:
    """The rows of the one table of a page that begins with this head."""
    text = (DOCS / page).read_text()
    assert text.count(f"\n{head} ") == 1, head
    lines = text.partition(f"\n{head} ")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_has_the_tables() -> None:
    """docs/JOURNAL.md prints them, in the order of the code; `tools/generate` writes them there."""
    page = (DOCS / "JOURNAL.md").read_text()
    assert markdown() in page
    assert ways_markdown() in page
    assert [row[0] for row in table_of("JOURNAL.md", "| Finding |")] == [row.finding for row in TABLE]
    assert [row[0].strip("`") for row in table_of("JOURNAL.md", "| Remedy |")] == [way.remedy for way in WAYS][1:]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.finding)
def test_a_finding_on_the_page_is_the_row_of_the_code(row: Row) -> None:
    """Every cell, read back."""
    (cells,) = (cells for cells in table_of("JOURNAL.md", "| Finding |") if cells[0] == row.finding)
    remedies = re.findall(r"`([^`-][^`]*)`( \(`--accept-loss`\))?", cells[3])
    read = Row(
        finding=Finding(cells[0]),
        wrong=cells[1],
        check="" if cells[2] == "says it" else cells[2],
        remedies=tuple(Remedy(name) for name, _ in remedies),
        needs_accept=frozenset(Remedy(name) for name, accept in remedies if accept),
        done=cells[4],
        lost=cells[5],
        start=Start(cells[6]),
    )
    assert read == row


@pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.remedy)
def test_a_remedy_on_the_page_is_the_row_of_the_code(way: Way) -> None:
    """Every cell, read back."""
    (cells,) = (cells for cells in table_of("JOURNAL.md", "| Remedy |") if cells[0] == f"`{way.remedy}`")
    assert Way(remedy=Remedy(cells[0].strip("`")), doer=Doer(cells[1]), exit_code=int(cells[3].partition(";")[0])) == way
    accepted = [row.finding for row in TABLE if way.remedy in row.needs_accept]
    assert cells[2] == ", ".join(accepted)
    assert cells[3].endswith("; 3 where it is not accepted") == bool(accepted)


def test_the_operators_page_has_every_remedy() -> None:
    """OPERATING says what to do when a repair names a remedy: each that it may name, and apart those that lose something."""
    cells = [row[0] for row in table_of("OPERATING.md", "| It says |")]
    assert {Remedy(cell.split("`")[1]) for cell in cells} == set(Remedy) - {Remedy.NOTHING}
    apart = {Remedy(cell.split("`")[1]) for cell in cells if "only with `--accept-loss`" in cell}
    sometimes = {
        remedy
        for row in TABLE
        for remedy in row.needs_accept
        if any(remedy in other.remedies and remedy not in other.needs_accept for other in TABLE)
    }
    assert apart == sometimes


@pytest.mark.parametrize(("row", "remedy"), list(rows()), ids=lambda value: value.finding if isinstance(value, Row) else value)
def test_a_finding_is_found_repaired_and_gone(
    venue: Path,
    other_venue: Path,
    traded: tuple[Path, dict[int, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    row: Row,
    remedy: Remedy,
) -> None:
    """As the table says: verify, repair, what a start does before and after."""
    directory = tmp_path / "data"
    shutil.copytree(venue, directory)
    damage, options = CASES[row.finding, remedy]
    damage(Place(directory=directory, backup=venue, other=other_venue, traded=traded, monkeypatch=monkeypatch))
    damaged = files(directory)

    found = admin("verify", directory)
    assert found.exit_code == (3 if row.check else 0), found.output
    if row.finding is Finding.DECISIONS:  # nothing is read without them
        assert "decisions-" in found.output
    elif row.check:
        assert any(f"{check:<10} FAILED" in found.output for check in row.check.split(", ")), found.output
    else:
        assert row.finding in found.output
    assert starts(directory) == (row.start is Start.STARTS)

    if remedy in row.needs_accept:
        refused = admin("repair", directory, "--yes")
        assert (refused.exit_code, f"{remedy}: " in refused.output) == (3, True), refused.output
        assert files(directory) == damaged
    arguments = itertools.chain.from_iterable((option, venue) if option == FROM else (option,) for option in options)
    said = admin("repair", directory, "--yes", *arguments)
    assert f"{row.finding}: " in said.output, said.output
    assert f"{remedy}: " in said.output, said.output
    assert said.exit_code == way_of(remedy).exit_code, said.output
    if way_of(remedy).doer is Doer.QUARANTINE:
        said = admin("repair", directory, "--yes", "--quarantine", min(traded[1]))
        assert said.exit_code == 0, said.output
    copies = list(tmp_path.glob("data.before-repair-*"))
    if way_of(remedy).doer in (Doer.NOBODY, Doer.START):
        assert (files(directory), copies) == (damaged, [])
        return
    (copy,) = copies
    assert files(copy) == damaged
    if remedy is not Remedy.CUT:  # which keeps the tail of the segment in a file of its own
        kept = set(files(directory).values())
        assert all(data in kept for name, data in damaged.items() if name.endswith(".ome") and not name.startswith("events-"))

    assert admin("verify", directory).exit_code == 0
    assert admin("repair", directory, "--yes").stdout == "nothing is wrong\n"
    assert starts(directory)
    after = admin("verify", tmp_path / "tried")
    assert after.exit_code == 0, after.output


def test_damage_of_the_event_log_before_an_archived_history_is_found_and_set_aside(venue: Path, tmp_path: Path) -> None:
    """A replay begins with a snapshot there and never reads the segment; verify and repair do."""
    directory = tmp_path / "data"
    shutil.copytree(venue, directory)
    archive_segments(directory, before=1 << 60, target=tmp_path / "archive")
    old = segments(directory, "events")[0]
    flip(old, 30)
    found = admin("verify", directory)
    assert found.exit_code == 3
    assert f"{'events':<10} FAILED" in found.output
    assert old.name in found.output
    assert starts(directory)
    said = admin("repair", directory, "--yes")
    assert f"{Remedy.SET_EVENTS_ASIDE}: " in said.output, said.output
    assert admin("verify", directory).exit_code == 0
    assert starts(directory)
