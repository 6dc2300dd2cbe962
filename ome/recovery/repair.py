"""What is wrong with a journal, and what can be done about it.

`diagnose` looks as a start and `verify` do, and changes nothing; what it finds is a row of `findings.TABLE`, with one of its remedies.
`apply_remedy` does it. There may be more wrong behind it: diagnose again. `copy_directory` comes before the first. `quarantine` is for a
command that trips an assertion.

All of it is for the one process that uses the directory. What is taken out of the journal gets the name `<name>.set-aside`; nothing is
removed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ome._native import ffi, lib
from ome.errors import OmeError
from ome.journal import (
    DecisionKind,
    JournalError,
    JournalIntegrityError,
    JournalReader,
    JournalReport,
    ReplayAssertionError,
    Verdict,
)
from ome.lock import LOCK_FILE
from ome.recovery import Replay
from ome.recovery.checker import find_old_damage
from ome.recovery.directory import first_sequence, segment_first_sequence, segments, sync_directory
from ome.recovery.findings import Finding, Remedy, row_of
from ome.recovery.manifest import (
    MANIFEST_FILE,
    ManifestError,
    ManifestLine,
    append_manifest,
    check_manifest,
    check_segment,
    read_manifest,
    read_seal,
    remake_lines,
    replace_manifest,
)
from ome.recovery.snapshots import inspect_snapshot, snapshot_path, snapshot_sequences
from ome.recovery.verification import Verification, verify

__all__ = ["Diagnosis", "RepairError", "apply_remedy", "copy_directory", "diagnose", "quarantine"]

_SET_ASIDE: Final = ".set-aside"
_BROKEN: Final = ".broken"
_NEW_SEGMENT: Final = "journal-new.tmp"

Progress = Callable[[int], None]


class RepairError(OmeError):
    """A repair that cannot be done, or not in this way. Nothing was changed by the step that raises it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is `wrong`, empty where nothing is, and what the `remedy` does and loses: `plan`, a sentence. `finding` is the row of the table.

    `sequence` is that of the first command that cannot be read, of the one that trips an assertion, or of the snapshot that is not of this
    journal or broken. `snapshot` is that of the snapshot to begin behind, `copy` the good copy of a segment, `event` the number of the last
    event of the event log that is right, or of the first event of the last segment to be set aside. `damaged` are the segments that the
    manifest finds to be other than they were. `is_loss` says that the remedy is done only where somebody accepts what it loses.
    """

    finding: Finding | None
    remedy: Remedy
    wrong: str
    plan: str
    sequence: int = 0
    snapshot: int = 0
    copy: Path | None = None
    event: int = 0
    damaged: tuple[str, ...] = ()
    is_loss: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether a start does all that is to be done."""
        return self.remedy in (Remedy.NOTHING, Remedy.NEXT_START)


def diagnose(directory: Path, *, source: Path | None = None, progress: Progress = lambda _: None) -> Diagnosis:
    """Looks for the first thing that is wrong. `source` is a directory that may have good copies of segments.

    Raises JournalError where nothing can be read.
    """
    try:
        with JournalReader(directory, first=first_sequence(directory)) as reader:
            try:
                for commands in reader:
                    progress(int(commands["sequence"][-1]))
            except JournalIntegrityError as error:
                if not error.report.is_of_decisions:
                    return _of_damage(directory, source, reader, error)
                raise
            report = reader.report
    except JournalIntegrityError as error:
        plan = (
            f"they are set aside, in files *{_SET_ASIDE}; where a command was quarantined it trips again, and has to be quarantined again"
        )
        return _diagnosis(Finding.DECISIONS, Remedy.SET_DECISIONS_ASIDE, f"decisions: {error}", plan)
    return _of_whole_journal(directory, source, report, progress)


def _diagnosis(finding: Finding, remedy: Remedy, wrong: str, plan: str, **fields: Any) -> Diagnosis:
    """One that is of the table."""
    row = row_of(finding)
    assert remedy in row.remedies, f"{finding}: {remedy} is none of its remedies"
    fields = {"is_loss": remedy in row.needs_accept} | fields
    return Diagnosis(finding=finding, remedy=remedy, wrong=wrong, plan=plan, **fields)


