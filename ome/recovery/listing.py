"""The commands of a journal that somebody asks for, in words, and the events that they caused.

A `Selection` says which; `listing` gives them as they come. Events are those of a replay. Where nobody needs them nothing is applied,
so that commands can be read which no engine survives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ome.codec import COMMAND, EVENT, RECORD_SIZE, Records, join_records
from ome.enums import CommandFlags, CommandKind, EventKind
from ome.errors import InvalidValueError
from ome.journal import JournalReader
from ome.recovery import Batch, Replay
from ome.recovery.directory import first_sequence
from ome.recovery.names import Names
from ome.recovery.snapshots import replay_from_beginning
from ome.recovery.wording import Described, describe_commands, describe_events, instruments_meant

__all__ = ["Entry", "Selection", "journal_source", "listing", "names_before"]

_BATCH_COUNT: Final = 8_192  # commands; few, so that the first line comes soon
_FOLLOW_SECONDS: Final = 0.05  # between two looks at a journal that is being written
_KINDS_OF_ORDERS: Final = tuple(
    int(kind) for kind in (CommandKind.NEW_ORDER, CommandKind.CANCEL_ORDER, CommandKind.REDUCE_ORDER, CommandKind.AMEND_ORDER)
)
_KINDS_OF_TWO_ORDERS: Final = (int(EventKind.TRADE), int(EventKind.PREVENTED))
_KINDS_WITH_TERMS: Final = tuple(int(kind) for kind in (CommandKind.NEW_ORDER, CommandKind.AMEND_ORDER, CommandKind.ORDER_TERMS))

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which commands are asked for: those that meet all that is given.

    `first` and `last` are sequences, `since_ns` and `until_ns` timestamps, all included. Of an `instrument`, by its symbol, are commands
    that name it, and terms of such. A `participant` is given by name or number. `kinds` are CommandKinds, none for all. `order` is a client
    order id or an order id: of it are commands that name it, and those that had any event that does.
    """

    first: int = 1
    last: int | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    instrument: str | None = None
    participant: str | int | None = None
    kinds: frozenset[int] = frozenset()
    order: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A command that was asked for, and its events, where those were. One that `is_quarantined` has kind 0, whatever it was."""

    command: Described
    is_quarantined: bool
    events: tuple[Described, ...]


def listing(
    directory: Path,
    selection: Selection,
    *,
    live: bool = False,
    with_events: bool = False,
    follow: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[Entry]:
    """The commands asked for, in order. With `follow` it goes on for ever, as a server writes them; `progress` gets the sequence reached.

    Where the first segments are gone they begin with the first that is there, or, where events are needed, behind the oldest snapshot.

    Raises JournalError or JournalIntegrityError, after all commands that stand before the damage; InvalidValueError at the end where the
    selection names an instrument or a participant that none of the commands read defines.
    """
    names = names_before(directory, live=live)
    instrument_before = 0
    is_replayed = with_events or selection.order is not None
    source = journal_source(directory, live=live or follow, is_replayed=is_replayed)
    quarantined = frozenset(source.quarantined)
    for batch in _between_sessions(_whole_commands(_batches(source, follow, selection.last))):
        names.learn(batch.commands, batch.events)
        instruments = instruments_meant(batch.commands, instrument_before)
        instrument_before = int(instruments[-1])
        chosen = np.flatnonzero(_chosen(batch, instruments, selection, names))
        if len(chosen):
            events = _events_of(batch, chosen, names) if with_events else ((),) * len(chosen)
            commands = describe_commands(_take(batch.commands, chosen, COMMAND), names, instruments[chosen])
            for fields, caused in zip(commands, events, strict=True):
                yield Entry(command=fields, is_quarantined=fields["sequence"] in quarantined, events=caused)
        progress(int(batch.commands["sequence"][-1]))
    _check_names(selection, names)


def journal_source(directory: Path, *, live: bool, is_replayed: bool) -> JournalReader | Replay:
    """The commands that are there: from the first one on, or where they are replayed behind the snapshot that they need."""
    if is_replayed:
        return replay_from_beginning(directory, live=live)
    return JournalReader(directory, live=live, first=first_sequence(directory))


def names_before(directory: Path, *, live: bool) -> Names:
    """What the numbers mean in a journal whose first segments are gone: what the snapshot knows that a replay begins with."""
    if first_sequence(directory) == 1:
        return Names()
    with replay_from_beginning(directory, live=live) as replay:
        return Names() if replay.view is None else Names.before(replay.view)


def _batches(source: JournalReader | Replay, follow: bool, last: int | None) -> Iterator[Batch]:
    """The commands up to `last`, with their events where they are replayed; to the end, or with `follow` for ever."""
    sequence = 0
    with source:
        while last is None or sequence < last:
            count = _BATCH_COUNT if last is None else min(_BATCH_COUNT, last - sequence)
            batch = source.read(count) if isinstance(source, Replay) else _without_events(source.read(count))
            if batch is not None:
                sequence = int(batch.commands["sequence"][-1])
                yield batch
            elif follow:
                time.sleep(_FOLLOW_SECONDS)
            else:
                return


def _whole_commands(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same, cut so that the records of one command are in one batch."""
    commands, events = np.empty(0, COMMAND), np.empty(0, EVENT)
    for batch in batches:
        commands = join_records((commands, batch.commands), COMMAND) if len(commands) else batch.commands
        events = join_records((events, batch.events), EVENT) if len(events) else batch.events
        is_open = np.isin(commands["kind"], _KINDS_WITH_TERMS) & ((commands["flags"] & CommandFlags.CONTINUED) != 0)
        ended = np.flatnonzero(~is_open)
        if len(ended):
            end = int(ended[-1]) + 1
            event_end = int(np.searchsorted(events["sequence"], commands["sequence"][end - 1], "right"))
            yield Batch(commands=commands[:end], events=events[:event_end])
            commands, events = commands[end:], events[event_end:]
    if len(commands):
        yield Batch(commands=commands, events=events)


