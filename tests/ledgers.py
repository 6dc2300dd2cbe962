"""Ledgers: what clients wrote down of what they sent and received, and the audit that holds them against the venue's files.

A session's ledger has every report that it received, in order, byte for byte; so has a drop copy's. A client that is killed and comes back
goes on where its ledger ends. Beside it, for each logon of a new client, a file has the commands that it meant to send, written before they
were sent.

When the venue has stopped, `audit` compares. It makes the reports anew from the files of the event log, in Python and by the text of
ome/codec/schema.xml, so that nothing of the venue's own is trusted but the files. Then must hold:

- The reference model makes of the journal's commands exactly the events of the event log, byte for byte.
- Each ledger has the reports 1 to n of its session, or of all sessions of its participant, without a hole, none twice, each with exactly
  the bytes that follow from the events.
- Each command that a client sent is in the journal at most once and in order, exactly once where the client was not killed, and nothing
  else is; each that was answered is there.
"""

from __future__ import annotations

import os
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from stories import tell_commands
from venues import LIMITS, journal_commands, logged_events

from ome.attributes import ATTRIBUTES
from ome.codec import COMMAND, RECORD_SIZE, Records, decode_commands, decode_events, record_bytes, records_of
from ome.codec.layouts import EXECUTION_REPORT_MESSAGE
from ome.codec.wire import decode_message
from ome.enums import CommandKind, EventKind
from ome.messages import AttributesOf, Completed, Defined, DefineSession, Displayed, Event, Prevented, Rejected, StopSet, Trade
from ome.recovery import Replay
from ome.reference import ReferenceEngine

__all__ = ["Audited", "Ledger", "Lost", "SessionName", "audit"]

REPORT_SIZE: Final = EXECUTION_REPORT_MESSAGE.itemsize
_REPORT: Final = struct.Struct("<4H5Q4qQII7BxHH4x")
_ATTRIBUTES: Final = struct.Struct("<4H5Q4I24xII3B5xHH4x")
_EXECUTION_REPORT: Final = (104, 132, 28525, 2)  # block length, template, schema, version
_ATTRIBUTES_REPORT: Final = (104, 134, 28525, 2)
_OF_SERVER: Final = (slice(0, 16), slice(44, 52))  # of a command: sequence and time; participant, session and its sequence


class Lost(AssertionError):  # noqa: N818
    """A ledger and the venue's files do not say the same."""


class SessionName(NamedTuple):
    """A session as its client knows it; or a drop copy, whose number is a word."""

    participant: str
    number: int | str

    @classmethod
    def of(cls, text: str) -> SessionName:
        """From PARTICIPANT:NUMBER:CHOICE or PARTICIPANT:WORD."""
        participant, number, *_ = text.split(":")
        return cls(participant, int(number) if number.isdecimal() else number)

    @property
    def is_copy(self) -> bool:
        """It is a drop copy."""
        return isinstance(self.number, str)

    def __str__(self) -> str:
        return f"{self.participant}:{self.number}"