def _of_damage(directory: Path, source: Path | None, reader: JournalReader, error: JournalIntegrityError) -> Diagnosis:
    """The journal cannot be read to its end."""
    report = error.report
    wrong = f"damage: {error}"
    loss = ffi.new("ome_replay_loss_t *")
    status = lib.ome_replay_survey(reader.pointer, loss)
    if status == lib.OME_INVALID:
        plan = "this is no damage of bytes, and not to be repaired: another version of ome reads it, or it was written by something else"
        return _diagnosis(Finding.FOREIGN, Remedy.NONE, wrong, plan)
    reader.check(status)
    damaged = _damaged_by_manifest(directory)
    lost = report.sequence_expected
    # The oldest that has the state behind the damage: as much as can be stays readable. What is damaged behind it is found next.
    snapshot = next((one for one in snapshot_sequences(directory) if one >= lost and _is_whole(directory, one)), None)
    finding = Finding.OLD_SEGMENT if _is_before_start(directory, report) else Finding.SEGMENT
    copy = None if source is None else _good_copy(directory, source, report)
    if copy is not None:
        plan = f"{copy} is a good copy and takes its place: nothing is lost"
        return _diagnosis(finding, Remedy.COPY, wrong, plan, sequence=lost, copy=copy, damaged=damaged)
    if snapshot is not None:
        return _diagnosis(finding, Remedy.BEGIN, wrong, _begin_plan(snapshot), sequence=lost, snapshot=snapshot, damaged=damaged)
    last = f"commands {lost:,} to {loss.last_sequence:,}" if loss.last_sequence else f"command {lost:,} and what came behind it"
    plan = (
        f"{last}, {loss.record_count:,} of them readable, are no longer part of the journal; "
        f"they are saved in files *.torn-* and *{_SET_ASIDE}"
    )
    return _diagnosis(finding, Remedy.CUT, wrong, plan, sequence=lost, damaged=damaged)


def _is_before_start(directory: Path, report: JournalReport) -> bool:
    """Whether the damage is in a segment that no start reads, since one behind it holds what follows the newest whole snapshot."""
    newest = next((one for one in reversed(snapshot_sequences(directory)) if _is_whole(directory, one)), None)
    if newest is None:
        return False
    begins = max((one for path in segments(directory) if (one := segment_first_sequence(path.name)) <= newest + 1), default=0)
    is_missing = Path(report.path) == directory
    return (report.sequence_expected if is_missing else segment_first_sequence(Path(report.path).name)) < begins


def _begin_plan(snapshot: int) -> str:
    return (
        f"the journal is made to begin behind the snapshot of command {snapshot:,}, which has the state: nothing that was acknowledged is "
        f"lost, but commands 1 to {snapshot:,} cannot be read any more"
    )


def _is_whole(directory: Path, sequence: int) -> bool:
    found = inspect_snapshot(directory, sequence)
    return found is not None and not found.fault


def _of_whole_journal(directory: Path, source: Path | None, report: JournalReport, progress: Progress) -> Diagnosis:
    """Every record can be read: whether a start can do with them what it has to, and whether verify finds all well."""
    first = first_sequence(directory)
    whole = [sequence for sequence in snapshot_sequences(directory) if _is_whole(directory, sequence)]
    if whole and (found := _of_snapshot(directory, whole, first)) is not None:
        return found
    if first > 1 and not whole:
        return _of_beginning(source, first)
    try:
        with Replay(directory, from_snapshot=True, checks_events=True) as replay:
            replay.run(progress=progress)
    except ReplayAssertionError as error:
        plan = f"--quarantine {error.report.sequence_found} makes of it a command that is rejected"
        return _diagnosis(Finding.ASSERTION, Remedy.QUARANTINE, str(error), plan, sequence=error.report.sequence_found)
    except JournalIntegrityError as error:
        if error.report.is_of_event_log:
            return _of_event_log(directory, error.report, str(error), is_old=False)
        return _diagnosis(Finding.FOREIGN, Remedy.NONE, str(error), "this is no damage of bytes, and not to be repaired")
    verified = verify(directory, progress=progress)
    if (found := _of_verification(directory, source, verified)) is not None:
        return found
    if report.verdict is Verdict.TORN:
        wrong = f"a torn tail of {report.torn_bytes:,} bytes in {report.path}, which nobody was told of"
        return _diagnosis(Finding.TORN_TAIL, Remedy.NEXT_START, wrong, "the next start cuts it off and keeps it beside")
    return Diagnosis(finding=None, remedy=Remedy.NOTHING, wrong="", plan="")


