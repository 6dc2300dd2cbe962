"""`diagnose`: looks at a journal as a start and as `verify` do, and says what is wrong first. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from ome.audit import AUDIT_FILE
from ome.journal import JournalIntegrityError, JournalReader, JournalReport, ReplayAssertionError, Verdict
from ome.recovery import Replay
from ome.recovery.checker import find_old_damage
from ome.recovery.checks import CheckResult
from ome.recovery.directory import first_sequence
from ome.recovery.findings import Finding, Remedy
from ome.recovery.repair.beginning import of_beginning, of_snapshot
from ome.recovery.repair.copies import of_manifest
from ome.recovery.repair.damage import of_damage
from ome.recovery.repair.diagnosis import Diagnosis, Progress, diagnosed, is_whole
from ome.recovery.repair.event_log import of_damaged_events, of_event_log
from ome.recovery.repair.set_aside import BROKEN, SET_ASIDE
from ome.recovery.snapshots import snapshot_sequences
from ome.recovery.verification import Verification, verify

__all__ = ["CHECKS", "diagnose"]


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
                    return of_damage(directory, source, reader, error)
                raise
            report = reader.report
    except JournalIntegrityError as error:
        plan = f"they are set aside, in files *{SET_ASIDE}; where a command was quarantined it trips again, and has to be quarantined again"
        return diagnosed(Finding.DECISIONS, Remedy.SET_DECISIONS_ASIDE, f"decisions: {error}", plan)
    return _of_whole_journal(directory, source, report, progress)


def _of_whole_journal(directory: Path, source: Path | None, report: JournalReport, progress: Progress) -> Diagnosis:
    """Every record can be read: whether a start can do with them what it has to, and whether verify finds all well."""
    first = first_sequence(directory)
    whole = [sequence for sequence in snapshot_sequences(directory) if is_whole(directory, sequence)]
    if whole and (found := of_snapshot(directory, whole, first)) is not None:
        return found
    if first > 1 and not whole:
        return of_beginning(source, first)
    try:
        with Replay(directory, from_snapshot=True, checks_events=True) as replay:
            replay.run(progress=progress)
    except ReplayAssertionError as error:
        plan = f"--quarantine {error.report.sequence_found} makes of it a command that is rejected"
        return diagnosed(Finding.ASSERTION, Remedy.QUARANTINE, str(error), plan, sequence=error.report.sequence_found)
    except JournalIntegrityError as error:
        if error.report.is_of_event_log:
            return of_event_log(directory, error.report, str(error), is_old=False)
        return diagnosed(Finding.FOREIGN, Remedy.NONE, str(error), "this is no damage of bytes, and not to be repaired")
    verified = verify(directory, progress=progress)
    if (found := _of_verification(directory, source, verified)) is not None:
        return found
    if report.verdict is Verdict.TORN:
        wrong = f"a torn tail of {report.torn_bytes:,} bytes in {report.path}, which nobody was told of"
        return diagnosed(Finding.TORN_TAIL, Remedy.NEXT_START, wrong, "the next start cuts it off and keeps it beside")
    torn = next((check for check in verified.checks if check.finding is Finding.AUDIT_TORN), None)
    if torn is not None:
        return diagnosed(Finding.AUDIT_TORN, Remedy.NEXT_START, torn.detail, "the next start cuts it off and says so in the file")
    return Diagnosis(finding=None, remedy=Remedy.NOTHING, wrong="", plan="")


def _of_journal(directory: Path, source: Path | None, verified: Verification, failed: CheckResult) -> Diagnosis:
    return diagnosed(Finding.FOREIGN, Remedy.NONE, failed.detail, "this is no damage of bytes, and not to be repaired")


def _of_events(directory: Path, source: Path | None, verified: Verification, failed: CheckResult) -> Diagnosis:
    stored = None if verified.report.is_of_event_log else find_old_damage(directory, "events")
    if stored is not None:
        return of_damaged_events(Finding.OLD_EVENTS, directory, stored.text, stored.path.name)
    return of_event_log(directory, verified.report, failed.detail, is_old=True)


def _of_replay(directory: Path, source: Path | None, verified: Verification, failed: CheckResult) -> Diagnosis:
    finding = Finding.OLD_ASSERTION if verified.state_hash is None else Finding.ENGINE
    plan = "this is a fault of ome, and none of the journal: report it"
    return diagnosed(finding, Remedy.NONE, failed.detail, plan, sequence=verified.sequence)


def _of_snapshots(directory: Path, source: Path | None, verified: Verification, failed: CheckResult) -> Diagnosis:
    assert failed.finding is not None, "the check says how"
    plan = f"it is set aside as {BROKEN}: a start begins with the one before, or with the first command"
    return diagnosed(failed.finding, Remedy.SET_SNAPSHOT_ASIDE, failed.detail, plan, sequence=failed.sequence)


def _of_segments(directory: Path, source: Path | None, verified: Verification, failed: CheckResult) -> Diagnosis | None:
    return of_manifest(directory, source)


def _of_audit(directory: Path, source: Path | None, verified: Verification, failed: CheckResult) -> Diagnosis:
    plan = (
        f"the audit file is set aside ({AUDIT_FILE}{SET_ASIDE}), and a new one goes on behind the last line that the manifest names: "
        "find out first who changed it, and whether a backup has the lines"
    )
    return diagnosed(Finding.AUDIT, Remedy.SET_AUDIT_ASIDE, failed.detail, plan)


CHECKS: Final[Mapping[str, Callable[[Path, Path | None, Verification, CheckResult], Diagnosis | None]]] = {
    "journal": _of_journal,
    "events": _of_events,
    "replay": _of_replay,
    "snapshots": _of_snapshots,
    "manifest": _of_segments,
    "audit": _of_audit,
}
"""What each check of verify that has failed comes to, the first one that counts first: by directory, source and what verify found."""


def _of_verification(directory: Path, source: Path | None, verified: Verification) -> Diagnosis | None:
    """A start has what it needs: what verify finds beyond that."""
    failed = {check.name: check for check in verified.checks if not check.is_ok}
    name = next((name for name in CHECKS if name in failed), None)
    return None if name is None else CHECKS[name](directory, source, verified, failed[name])
