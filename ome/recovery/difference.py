"""Where two journals part: the first command or event that differs, or that one is longer than the other.

Commands are compared byte for byte, and so are the events that a replay of each gives. With `ignore_time` the timestamps of both are left
out; whatever follows from a timestamp, an order that expires, is not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ome.codec import RECORD_SIZE, Records, record_bytes
from ome.engine import EngineView
from ome.enums import CommandFlags, CommandKind, EventKind
from ome.recovery import Batch, Replay
from ome.recovery.names import Names
from ome.recovery.snapshots import replay_from_beginning
from ome.recovery.state import InstrumentState, instrument_state
from ome.recovery.wording import Described, describe_commands, describe_events

__all__ = ["Comparison", "Difference", "DifferenceKind", "JournalSide", "first_difference"]

_BATCH_COUNT: Final = 16_384
_DEPTH: Final = 5  # levels of the book that is shown
_EVENT_KEPT_COUNT: Final = 20  # events of each side that are shown
_TIMESTAMP_OF_COMMAND: Final = slice(8, 16)
_TIMESTAMP_OF_EVENT: Final = slice(40, 48)
_KINDS_WITHOUT_TIMESTAMP: Final = (int(EventKind.TRADE), int(EventKind.PREVENTED))
_KINDS_OF_OLD_ORDERS: Final = (CommandKind.CANCEL_ORDER, CommandKind.REDUCE_ORDER, CommandKind.AMEND_ORDER)

Bytes = npt.NDArray[np.uint8]


class DifferenceKind(StrEnum):
    """What differs first."""

    COMMAND = "command"
    EVENTS = "events"
    LENGTH = "length"
    BEGINNING = "beginning"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSide:
    """What one of the two journals has there; `length` is its last command, told only where the length is the difference."""

    directory: str
    command: Described | None
    events: tuple[Described, ...]
    length: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first difference: at command `sequence`, the last equal one where the length differs.

    `fields` are the names of what differs, of an event after its number, from 1. `instrument` is that of the command, as it was before it.
    """

    kind: DifferenceKind
    sequence: int
    left: JournalSide
    right: JournalSide
    fields: tuple[str, ...]
    instrument: InstrumentState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How many commands and events are equal from the first on, and the first difference, or None.

    Compared is what comes behind command `begins_behind`: where the first segments of one are gone, that of its oldest snapshot.
    """

    begins_behind: int
    command_count: int
    event_count: int
    difference: Difference | None


def first_difference(
    left: Path,
    right: Path,
    *,
    ignore_time: bool = False,
    live: tuple[bool, bool] = (False, False),
    progress: Callable[[int], None] = lambda _: None,
) -> Comparison:
    """Reads and replays both journals side by side, until they differ or end; `progress` gets the sequence reached.

    Raises JournalError, or JournalIntegrityError where one is damaged before they differ.
    """
    event_count = 0
    with ExitStack() as stack:
        replays = [
            stack.enter_context(replay_from_beginning(path, live=is_live)) for path, is_live in zip((left, right), live, strict=True)
        ]
        begin = sequence = max(replay.report.snapshot_sequence for replay in replays)
        if begin and not _begin_equal(replays, begin):
            return Comparison(begins_behind=begin, command_count=0, event_count=0, difference=_other_beginning(begin, left, right))
        while True:
            batches = [replay.read(_BATCH_COUNT) for replay in replays]
            one, other = batches
            if one is None or other is None:
                break
            place = _first_difference(one, other, ignore_time)
            if place is not None:
                kind, index = place
                at = int(one.commands["sequence"][index])
                found = _tell(kind, at, index, (one, other), (left, right), live, ignore_time)
                equal = event_count + _count_before(one.events, at)
                return Comparison(begins_behind=begin, command_count=at - 1 - begin, event_count=equal, difference=found)
            sequence += min(len(one.commands), len(other.commands))
            event_count += min(len(one.events), len(other.events))
            progress(sequence)
            if len(one.commands) != len(other.commands):
                break
        lengths = [_length(replay) for replay in replays]
    count = sequence - begin
    if lengths[0] == lengths[1]:
        return Comparison(begins_behind=begin, command_count=count, event_count=event_count, difference=None)
    sides = [
        JournalSide(directory=str(path), command=None, events=(), length=length)
        for path, length in zip((left, right), lengths, strict=True)
    ]
    longer = Difference(kind=DifferenceKind.LENGTH, sequence=sequence, left=sides[0], right=sides[1], fields=("length",), instrument=None)
    return Comparison(begins_behind=begin, command_count=count, event_count=event_count, difference=longer)


def _begin_equal(replays: list[Replay], begin: int) -> bool:
    """Brings both to the command that they can be compared from, and says whether they are in the same state there."""
    for replay in replays:
        replay.run(to=begin)
    one, other = (replay.view for replay in replays)
    return one is not None and other is not None and (one.sequence, one.state_hash) == (other.sequence, other.state_hash)


def _other_beginning(begin: int, left: Path, right: Path) -> Difference:
    sides = [JournalSide(directory=str(path), command=None, events=(), length=None) for path in (left, right)]
    return Difference(kind=DifferenceKind.BEGINNING, sequence=begin, left=sides[0], right=sides[1], fields=("state",), instrument=None)


def _length(replay: Replay) -> int:
    """The last command, once the rest is read too."""
    while replay.step():
        pass
    return replay.report.last_sequence


def _rows(records: Records) -> Bytes:
    return np.frombuffer(bytearray(record_bytes(records)), np.uint8).reshape(-1, RECORD_SIZE)


def _first_difference(one: Batch, other: Batch, ignore_time: bool) -> tuple[DifferenceKind, int] | None:
    """What differs first in two batches that begin with the same sequence, and the index of its command."""
    count = min(len(one.commands), len(other.commands))
    last = int(one.commands["sequence"][count - 1])
    commands = [_comparable_commands(batch.commands[:count], ignore_time) for batch in (one, other)]
    different = np.flatnonzero((commands[0] != commands[1]).any(axis=1))
    command_index = int(different[0]) if len(different) else count
    all_events = [batch.events[: _count_before(batch.events, last + 1)] for batch in (one, other)]
    event_count = min(len(events) for events in all_events)
    events = [_comparable_events(part[:event_count], ignore_time) for part in all_events]
    differing = np.flatnonzero((events[0] != events[1]).any(axis=1))
    place = int(differing[0]) if len(differing) else event_count
    first = int(one.commands["sequence"][0])
    event_index = min((int(part["sequence"][place]) - first for part in all_events if place < len(part)), default=count)
    if min(command_index, event_index) == count:
        return None
    return (DifferenceKind.COMMAND, command_index) if command_index <= event_index else (DifferenceKind.EVENTS, event_index)


def _count_before(events: Records, sequence: int) -> int:
    """How many events stand before those of the command."""
    return int(np.searchsorted(events["sequence"], np.uint64(sequence)))


def _comparable_commands(commands: Records, ignore_time: bool) -> Bytes:
    rows = _rows(commands)
    if ignore_time:
        rows[:, _TIMESTAMP_OF_COMMAND] = 0
    return rows


def _comparable_events(events: Records, ignore_time: bool) -> Bytes:
    rows = _rows(events)
    if ignore_time:
        rows[~np.isin(events["kind"], _KINDS_WITHOUT_TIMESTAMP), _TIMESTAMP_OF_EVENT] = 0
    return rows


def _tell(
    kind: DifferenceKind,
    sequence: int,
    index: int,
    batches: tuple[Batch, Batch],
    paths: tuple[Path, Path],
    live: tuple[bool, bool],
    ignore_time: bool,
) -> Difference:
    """Replays the left journal once more, to just before the difference, and says what is there."""
    with replay_from_beginning(paths[0], live=live[0]) as replay:
        replay.run(to=sequence - 1)
        view = replay.view
        names = Names() if view is None else Names.of(view)
        instruments = [_instrument_of(batch, index, view) for batch in batches]
        known = next((number for number in instruments if number in names.instruments), None)
        before = None if view is None or known is None else instrument_state(view, known, names, depth=_DEPTH)
    sides = []
    for batch, path, instrument in zip(batches, paths, instruments, strict=True):
        record = batch.commands[index : index + 1]
        command = describe_commands(record, names, np.array([instrument], dtype=np.uint32))[0]
        events = tuple(describe_events(batch.events_of(sequence), names))
        sides.append(JournalSide(directory=str(path), command=command, events=events, length=None))
    left, right = sides
    fields = _differing_fields(left, right, ignore_time)
    rows = [batch.commands[index : index + 1] for batch in batches]
    if kind is DifferenceKind.COMMAND and not any(not name.startswith("event ") for name in fields):
        fields = (f"bytes {_differing_bytes(rows[0], rows[1], ignore_time)} of the record, which no field of the kind has", *fields)
    return Difference(
        kind=kind,
        sequence=sequence,
        left=_shortened(left),
        right=_shortened(right),
        fields=fields,
        instrument=before,
    )


def _shortened(side: JournalSide) -> JournalSide:
    return JournalSide(directory=side.directory, command=side.command, events=side.events[:_EVENT_KEPT_COUNT], length=side.length)


def _instrument_of(batch: Batch, index: int, view: EngineView | None) -> int:
    """The instrument that a command is about: its own, of terms that of their head, of an order named without one that of the order."""
    head = index
    while head > 0 and batch.commands["kind"][head] == CommandKind.ORDER_TERMS:
        head -= 1
    command = batch.commands[head]
    if command["instrument"] or view is None or command["kind"] not in _KINDS_OF_OLD_ORDERS:
        return int(command["instrument"])
    named, participant = int(command["client_order_id"]), int(command["participant"])
    is_by_order_id = int(command["flags"]) & CommandFlags.BY_ORDER_ID
    order = view.order(named) if is_by_order_id else view.client_order(named, participant=participant)
    return 0 if order is None else order.instrument


def _differing_fields(left: JournalSide, right: JournalSide, ignore_time: bool) -> tuple[str, ...]:
    """Of the command, then of each event."""
    names = _names(left.command or {}, right.command or {}, ignore_time)
    for number, (event, other) in enumerate(zip_longest(left.events, right.events), 1):
        if event is None or other is None:
            names.append(f"event {number}: only {'right' if event is None else 'left'} has it")
        else:
            names += [f"event {number} {name}" for name in _names(event, other, ignore_time)]
    return tuple(names)


def _names(one: Described, other: Described, ignore_time: bool) -> list[str]:
    names = dict.fromkeys([*one, *other])
    ignored = ("time", "timestamp_ns") if ignore_time else ("time",)  # the time says what the timestamp says
    return [name for name in names if name not in ignored and one.get(name) != other.get(name)]


def _differing_bytes(one: Records, other: Records, ignore_time: bool) -> str:
    left, right = _comparable_commands(one, ignore_time), _comparable_commands(other, ignore_time)
    return ", ".join(str(offset) for offset in np.flatnonzero(left[0] != right[0]).tolist())