def _of_verification(directory: Path, source: Path | None, verified: Verification) -> Diagnosis | None:
    """A start has what it needs: what verify finds beyond that."""
    failed = {check.name: check for check in verified.checks if not check.is_ok}
    if "journal" in failed:
        return _diagnosis(Finding.FOREIGN, Remedy.NONE, failed["journal"].detail, "this is no damage of bytes, and not to be repaired")
    if "events" in failed:
        stored = None if verified.report.is_of_event_log else find_old_damage(directory, "events")
        if stored is not None:
            return _set_events_aside(Finding.OLD_EVENTS, directory, stored.text, stored.path.name)
        return _of_event_log(directory, verified.report, failed["events"].detail, is_old=True)
    if "replay" in failed:
        finding = Finding.OLD_ASSERTION if verified.state_hash is None else Finding.ENGINE
        plan = "this is a fault of ome, and none of the journal: report it"
        return _diagnosis(finding, Remedy.NONE, failed["replay"].detail, plan, sequence=verified.sequence)
    if (snapshots := failed.get("snapshots")) is not None:
        assert snapshots.finding is not None, "the check says how"
        plan = f"it is set aside as {_BROKEN}: a start begins with the one before, or with the first command"
        return _diagnosis(snapshots.finding, Remedy.SET_SNAPSHOT_ASIDE, snapshots.detail, plan, sequence=snapshots.sequence)
    return _of_manifest(directory, source) if "manifest" in failed else None


def _of_beginning(source: Path | None, first: int) -> Diagnosis:
    """The first segments are not there, and no snapshot is whole."""
    wrong = f"the journal begins with command {first:,}, and no snapshot is whole"
    for path in segments(source) if source is not None else []:
        seal = read_seal(path)
        if seal is not None and seal.record_count > 0 and seal.last_sequence == first - 1:
            plan = f"{path} holds the commands before and is put back: nothing is lost"
            return _diagnosis(Finding.BEGINNING, Remedy.COPY, wrong, plan, copy=path)
    plan = "put the segments before back, from the archive or a backup (--from)"
    return _diagnosis(Finding.BEGINNING, Remedy.NONE, wrong, plan)


def _of_snapshot(directory: Path, whole: list[int], first: int) -> Diagnosis | None:
    """Whether the newest snapshot and the journal belong together."""
    newest = whole[-1]
    with Replay(directory, snapshot=newest) as replay:
        try:
            replay.step(1)
        except ReplayAssertionError:
            return None
        except JournalIntegrityError as error:
            if error.report.verdict is Verdict.ABSENT and error.report.sequence_found == 0:
                wrong = f"the journal ends before command {newest:,}, of which there is a snapshot: its end is missing"
                plan = f"{_begin_plan(newest)}; whether there were later ones nobody can say"
                return _diagnosis(Finding.END, Remedy.BEGIN, wrong, plan, sequence=newest, snapshot=newest)
            wrong = f"the snapshot of command {newest:,} is not of this journal: {error}"
            if first > 1 and len(whole) == 1:
                plan = "put the segments before back, from the archive or a backup (--from)"
                return _diagnosis(Finding.BEGINNING, Remedy.NONE, wrong, plan)
            plan = f"it is set aside as {_BROKEN}: a start begins with the one before, or with the first command"
            return _diagnosis(Finding.SNAPSHOT_OTHER, Remedy.SET_SNAPSHOT_ASIDE, wrong, plan, sequence=newest)
    return None


def _of_event_log(directory: Path, report: JournalReport, wrong: str, *, is_old: bool) -> Diagnosis:
    """The journal is whole, and its event log is not what it gives."""
    event = report.events_right
    plan = (
        f"the event log is made to end behind event {event:,}, and the next start completes it from the journal; "
        f"what is cut off is saved in files *.torn-* and *{_SET_ASIDE}"
    )
    if event == 0:
        plan = f"no event of it is right: the event log is set aside, in files *{_SET_ASIDE}, and a new one begins with the next event"
    if report.events_ahead > 0:
        with JournalReader(directory) as reader:
            is_cut = any(made.kind is DecisionKind.CUT and made.sequence == report.last_sequence + 1 for made in reader.decisions)
        if not is_cut:
            plan = (
                "its last segments from a backup heal this, put in place by hand; "
                f"without them {plan}, and what the journal lost stays lost"
            )
        return _diagnosis(Finding.EVENTS_AHEAD, Remedy.CUT_EVENTS, wrong, plan, event=event, is_loss=not is_cut)
    if report.events_differ:
        return _diagnosis(Finding.EVENTS_DIFFER, Remedy.CUT_EVENTS, wrong, plan, event=event)
    finding = Finding.OLD_EVENTS if is_old else Finding.EVENTS
    if event > 0 and (first_sequence(directory) == 1 or _has_snapshot_before(directory, event)):
        return _diagnosis(finding, Remedy.CUT_EVENTS, wrong, plan, event=event)
    damaged = Path(report.path).name if Path(report.path) != directory else f"events-{report.sequence_expected:020d}.ome"
    return _set_events_aside(finding, directory, wrong, damaged)