class Ledger:
    """The files of a session in a directory. `last` is the last report in it, `commands_sent` counts over all its clients."""

    def __init__(self, directory: Path, session: SessionName) -> None:
        self.session = session
        self._stem = directory / f"{session.participant}-{session.number}"
        self.path = Path(f"{self._stem}.ledger")
        self._file = -1
        self._sent = -1
        self.last = 0
        self.commands_sent = 0

    # ---- the client's ----

    def open(self) -> npt.NDArray[np.void]:
        """Goes on with what there is, which is returned: whole reports, for who was killed may have written a part of the last."""
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.ftruncate(self._file, os.path.getsize(self.path) // REPORT_SIZE * REPORT_SIZE)
        reports = self.reports()
        self.last = int(reports["report_sequence"][-1]) if len(reports) else 0
        self.commands_sent = sum(len(commands) for _, commands in self.sent())
        return reports

    def begin_sending(self, command_sequence: int) -> None:
        """A new client is logged on: the venue has taken the session's messages up to this one."""
        path = f"{self._stem}.sent-{len(self._sent_paths()) + 1:03d}"
        self._sent = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        os.write(self._sent, command_sequence.to_bytes(RECORD_SIZE, "little"))

    def note_sent(self, commands: Records) -> None:
        """Before they are sent."""
        _write(self._sent, record_bytes(commands))
        self.commands_sent += len(commands)

    def take(self, reports: npt.NDArray[np.void]) -> None:
        """Writes down what was received."""
        if len(reports):
            _write(self._file, reports.tobytes())
            self.last = int(reports["report_sequence"][-1])

    # ---- the audit's ----

    def reports(self) -> npt.NDArray[np.void]:
        """All reports, in the order in which they came."""
        data = self.path.read_bytes() if self.path.exists() else b""
        return np.frombuffer(data[: len(data) // REPORT_SIZE * REPORT_SIZE], EXECUTION_REPORT_MESSAGE)

    def sent(self) -> list[tuple[int, Records]]:
        """For each client that was logged on: the last number that was taken then, and the messages that it meant to send, in order."""
        found = []
        for path in self._sent_paths():
            data = path.read_bytes()
            whole = data[RECORD_SIZE : len(data) // RECORD_SIZE * RECORD_SIZE]
            found.append((int.from_bytes(data[:RECORD_SIZE], "little"), records_of(whole, COMMAND)))
        return found

    def _sent_paths(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{self._stem.name}.sent-*"))


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What was compared."""

    commands: int
    events: int
    reports: int
    copies: int
    """Reports of drop copies."""
    kinds: Counter[EventKind]
    """Of the reports to sessions."""


def audit(journal: Path, ledgers: list[Ledger]) -> Audited:
    """Holds the ledgers against the files of a venue that has stopped. Raises Lost, which names the first thing that is not so."""
    commands, events = journal_commands(journal), logged_events(journal)
    _audit_engine(journal, commands, events)
    definitions = _definitions(commands)
    numbers = {session: command.session for session, command in definitions.items()}
    participants = {session.participant: command.participant for session, command in definitions.items()}
    due, copies_due = _reports_due(events)
    kinds: Counter[EventKind] = Counter()
    copies = 0
    for ledger in ledgers:
        reports = ledger.reports()
        if ledger.session.is_copy:
            _audit_reports(ledger.session, reports.tobytes(), b"".join(copies_due[participants.get(ledger.session.participant, 0)]))
            copies += len(reports)
            continue
        number = numbers.pop(ledger.session, 0)
        _audit_reports(ledger.session, reports.tobytes(), b"".join(due.pop(number, [])))
        _audit_commands(ledger, commands[commands["session"] == number], reports)
        kinds.update(map(EventKind, reports["kind"].tolist()))
    if numbers:
        raise Lost(f"the journal has sessions that nobody opened: {', '.join(map(str, numbers))}")
    return Audited(commands=len(commands), events=len(events), reports=sum(kinds.values()), copies=copies, kinds=kinds)


def _audit_engine(journal: Path, commands: Records, events: Records) -> None:
    """The event log is complete, and what the rules make of the journal's commands."""
    with Replay(journal, checks_events=True) as replay:
        replay.run()
        if replay.report.events_missing:
            raise Lost(f"the event log lacks {replay.report.events_missing} events after a clean stop")
    expected = ReferenceEngine(LIMITS).apply_records(commands)
    rows, found = (np.frombuffer(record_bytes(records), f"V{RECORD_SIZE}") for records in (expected, events))
    count = min(len(rows), len(found))
    differs = np.flatnonzero(rows[:count] != found[:count])
    if len(differs) or len(rows) != len(found):
        index = int(differs[0]) if len(differs) else count
        raise Lost(f"event {index + 1} of {len(found)} in the log is not what the reference makes ({len(rows)} events)")


def _definitions(commands: Records) -> dict[SessionName, DefineSession]:
    """The venue's numbers of sessions and participants."""
    found = {}
    for command in decode_commands(commands[commands["kind"] == CommandKind.DEFINE_SESSION]):
        assert isinstance(command, DefineSession), command
        found[SessionName(command.participant_name.decode(), command.session_number)] = command
    return found


# ---- reports ----


@dataclass(slots=True)
class _Order:
    """What reports say of an order beside its events."""

    leaves: int
    cumulative: int
    account: int
    session: int
    participant: int


class _Teller:
    """Makes reports of events: the text of ExecutionReport and AttributesReport in the schema, in Python."""

    def __init__(self) -> None:
        self._orders: dict[int, _Order] = {}
        self._trade_count = 0
        self._now_ns = 0

    def reports(self, event: Event) -> Iterator[tuple[int, dict[str, int] | AttributesOf]]:
        """Session and fields of each report that the event causes; or the event, where that has them all."""
        if isinstance(event, Trade | Prevented):
            yield from self._meeting(event)
        elif isinstance(event, AttributesOf):
            yield event.session, event
        elif not isinstance(event, Defined | Displayed):
            yield from self._told(event)

    def _told(self, event: Any) -> Iterator[tuple[int, dict[str, int] | AttributesOf]]:
        self._now_ns = event.timestamp_ns
        if isinstance(event, Rejected | Completed):  # about a command
            nobodys = _Order(0, 0, event.account, event.session, event.participant)
            changed = event.quantity if isinstance(event, Completed) else 0
            yield event.session, self._fields(event, nobodys) | {"last_quantity": changed, "command_kind": event.command_kind}
            return
        if event.kind == EventKind.ACCEPTED:
            self._orders[event.order_id] = _Order(event.quantity, 0, event.account, event.session, event.participant)
        order = self._orders[event.order_id]
        changed = event.quantity if event.kind in (EventKind.CANCELLED, EventKind.REDUCED) else 0
        order.leaves = event.quantity if event.kind == EventKind.AMENDED else order.leaves - changed
        last = {"order_type": event.order_type} if isinstance(event, StopSet) else {"flags": event.flags}
        yield order.session, self._fields(event, order) | {"last_quantity": changed} | last

    def _meeting(self, event: Trade | Prevented) -> Iterator[tuple[int, dict[str, int] | AttributesOf]]:
        is_trade = isinstance(event, Trade)
        orders = self._orders[event.order_id], self._orders[event.resting_order_id]
        for order in orders:
            order.leaves -= event.quantity if is_trade else 0
            order.cumulative += event.quantity if is_trade else 0
        self._trade_count += is_trade
        both = {"last_quantity": event.quantity, "flags": event.flags, "trade_id": self._trade_count if is_trade else 0}
        yield orders[0].session, self._fields(event, orders[0]) | both | {"is_aggressor": 1}
        resting = {"order_id": event.resting_order_id, "client_order_id": event.resting_client_order_id, "side": 3 - event.side}
        yield orders[1].session, self._fields(event, orders[1]) | both | resting

    def _fields(self, event: Any, order: _Order) -> dict[str, int]:
        return {
            "engine_sequence": event.sequence,
            "timestamp_ns": self._now_ns,
            "order_id": event.order_id,
            "client_order_id": event.client_order_id,
            "price": event.price,
            "last_quantity": 0,
            "leaves_quantity": order.leaves,
            "cumulative_quantity": order.cumulative,
            "trade_id": 0,
            "instrument": event.instrument,
            "account": order.account,
            "kind": event.kind,
            "side": event.side,
            "reason": event.reason,
            "command_kind": 0,
            "is_aggressor": 0,
            "order_type": 0,
            "flags": 0,
            "session": order.session,
            "participant": order.participant,
        }


def _reports_due(events: Records) -> tuple[dict[int, list[bytes]], dict[int, list[bytes]]]:
    """The messages that each session had to get, by its number; 0 is the venue's own. Then those for drop copies of each
    participant."""
    teller = _Teller()
    due: dict[int, list[bytes]] = defaultdict(list)
    copies_due: dict[int, list[bytes]] = defaultdict(list)
    for event in decode_events(events):
        for session, report in teller.reports(event):
            due[session].append(_message(len(due[session]) + 1, report))
            if session:
                copies = copies_due[report.participant if isinstance(report, AttributesOf) else report["participant"]]
                copies.append(_message(len(copies) + 1, report))
    return due, copies_due


def _message(number: int, report: dict[str, int] | AttributesOf) -> bytes:
    if isinstance(report, AttributesOf):
        return _attributes_message(number, report)
    return _REPORT.pack(*_EXECUTION_REPORT, number, *report.values())


def _attributes_message(number: int, event: AttributesOf) -> bytes:
    values = [getattr(event, name) for name in ATTRIBUTES]
    ids = (event.sequence, event.timestamp_ns, event.order_id, event.client_order_id)
    places = (*values, *(0 for _ in range(4 - len(values))))
    owner = (event.session, event.participant)
    return _ATTRIBUTES.pack(*_ATTRIBUTES_REPORT, number, *ids, *places, event.instrument, event.account, event.kind, event.side, 0, *owner)


def _audit_reports(session: SessionName, found: bytes, due: bytes) -> None:
    """The same bytes, report by report."""
    if found == due:
        return
    for offset in range(0, max(len(found), len(due)), REPORT_SIZE):
        one, other = found[offset : offset + REPORT_SIZE], due[offset : offset + REPORT_SIZE]
        if one != other:
            raise Lost(f"{session}: report {offset // REPORT_SIZE + 1} of {len(due) // REPORT_SIZE}: {_difference(one, other)}")


def _difference(found: bytes, due: bytes) -> str:
    """In words: what is in the ledger, and what had to be."""
    if not found:
        return f"the ledger ends before it; it had to be {_told(due)}"
    if not due:
        return f"the ledger has more than there was: {_told(found)}"
    mine, theirs = decode_message(found)[1], decode_message(due)[1]
    names = [name for name in theirs if mine.get(name) != theirs[name]] or ["bytes that no field covers"]
    return f"found {_told(found)}, expected {_told(due)}; they differ in {', '.join(names)}"


def _told(report: bytes) -> str:
    name, fields = decode_message(report)
    said = " ".join(
        f"{field}={value}" for field, value in fields.items() if value and not field.startswith(("block", "schema", "template"))
    )
    return f"{name} {EventKind(fields['kind']).name} {said}"


# ---- commands ----


def _audit_commands(ledger: Ledger, journal: Records, reports: npt.NDArray[np.void]) -> None:
    """What the journal has of a session is what its clients sent."""
    session = ledger.session
    taken = journal[(journal["kind"] < CommandKind.DEFINE_LIMITS) & (journal["session_sequence"] != 0)]
    numbers = taken["session_sequence"].tolist()
    if numbers != list(range(1, len(taken) + 1)):
        raise Lost(f"{session}: the numbers of its messages in the journal are not 1 to {len(taken)}: {_first_wrong(numbers)}")
    sent = ledger.sent()
    ends = [first for first, _ in sent[1:]] + [len(taken)]
    for index, ((first, commands), end) in enumerate(zip(sent, ends, strict=False)):
        _audit_client(f"{session}, client {index + 1}", first, taken[first:end], commands, is_last=index == len(sent) - 1)
    if len(taken) and (not sent or sent[0][0]):
        raise Lost(f"{session}: the journal has messages before its first client sent any")
    _audit_answers(session, taken, reports)


def _first_wrong(numbers: list[int]) -> str:
    index = next(index for index, number in enumerate(numbers) if number != index + 1)
    return f"{numbers[index]} is where {index + 1} had to be"


def _audit_client(who: str, first: int, taken: Records, sent: Records, *, is_last: bool) -> None:
    """One client's messages: those that were taken are the first that it sent; all of them, where it was not killed."""
    theirs, mine = (_as_sent(records) for records in (taken, sent))
    for index, (found, meant) in enumerate(zip(theirs, mine, strict=False)):
        if found != meant:
            lines = tell_commands(taken[index : index + 1]) + tell_commands(sent[index : index + 1])
            raise Lost(f"{who}: message {first + index + 1} in the journal is not the one that was sent: found {lines[0]}, sent {lines[1]}")
    if len(theirs) > len(mine):
        raise Lost(f"{who}: the journal has {len(theirs)} of its messages, it sent {len(mine)}")
    if is_last and len(theirs) < len(mine):
        raise Lost(f"{who}: message {first + len(theirs) + 1} was sent, was answered or must have been, and is not in the journal")


def _as_sent(commands: Records) -> list[bytes]:
    """Messages without what the server or the session's numbers put in."""
    rows = np.frombuffer(record_bytes(commands), np.uint8).reshape(-1, RECORD_SIZE).copy()
    for part in _OF_SERVER:
        rows[:, part] = 0
    return [row.tobytes() for row in rows]


def _audit_answers(session: SessionName, taken: Records, reports: npt.NDArray[np.void]) -> None:
    """Each order that was accepted was entered once, and each command has something to show for it."""
    is_new = taken["kind"] == CommandKind.NEW_ORDER
    entered = Counter(taken["client_order_id"][is_new].tolist())
    for number in reports["client_order_id"][reports["kind"] == EventKind.ACCEPTED].tolist():
        if entered[number] != 1:
            raise Lost(f"{session}: the order {number} was accepted; it is {entered[number]} times in the journal")
