"""A journal as Parquet: a row for every command and, in a second file, a row for every event that they caused.

Columns are the fields of ome/codec/schema.xml, by name; a field that a row's kind does not have is null, and each column means one thing.
A command that names its order by order id has that in `order_id`; the distance of a trailing stop's limit is in `limit_offset`; a trade has
the time, account, participant and session of its aggressor; what a mass cancel ended is in `order_count`. Prices and quantities stay
integers, of price units and lots; beside them stand `symbol`, `price_decimals` and `quantity_decimals` of the instrument, where it is
known. Enumerations and flags stay numbers; what they mean is in the metadata of the file, key `ome.enumerations`, as JSON. Of an amend, a
price or quantity that keeps what is there is null.

pyarrow is needed, and imported when it is.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ome import enums
from ome.codec import COMMAND, EVENT, EVENT_ROW, Records
from ome.codec.layouts import SCHEMA_VERSION
from ome.engine import event_rows
from ome.enums import CommandFlags, CommandKind, EventKind, OrderType
from ome.errors import OmeError
from ome.journal import JournalReader
from ome.messages import COMMAND_TYPES, EVENT_TYPES, NULL_VALUE, Command, Event, UnknownCommand
from ome.recovery import Batch, Replay
from ome.recovery.directory import first_sequence
from ome.recovery.listing import journal_source, names_before
from ome.recovery.names import Names
from ome.recovery.wording import instruments_meant, printable

__all__ = ["Export", "ExportError", "export_journal"]

_ROW_GROUP_COUNT: Final = 65_536  # rows
_PART_SUFFIX: Final = ".part"  # of a file that is not finished
_NULLABLE: Final = ("price", "quantity")
_OF_INSTRUMENT: Final = ("symbol", "price_decimals", "quantity_decimals")
_COMMAND_FLAGS: Final = ("post_only", "hidden")  # of a NewOrder, in its flags
_NO_COLUMN: Final = ("terms", *_COMMAND_FLAGS)


class ExportError(OmeError):
    """A file cannot be written: pyarrow is missing, or the system refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What was written, and how many rows. They begin with command `first_sequence`."""

    first_sequence: int
    commands_path: str
    command_count: int
    events_path: str | None
    event_count: int


def export_journal(
    directory: Path,
    path: Path,
    *,
    events: bool = False,
    live: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Export:
    """Writes the commands to `path`, and with `events` what they caused to `<its stem>-events<its suffix>` beside it.

    Files have another name until they are finished; where the export fails, none is left and none replaced.

    Raises ExportError, JournalError or JournalIntegrityError.
    """
    arrow = _Arrow()
    events_path = path.with_name(f"{path.stem}-events{path.suffix}") if events else None
    command_count = event_count = 0
    names, instrument_before = names_before(directory, live=live), 0
    with ExitStack() as files:
        commands_file = files.enter_context(arrow.writer(path, _COMMAND_COLUMNS))
        events_file = None if events_path is None else files.enter_context(arrow.writer(events_path, _EVENT_COLUMNS))
        source = journal_source(directory, live=live, is_replayed=events)
        files.enter_context(source)
        first = source.report.snapshot_sequence + 1 if events else first_sequence(directory)
        for batch in _batches(source):
            names.learn(batch.commands, batch.events)
            instruments = instruments_meant(batch.commands, instrument_before)
            instrument_before = int(instruments[-1])
            commands_file(batch.commands, instruments, names)
            command_count += len(batch.commands)
            if events_file is not None and len(batch.events):
                events_file(event_rows(batch.events), batch.events["instrument"], names)
                event_count += len(batch.events)
            progress(command_count)
    return Export(
        first_sequence=first,
        commands_path=str(path),
        command_count=command_count,
        events_path=None if events_path is None else str(events_path),
        event_count=event_count,
    )


def _batches(source: JournalReader | Replay) -> Iterator[Batch]:
    if isinstance(source, Replay):
        yield from source.batches(_ROW_GROUP_COUNT)
    else:
        for commands in source:
            yield Batch(commands=commands, events=np.empty(0, EVENT))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """The columns of one kind of record: its fields in order, and for each the kinds that have it.

    A `moved` column has the values of a field where they mean something else than that says: the field, and in which records.
    """

    layout: np.dtype[np.void]
    kinds: Mapping[str, Sequence[int]]
    moved: Mapping[str, tuple[str, Callable[[Records], npt.NDArray[np.bool_]]]]


def _columns(
    layout: np.dtype[np.void],
    having: Mapping[str, Sequence[int]],
    every: Sequence[str],
    moved: Mapping[str, tuple[str, Callable[[Records], npt.NDArray[np.bool_]]]],
) -> _Columns:
    assert layout.names is not None, "a record has fields"
    names = [name for name in layout.names if name in (*every, *having)]
    return _Columns(layout=layout, kinds={name: () if name in every else having[name] for name in names}, moved=moved)


def _fields_of(types: Mapping[int, type[Command] | type[Event]]) -> dict[str, list[int]]:
    """Of each field the kinds that have it."""
    having: dict[str, list[int]] = {}
    for kind, message_type in types.items():
        for field in dataclasses.fields(message_type):
            if field.name not in _NO_COLUMN:
                having.setdefault(field.name, []).append(int(kind))
    return having


def _fields_of_rows() -> dict[str, list[int]]:
    """The same of EVENT_ROW, in which trades have their aggressor's owner, and a count of orders is no quantity."""
    having = _fields_of(EVENT_TYPES)
    for name in ("timestamp_ns", "account", "participant", "session"):
        having[name] += [EventKind.TRADE, EventKind.PREVENTED]
    for kind in (EventKind.COMPLETED, EventKind.DEFINED):
        having["quantity"].remove(kind)
    return having | {"order_count": [EventKind.COMPLETED]}


