"""What can be wrong with a stored journal, what `ome-admin repair` does about it, and what a start does where nobody repairs it.

`TABLE` is the only list of findings, and `WAYS` of remedies. `verify` and `repair` go by both, docs/JOURNAL.md prints them
(tools/generate), and tests/test_findings.py makes every row happen. Standard library only: tools/generate loads this file before anything
is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "TABLE",
    "WAYS",
    "Doer",
    "Finding",
    "Remedy",
    "Row",
    "Start",
    "Way",
    "markdown",
    "remedies_of",
    "row_of",
    "way_of",
    "ways_markdown",
]


class Finding(StrEnum):
    """What is wrong."""

    TORN_TAIL = "torn tail"
    SEGMENT = "damaged segment"
    OLD_SEGMENT = "damaged old segment"
    FOREIGN = "not a journal of this version"
    BEGINNING = "beginning missing"
    DECISIONS = "damaged decisions"
    ASSERTION = "command that trips"
    OLD_ASSERTION = "old command that trips"
    SNAPSHOT_BROKEN = "broken snapshot"
    SNAPSHOT_OTHER = "snapshot of another journal"
    END = "end missing"
    EVENTS = "damaged event log"
    OLD_EVENTS = "damaged old event log"
    EVENTS_DIFFER = "other events"
    EVENTS_AHEAD = "events without commands"
    MANIFEST = "damaged manifest"
    CHANGED = "changed segment"
    AUDIT_TORN = "torn audit line"
    AUDIT = "damaged audit file"
    ENGINE = "engine at fault"


class Remedy(StrEnum):
    """What a repair does."""

    NOTHING = "nothing"
    NEXT_START = "next start"
    COPY = "copy"
    BEGIN = "begin"
    CUT = "cut"
    CUT_EVENTS = "cut event log"
    SET_EVENTS_ASIDE = "set event log aside"
    SET_SNAPSHOT_ASIDE = "set snapshot aside"
    SET_DECISIONS_ASIDE = "set decisions aside"
    NEW_MANIFEST = "new manifest"
    SET_AUDIT_ASIDE = "set audit file aside"
    QUARANTINE = "quarantine"
    NONE = "none"


class Start(StrEnum):
    """What a server does that starts on the directory before it is repaired."""

    STARTS = "starts"
    REFUSES = "refuses"


class Doer(StrEnum):
    """Who does a remedy."""

    START = "the next start"
    REPAIR = "`repair`"
    QUARANTINE = "`repair --quarantine SEQUENCE`"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A remedy: who does it, and the exit code of a repair that ends with it. Where it is not accepted that is 3."""

    remedy: Remedy
    doer: Doer
    exit_code: int