def _set_events_aside(finding: Finding, directory: Path, wrong: str, damaged: str) -> Diagnosis:
    left = any(path.name > damaged for path in segments(directory, "events"))
    plan = f"the event log is set aside up to and with {damaged}, in files *{_SET_ASIDE}, and "
    plan += "begins behind it" if left else "a new one begins with the next event"
    return _diagnosis(finding, Remedy.SET_EVENTS_ASIDE, wrong, plan, event=segment_first_sequence(damaged))


def _has_snapshot_before(directory: Path, event: int) -> bool:
    """Whether the events behind this one can be made again, beginning with a snapshot."""
    found = (inspect_snapshot(directory, sequence) for sequence in snapshot_sequences(directory))
    return any(one is not None and not one.fault and one.event_count <= event for one in found)


# ---- manifest and copies ----


def _lines(directory: Path) -> list[ManifestLine]:
    """Of the manifest, none where it cannot be read."""
    try:
        return read_manifest(directory)[0]
    except ManifestError:
        return []


def _damaged_by_manifest(directory: Path) -> tuple[str, ...]:
    """The segments whose bytes are not those that the manifest has the digest of, or that are missing; what was archived is not."""
    lines = _lines(directory)
    archived = next((index for index, line in enumerate(lines) if (directory / line.name).exists()), len(lines))
    return tuple(line.name for line in lines[archived:] if not _fits(directory / line.name, line))


def _fits(path: Path, line: ManifestLine) -> bool:
    try:
        check_segment(path, line)
    except ManifestError:
        return False
    return True


def _of_manifest(directory: Path, source: Path | None) -> Diagnosis | None:
    try:
        check_manifest(directory)
    except ManifestError as error:
        wrong = str(error)
        if remake_lines(directory)[1]:
            plan = "it is made again from the segments, which are those that it was made of; the damaged one is set aside: nothing is lost"
            return _diagnosis(Finding.MANIFEST, Remedy.NEW_MANIFEST, wrong, plan)
        damaged = _damaged_by_manifest(directory)
        lines = {line.name: line for line in _lines(directory)}
        copy = next((source / name for name in damaged if source is not None and _fits(source / name, lines[name])), None)
        if copy is not None:
            plan = f"{copy} has the digest of the manifest and takes its place: nothing is lost"
            return _diagnosis(Finding.CHANGED, Remedy.COPY, wrong, plan, copy=copy, damaged=damaged)
        plan = (
            "the journal can be read, and is not the one of the manifest: only a copy whose digest is right heals this (--from). "
            f"Without one the manifest is set aside ({MANIFEST_FILE}{_SET_ASIDE}), and a new one begins with the segments as they are: "
            "what they were is no longer proven"
        )
        return _diagnosis(Finding.CHANGED, Remedy.NEW_MANIFEST, wrong, plan, damaged=damaged)
    return None


def _good_copy(directory: Path, source: Path, report: JournalReport) -> Path | None:
    """A copy of the segment that the damage is in, or that is missing, with which the journal can be read further."""
    is_missing = Path(report.path) == directory
    name = f"journal-{report.sequence_expected:020d}.ome" if is_missing else Path(report.path).name
    copy = source / name
    line = next((line for line in _lines(directory) if line.name == name), None)
    if not copy.is_file() or read_seal(copy) is None or (line is not None and not _fits(copy, line)):
        return None
    with tempfile.TemporaryDirectory() as trial:
        for path in (*segments(directory), *directory.glob("decisions-*.ome")):
            (Path(trial) / path.name).symlink_to(path.resolve())
        (Path(trial) / name).unlink(missing_ok=True)
        (Path(trial) / name).symlink_to(copy.resolve())
        with JournalReader(trial, first=min(first_sequence(directory), segment_first_sequence(name))) as reader:
            try:
                for _ in reader:
                    pass
            except JournalIntegrityError as error:
                found = error.report
                return copy if found.sequence_expected > report.sequence_expected and Path(found.path).name != name else None
    return copy


# ---- what is done ----