def _between_sessions(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The same commands and events, cut before every definition of a session: in each part a number means one participant."""
    for batch in batches:
        cuts = np.flatnonzero(batch.commands["kind"] == CommandKind.DEFINE_SESSION).tolist()
        for start, end in pairwise(dict.fromkeys((0, *cuts, len(batch.commands)))):
            commands = batch.commands[start:end]
            first, last = np.searchsorted(batch.events["sequence"], commands["sequence"][[0, -1]] + np.array((0, 1), np.uint64))
            yield Batch(commands=commands, events=batch.events[first:last])


def _without_events(commands: Records) -> Batch | None:
    return Batch(commands=commands, events=np.empty(0, EVENT)) if len(commands) else None


def _chosen(batch: Batch, instruments: npt.NDArray[np.uint32], selection: Selection, names: Names) -> Mask:
    commands = batch.commands
    chosen: Mask = commands["sequence"] >= np.uint64(selection.first)
    if selection.since_ns is not None:
        chosen &= commands["timestamp_ns"] >= np.uint64(selection.since_ns)
    if selection.until_ns is not None:
        chosen &= commands["timestamp_ns"] <= np.uint64(selection.until_ns)
    if selection.instrument is not None:
        number = names.instrument_number(selection.instrument)
        chosen &= instruments == (0 if number is None else number)
        chosen &= number is not None
    if selection.participant is not None:
        named = selection.participant
        participant = names.participant_number(named) if isinstance(named, str) else named
        chosen &= commands["participant"] == (0 if participant is None else participant)
        chosen &= participant is not None
    if selection.kinds:
        chosen &= np.isin(commands["kind"], list(selection.kinds))
    if selection.order is not None:
        chosen &= _names_order(batch, np.uint64(selection.order))
    return chosen


def _names_order(batch: Batch, order: np.uint64) -> Mask:
    commands, events = batch.commands, batch.events
    named: Mask = np.isin(commands["kind"], _KINDS_OF_ORDERS) & (commands["client_order_id"] == order)
    said = (events["order_id"] == order) | (events["client_order_id"] == order)
    of_two = (events["resting_order_id"] == order) | (events["resting_client_order_id"] == order)
    said |= np.isin(events["kind"], _KINDS_OF_TWO_ORDERS) & of_two
    named |= np.isin(commands["sequence"], events["sequence"][said])
    command_of = np.cumsum(commands["kind"] != CommandKind.ORDER_TERMS)
    return np.isin(command_of, command_of[named])


def _events_of(batch: Batch, chosen: npt.NDArray[np.intp], names: Names) -> Iterator[tuple[Described, ...]]:
    """The events of each of the chosen commands."""
    of, sequences = np.ascontiguousarray(batch.events["sequence"]), batch.commands["sequence"][chosen]
    starts, ends = np.searchsorted(of, sequences, "left"), np.searchsorted(of, sequences, "right")
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        yield tuple(describe_events(batch.events[start:end], names))


def _take(records: Records, chosen: npt.NDArray[np.intp], layout: np.dtype[Any]) -> Records:
    """Some of the records, byte for byte."""
    return records.view(f"V{RECORD_SIZE}")[chosen].view(layout)


def _check_names(selection: Selection, names: Names) -> None:
    if selection.instrument is not None and names.instrument_number(selection.instrument) is None:
        known = ", ".join(instrument.symbol for instrument in names.instruments.values())
        raise InvalidValueError("instrument", found=selection.instrument, allowed=known or "none: no instrument is defined")
    if isinstance(selection.participant, str) and selection.participant not in names.all_participants:
        known = ", ".join(sorted(names.all_participants))
        raise InvalidValueError("participant", found=selection.participant, allowed=known or "none: no participant is defined")