WAYS: Final = (
    Way(remedy=Remedy.NOTHING, doer=Doer.START, exit_code=0),
    Way(remedy=Remedy.NEXT_START, doer=Doer.START, exit_code=0),
    *(
        Way(remedy=remedy, doer=Doer.REPAIR, exit_code=0)
        for remedy in (
            Remedy.COPY,
            Remedy.BEGIN,
            Remedy.CUT,
            Remedy.CUT_EVENTS,
            Remedy.SET_EVENTS_ASIDE,
            Remedy.SET_SNAPSHOT_ASIDE,
            Remedy.SET_DECISIONS_ASIDE,
            Remedy.NEW_MANIFEST,
            Remedy.SET_AUDIT_ASIDE,
        )
    ),
    Way(remedy=Remedy.QUARANTINE, doer=Doer.QUARANTINE, exit_code=3),
    Way(remedy=Remedy.NONE, doer=Doer.NOBODY, exit_code=3),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A finding: the `check` of verify that fails, empty where none does; the remedies, the best first; what they lose; what a start does.

    `needs_accept` are the remedies that are done only with --accept-loss.
    """

    finding: Finding
    check: str
    wrong: str
    remedies: tuple[Remedy, ...]
    done: str
    lost: str
    start: Start
    needs_accept: frozenset[Remedy] = frozenset()


TABLE: Final = (
    Row(
        finding=Finding.TORN_TAIL,
        check="",
        wrong="Bytes that are no record follow the last one of the last segment. Nobody was told of them",
        remedies=(Remedy.NEXT_START,),
        done="The next start cuts them off and saves them to a `.torn-` file",
        lost="Nothing",
        start=Start.STARTS,
    ),
    Row(
        finding=Finding.SEGMENT,
        check="journal",
        wrong="A segment is damaged or missing, and a start has to read it",
        remedies=(Remedy.COPY, Remedy.BEGIN, Remedy.CUT),
        done="A good copy (`--from`) takes its place; or the journal begins behind the oldest snapshot of a later command; "
        "or it is cut before the damage",
        lost="Nothing; the history before the snapshot; acknowledged commands, which are named",
        start=Start.REFUSES,
        needs_accept=frozenset({Remedy.CUT}),
    ),
    Row(
        finding=Finding.OLD_SEGMENT,
        check="journal",
        wrong="A segment before the newest snapshot is damaged or missing",
        remedies=(Remedy.COPY, Remedy.BEGIN),
        done="As above; the snapshot is there, so nothing is cut",
        lost="Nothing; the history before the snapshot",
        start=Start.STARTS,
    ),
    Row(
        finding=Finding.FOREIGN,
        check="journal",
        wrong="A segment has another format version, or holds records that are no commands",
        remedies=(Remedy.NONE,),
        done="Nothing: the bytes are what was written, by another version of ome or by something else. Use that version",
        lost="Nothing",
        start=Start.REFUSES,
    ),
    Row(
        finding=Finding.BEGINNING,
        check="journal",
        wrong="The first segments are not there, and no whole snapshot has their state",
        remedies=(Remedy.COPY, Remedy.NONE),
        done="Good copies of the segments before (`--from` the archive or a backup) are put back",
        lost="Nothing; without copies the state is lost",
        start=Start.REFUSES,
    ),
    Row(
        finding=Finding.DECISIONS,
        check="journal",
        wrong="The decisions about the journal are damaged, or are about another journal",
        remedies=(Remedy.SET_DECISIONS_ASIDE,),
        done="They are set aside. A quarantined command trips again then, and the repair says so",
        lost="The decisions; no command",
        start=Start.REFUSES,
        needs_accept=frozenset({Remedy.SET_DECISIONS_ASIDE}),
    ),
    Row(
        finding=Finding.ASSERTION,
        check="replay",
        wrong="A command trips an assertion of the core",
        remedies=(Remedy.QUARANTINE,),
        done="`--quarantine SEQUENCE` makes it count as rejected, by a decision",
        lost="Nothing that was acknowledged",
        start=Start.REFUSES,
    ),
    Row(
        finding=Finding.OLD_ASSERTION,
        check="replay",
        wrong="A command before the newest snapshot trips an assertion of this version of the core",
        remedies=(Remedy.NONE,),
        done="Nothing: a start does not come to it, and the version of ome that wrote it can replay it. This is a fault of ome: report it",
        lost="Nothing",
        start=Start.STARTS,
    ),
    Row(
        finding=Finding.SNAPSHOT_BROKEN,
        check="snapshots",
        wrong="A snapshot is not what was written",
        remedies=(Remedy.SET_SNAPSHOT_ASIDE,),
        done="It is set aside as `.broken`; a start does the same with the newest",
        lost="Nothing: a start takes the one before, or the first command",
        start=Start.STARTS,
    ),
    Row(
        finding=Finding.SNAPSHOT_OTHER,
        check="snapshots",
        wrong="A snapshot is whole, and is not the state that the journal gives",
        remedies=(Remedy.SET_SNAPSHOT_ASIDE,),
        done="It is set aside as `.broken`",
        lost="Nothing: a start takes the one before, or the first command",
        start=Start.REFUSES,
    ),
    Row(
        finding=Finding.END,
        check="snapshots, events",
        wrong="The journal ends before a command of which there is a snapshot",
        remedies=(Remedy.BEGIN,),
        done="The journal begins behind that snapshot",
        lost="What was behind the snapshot, if there was anything; the history before it",
        start=Start.REFUSES,
    ),
    Row(
        finding=Finding.EVENTS,
        check="events",
        wrong="A segment of the event log is damaged or missing, and a start has to read it",
        remedies=(Remedy.CUT_EVENTS, Remedy.SET_EVENTS_ASIDE),
        done="The log is cut behind its last right event, and the next start makes the later ones again from the journal. "
        "Where neither the first command nor a snapshot before it is left, the damaged part is set aside and the log begins later",
        lost="Nothing of the journal. What was logged is saved to `.torn-` and `.set-aside` files",
        start=Start.REFUSES,
    ),
    Row(
        finding=Finding.OLD_EVENTS,
        check="events",
        wrong="A segment of the event log before the newest snapshot is damaged or missing",
        remedies=(Remedy.CUT_EVENTS, Remedy.SET_EVENTS_ASIDE),
        done="As above",
        lost="As above",
        start=Start.STARTS,
    ),
    Row(
        finding=Finding.EVENTS_DIFFER,
        check="events",
        wrong="The event log has another event than the journal gives: its bytes are right, and the engine says something else now",
        remedies=(Remedy.CUT_EVENTS,),
        done="As above. If ome was changed, this is what the other version does differently: look first",
        lost="As above",
        start=Start.REFUSES,
    ),
    Row(
        finding=Finding.EVENTS_AHEAD,
        check="events",
        wrong="The event log has events of commands that were on disk, and the journal does not have the commands",
        remedies=(Remedy.CUT_EVENTS,),
        done="The log is cut there. A backup of the journal's last segments, put in place by hand, is the better repair",
        lost="What the journal has lost already",
        start=Start.REFUSES,
        needs_accept=frozenset({Remedy.CUT_EVENTS}),
    ),
    Row(
        finding=Finding.MANIFEST,
        check="manifest",
        wrong="The manifest is damaged, and what can be read of it is true of the segments",
        remedies=(Remedy.NEW_MANIFEST,),
        done="It is set aside and made again from the segments, and from its lines of archived ones. "
        "The last chain digest is the same as before",
        lost="Nothing",
        start=Start.STARTS,
    ),
    Row(
        finding=Finding.CHANGED,
        check="manifest",
        wrong="A segment can be read, and is not the one that the manifest has the digest of; or one that it names is not there",
        remedies=(Remedy.COPY, Remedy.NEW_MANIFEST),
        done="A copy with that digest (`--from`) takes its place; "
        "or the manifest is set aside and a new one begins with the segments as they are",
        lost="Nothing; the proof that nobody has changed the journal, and the commands of a segment that is not there",
        start=Start.STARTS,
        needs_accept=frozenset({Remedy.NEW_MANIFEST}),
    ),
    Row(
        finding=Finding.AUDIT_TORN,
        check="",
        wrong="Bytes that are no line follow the last one of the audit file, and nothing says that they were on disk",
        remedies=(Remedy.NEXT_START,),
        done="The next start cuts them off, saves them to `audit.log.torn-` and adds a line that says so",
        lost="Lines of the last second before a crash",
        start=Start.STARTS,
    ),
    Row(
        finding=Finding.AUDIT,
        check="audit",
        wrong="A line of the audit file was changed, removed, swapped or added; or the file is not that of the manifest, or is missing",
        remedies=(Remedy.SET_AUDIT_ASIDE,),
        done="It is set aside, and a new one goes on behind the last line that the manifest names. Its first line says so",
        lost="The proof of the lines that the manifest does not name yet; no bytes",
        start=Start.STARTS,
        needs_accept=frozenset({Remedy.SET_AUDIT_ASIDE}),
    ),
    Row(
        finding=Finding.ENGINE,
        check="replay, reference",
        wrong="The stored bytes are right, and the core breaks an invariant or disagrees with the reference model",
        remedies=(Remedy.NONE,),
        done="Nothing: this is a fault of ome. Report it, with the journal up to that command",
        lost="Nothing",
        start=Start.STARTS,
    ),
)

_BY_FINDING: Final = {row.finding: row for row in TABLE}
_BY_REMEDY: Final = {way.remedy: way for way in WAYS}


def row_of(finding: Finding) -> Row:
    """The row of a finding."""
    return _BY_FINDING[finding]


def way_of(remedy: Remedy) -> Way:
    """The row of a remedy."""
    return _BY_REMEDY[remedy]


def remedies_of(check: str) -> tuple[Remedy, ...]:
    """All remedies of what a check of verify may find, each once."""
    return tuple(dict.fromkeys(remedy for row in TABLE if check in row.check.split(", ") for remedy in row.remedies))


def markdown() -> str:
    """The table as docs/JOURNAL.md has it."""
    lines = [
        "| Finding | What is wrong | `verify` | Remedy | What is done | What is lost | A start before it |\n",
        "|---|---|---|---|---|---|---|\n",
    ]
    for row in TABLE:
        remedies = ", ".join(f"`{one}`" + (" (`--accept-loss`)" if one in row.needs_accept else "") for one in row.remedies)
        check = row.check or "says it"
        lines.append(f"| {row.finding} | {row.wrong} | {check} | {remedies} | {row.done} | {row.lost} | {row.start} |\n")
    return "".join(lines) + "\n"


def ways_markdown() -> str:
    """The table of remedies as docs/JOURNAL.md has it."""
    lines = ["| Remedy | Who does it | Only with `--accept-loss` | Exit code of a repair that ends with it |\n", "|---|---|---|---|\n"]
    for way in WAYS:
        if way.remedy is Remedy.NOTHING:
            continue
        needs = ", ".join(row.finding for row in TABLE if way.remedy in row.needs_accept)
        code = f"{way.exit_code}; 3 where it is not accepted" if needs else str(way.exit_code)
        lines.append(f"| `{way.remedy}` | {way.doer} | {needs} | {code} |\n")
    return "".join(lines) + "\n"