def copy_directory(directory: Path) -> Path:
    """Copies all files of the directory to `<directory>.before-repair-<UTC time>`, on disk when this returns. Returns where.

    Raises RepairError where there is not enough room, or OSError.
    """
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = directory.resolve().with_name(f"{directory.resolve().name}.before-repair-{moment}")
    files = [path for path in sorted(directory.iterdir()) if path.is_file() and path.name != LOCK_FILE]
    sizes = [path.stat().st_size for path in files]
    needed = sum(sizes) + max(sizes, default=0)  # what is made anew is no larger than a segment
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise RepairError("room for a copy", where=str(target.parent), found=f"{free:,} bytes", allowed=f"{needed:,} bytes")
    target.mkdir()
    for path in files:
        shutil.copy2(path, target / path.name)
        with (target / path.name).open("r+b") as file:
            os.fsync(file.fileno())
    sync_directory(target)
    sync_directory(target.parent)
    return target


def apply_remedy(directory: Path, found: Diagnosis) -> None:
    """Does what the diagnosis says. May be interrupted and repeated.

    Raises RepairError where it cannot be done, JournalError for a failed call, or OSError.
    """
    if found.remedy is Remedy.COPY:
        assert found.copy is not None, "the diagnosis has it"
        _put_copy(directory, found.copy)
    elif found.remedy is Remedy.BEGIN:
        _begin_behind(directory, found.snapshot)
    elif found.remedy is Remedy.CUT:
        _cut(directory, found.sequence)
    elif found.remedy is Remedy.CUT_EVENTS:
        _cut_events(directory, found.event)
    elif found.remedy is Remedy.SET_SNAPSHOT_ASIDE:
        _rename(snapshot_path(directory, found.sequence), _BROKEN)
    elif found.remedy is Remedy.SET_EVENTS_ASIDE:
        _set_aside(path for path in segments(directory, "events") if segment_first_sequence(path.name) <= found.event)
    elif found.remedy is Remedy.SET_DECISIONS_ASIDE:
        _set_aside(segments(directory, "decisions"))
    elif found.remedy is Remedy.NEW_MANIFEST:
        _new_manifest(directory)
    else:
        raise RepairError("repair", where=str(directory), found=found.remedy.value, allowed="a remedy that a repair can do")


def _free_path(path: Path, suffix: str) -> Path:
    """A name that nothing has yet."""
    free, number = path.with_name(path.name + suffix), 1
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}{suffix}-{number}")
    return free


def _rename(path: Path, suffix: str) -> Path:
    to = _free_path(path, suffix)
    path.rename(to)
    sync_directory(path.parent)
    return to


def _set_aside(paths: Iterable[Path]) -> None:
    """From the last to the first: what is left is a beginning, should it be interrupted. Of an event log it may be its end."""
    for path in sorted(paths, reverse=True):
        _rename(path, _SET_ASIDE)


def _new_manifest(directory: Path) -> None:
    lines, _ = remake_lines(directory)
    os.link(directory / MANIFEST_FILE, _free_path(directory / MANIFEST_FILE, _SET_ASIDE))
    replace_manifest(directory, lines)


def _put_copy(directory: Path, copy: Path) -> None:
    """The copy is whole and on disk before it has the name; the segment that it replaces keeps another."""
    target, new = directory / copy.name, directory / _NEW_SEGMENT
    shutil.copyfile(copy, new)
    with new.open("r+b") as file:
        os.fsync(file.fileno())
    if target.exists():
        os.link(target, _free_path(target, _SET_ASIDE))
    new.replace(target)
    sync_directory(directory)


def _decide(directory: Path, kind: DecisionKind, sequence: int, checksum: int = 0) -> None:
    status = lib.ome_decision_make(os.fsencode(directory), kind, sequence, checksum)
    if status != lib.OME_OK:
        reasons = {lib.OME_FULL: "1,024 of them", lib.OME_IO_ERROR: os.strerror(ffi.errno)}
        found = reasons.get(status, f"status {status}")
        raise RepairError("decisions", where=str(directory), found=found, allowed="decisions that one more can be added to")