def _named_by_order_id(commands: Records) -> npt.NDArray[np.bool_]:
    kinds = (CommandKind.CANCEL_ORDER, CommandKind.REDUCE_ORDER, CommandKind.AMEND_ORDER)
    found: npt.NDArray[np.bool_] = np.isin(commands["kind"], kinds) & (commands["flags"] & CommandFlags.BY_ORDER_ID != 0)
    return found


def _limited_by_distance(commands: Records) -> npt.NDArray[np.bool_]:
    is_new = commands["kind"] == CommandKind.NEW_ORDER
    found: npt.NDArray[np.bool_] = is_new & (commands["order_type"] == OrderType.TRAILING_STOP_LIMIT)
    return found


# Fields that every record has, whatever its kind: no row lacks them.
_COMMAND_COLUMNS: Final = _columns(
    COMMAND,
    _fields_of(COMMAND_TYPES),
    ("sequence", *(f.name for f in dataclasses.fields(UnknownCommand) if f.name != "reserved")),
    {"order_id": ("client_order_id", _named_by_order_id), "limit_offset": ("price", _limited_by_distance)},
)
_EVENT_COLUMNS: Final = _columns(EVENT_ROW, _fields_of_rows(), tuple(field.name for field in dataclasses.fields(Event)), {})


class _Arrow:
    """What is needed of pyarrow. Raises ExportError where it is not installed."""

    def __init__(self) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise ExportError("export to Parquet", found="no pyarrow", allowed="pyarrow: pip install pyarrow") from None
        self._arrow: Any = pyarrow

    @contextmanager
    def writer(self, path: Path, columns: _Columns) -> Iterator[Callable[[Records, npt.NDArray[np.uint32], Names], None]]:
        """Gives what appends records; they are a file of this name when everything went well."""
        part = path.with_name(path.name + _PART_SUFFIX)
        schema = self._schema(columns)
        try:
            file = self._arrow.parquet.ParquetWriter(part, schema)
            try:
                with file:
                    yield lambda records, instruments, names: file.write_table(
                        self._table(records, instruments, names, columns, schema), row_group_size=_ROW_GROUP_COUNT
                    )
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise ExportError("export to Parquet", where=str(path), found=str(error), allowed="a file that can be written") from None

    def _schema(self, columns: _Columns) -> Any:
        fields = [(name, self._type(columns.layout, name)) for name in columns.kinds if name not in _OF_INSTRUMENT]
        fields += [(name, self._type(columns.layout, source)) for name, (source, _) in columns.moved.items()]
        fields += [("symbol", self._arrow.string()), ("price_decimals", self._arrow.uint8()), ("quantity_decimals", self._arrow.uint8())]
        metadata = {"ome.schema_version": str(SCHEMA_VERSION), "ome.enumerations": json.dumps(_enumerations())}
        return self._arrow.schema(fields, metadata=metadata)

    def _type(self, layout: np.dtype[np.void], name: str) -> Any:
        kind = layout[name]
        return self._arrow.string() if kind.kind == "S" else self._arrow.from_numpy_dtype(kind)

    def _table(self, records: Records, instruments: npt.NDArray[np.uint32], names: Names, columns: _Columns, schema: Any) -> Any:
        kind = records["kind"]
        arrays = {}
        moved = {source: (name, where(records)) for name, (source, where) in columns.moved.items()}
        for name, kinds in columns.kinds.items():
            if name in _OF_INSTRUMENT:
                continue
            values = np.ascontiguousarray(records[name])
            is_absent = ~np.isin(kind, kinds) if kinds else np.zeros(len(records), dtype=np.bool_)
            if name in _NULLABLE:
                is_absent |= values == NULL_VALUE
            if name in moved:
                place, is_moved = moved[name]
                arrays[place] = self._arrow.array(values, type=schema.field(place).type, mask=~is_moved)
                is_absent |= is_moved
            if values.dtype.kind == "S":
                values = _texts(np.where(is_absent, b"", values))
            arrays[name] = self._arrow.array(values, type=schema.field(name).type, mask=is_absent)
        known = np.isin(instruments, list(names.instruments))
        places, inverse = np.unique(np.where(known, instruments, 0), return_inverse=True)
        described = [names.instruments.get(number) for number in places.tolist()]
        for name, nothing in (("symbol", ""), ("price_decimals", 0), ("quantity_decimals", 0)):
            of_place = np.array([nothing if it is None else getattr(it, name) for it in described], object)
            values, is_absent = of_place[inverse], ~known
            if name in columns.kinds:  # what a definition says itself, whether it took effect or not
                is_definition = np.isin(kind, columns.kinds[name])
                own = _texts(records[name]) if name == "symbol" else records[name]
                values[is_definition], is_absent[is_definition] = own[is_definition], False
            arrays[name] = self._arrow.array(values, type=schema.field(name).type, mask=is_absent)
        return self._arrow.table([arrays[name] for name in schema.names], schema=schema)


def _texts(values: npt.NDArray[np.bytes_]) -> npt.NDArray[np.object_]:
    return np.array([printable(text) for text in values.tolist()], object)


def _enumerations() -> dict[str, dict[str, int]]:
    """Every enumeration of the schema: name and number of each value."""
    kinds = (getattr(enums, name) for name in enums.__all__)
    return {
        kind.__name__: {str(member.name): int(member) for member in kind}
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, IntEnum | IntFlag)
    }