def _begin_behind(directory: Path, snapshot: int) -> None:
    """What the manifest says of segments that are no part of the journal any more proves nothing: a new one begins with what is left."""
    manifest = directory / MANIFEST_FILE
    kept = _rename(manifest, _SET_ASIDE) if manifest.exists() else None
    with Replay(directory, snapshot=snapshot) as replay:
        status = lib.ome_replay_begin_journal(replay.pointer)
        if status in (lib.OME_DAMAGED, lib.OME_UNSUPPORTED):
            if kept is not None:
                kept.rename(manifest)
            raise RepairError(
                "journal",
                where=str(directory),
                found=replay.report.reason,
                allowed=f"records that follow the snapshot of command {snapshot:,}",
            )
        replay.check(status)
    _decide(directory, DecisionKind.BEGIN, snapshot + 1)
    if kept is not None:
        append_manifest(directory)


def _cut(directory: Path, sequence: int) -> None:
    """The decision comes first: one about a command that is cut off must not be taken for one about that which gets its sequence."""
    has_manifest = (directory / MANIFEST_FILE).exists()
    with JournalReader(directory, first=first_sequence(directory)) as reader:
        try:
            for _ in reader:
                pass
        except JournalIntegrityError as error:
            if error.report.sequence_expected != sequence:
                raise
        _decide(directory, DecisionKind.CUT, sequence)
        place = Path(reader.report.path)
        if has_manifest:
            _cut_manifest(directory, sequence if place == directory else segment_first_sequence(place.name))
        for one in snapshot_sequences(directory):
            if one >= sequence:
                _rename(snapshot_path(directory, one), _SET_ASIDE)
        reader.check(lib.ome_replay_cut(reader.pointer))
    if has_manifest:
        append_manifest(directory)


def _cut_events(directory: Path, event: int) -> None:
    """Where no event is right, no segment is."""
    status = lib.ome_event_log_cut(os.fsencode(directory), event)
    if status == lib.OME_NOT_FOUND:
        _set_aside(segments(directory, "events"))
    elif status != lib.OME_OK:
        found = os.strerror(ffi.errno) if status == lib.OME_IO_ERROR else f"status {status}"
        raise JournalError("event log", where=str(directory), found=found, allowed="segments that can be read and cut")


def _cut_manifest(directory: Path, first: int) -> None:
    """Leaves the lines of the segments before that which begins with `first`."""
    left = [line for line in _lines(directory) if line.first_sequence < first]
    manifest = directory / MANIFEST_FILE
    os.link(manifest, _free_path(manifest, _SET_ASIDE))
    replace_manifest(directory, left)


# ---- quarantine ----


def quarantine(directory: Path, sequence: int, *, prepare: Callable[[], None] = lambda: None, progress: Progress = lambda _: None) -> None:
    """Makes of the command that trips an assertion one that is rejected, by a decision on disk. `prepare` is called before.

    Raises RepairError, with nothing changed, unless a replay as a start does it trips an assertion at exactly this command, and does not
    where the command is rejected.
    """
    tripping = _tripping(directory, None, progress)
    if tripping != sequence:
        found = "none" if tripping is None else f"command {tripping:,}"
        raise RepairError("command that trips an assertion", where=str(directory), found=found, allowed=f"command {sequence:,}")
    with JournalReader(directory, first=sequence) as reader:
        reader.read(1)
        checksum = reader.report.record_checksum
    try:
        still = _tripping(directory, (sequence, checksum), progress)
    except JournalIntegrityError as error:
        raise RepairError("journal", where=str(directory), found=str(error), allowed="one that goes on without the command") from None
    if still is not None and still <= sequence:
        allowed = "one that does not when the command is rejected: its time alone does it"
        raise RepairError("assertion", where=str(directory), found=f"tripped at command {still:,}", allowed=allowed)
    prepare()
    _decide(directory, DecisionKind.QUARANTINE, sequence, checksum)
    _bring_events_in_line(directory)


def _tripping(directory: Path, supposed: tuple[int, int] | None, progress: Progress) -> int | None:
    """The command that trips an assertion, if one does; `supposed` is sequence and checksum of one that counts as quarantined."""
    with Replay(directory, from_snapshot=True) as replay:
        if supposed is not None:
            lib.ome_replay_suppose(replay.pointer, *supposed)
        try:
            replay.run(to=None if supposed is None else supposed[0], progress=progress)
        except ReplayAssertionError as error:
            return error.report.sequence_found
    return None


def _bring_events_in_line(directory: Path) -> None:
    """What the event log has of a command that says something else now, and behind it, is cut off."""
    try:
        with Replay(directory, from_snapshot=True, checks_events=True) as replay:
            replay.run()
    except ReplayAssertionError:
        return  # another command: it is not this one's business
    except JournalIntegrityError as error:
        if not error.report.is_of_event_log:
            raise
        _cut_events(directory, error.report.events_right)
