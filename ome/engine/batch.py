"""Many commands in one call, and all their events: as records, as rows, as they lie in the memory of C."""

from __future__ import annotations

from typing import Final

import numpy as np

from ome._native import CData, ffi, lib
from ome.codec import COMMAND, EVENT, EVENT_ROW, RECORD_SIZE, Records, Rows, record_bytes
from ome.errors import InvalidTypeError, InvalidValueError

__all__ = ["apply_commands", "event_hash_of", "event_rows", "records_in", "rows_in", "view_of_records_in"]

# Looked up once: a tenth of what a call of a few commands costs.
_batch_apply, _batch_events, _batch_event_count = lib.ome_batch_apply, lib.ome_batch_events, lib.ome_batch_event_count
_from_buffer, _buffer = ffi.from_buffer, ffi.buffer
_RECORD_SIZE: Final = RECORD_SIZE


def apply_commands(batch: CData, engine: CData, commands: Records | bytes) -> None:
    """Applies commands to an engine; then the batch (an ome_batch_t *) has their events.

    Raises InvalidTypeError or InvalidValueError where `commands` are neither an array of dtype COMMAND nor whole records of bytes.
    """
    if isinstance(commands, np.ndarray):
        # Most arrays have the very dtype, and to compare two takes longer.
        if (commands.dtype is not COMMAND and commands.dtype != COMMAND) or len(shape := commands.shape) != 1:
            raise _not_commands(commands)
        (count,) = shape
        try:
            data = _from_buffer(commands)
        except ValueError:  # its rows do not follow each other in memory
            raise _not_commands(commands) from None
    elif isinstance(commands, bytes):
        count, rest = divmod(len(commands), _RECORD_SIZE)
        if rest:
            raise InvalidValueError("commands", found=f"{len(commands)} bytes", allowed=f"a multiple of {_RECORD_SIZE} bytes")
        data = commands
    else:
        raise InvalidTypeError("commands", found=type(commands).__name__, allowed="an array of dtype COMMAND, or bytes")
    _batch_apply(batch, engine, data, count)


def records_in(batch: CData) -> Records:
    """The events of a batch in a new array of dtype EVENT."""
    # Copied: what the batch holds is gone with the next call. By way of a bytearray, since an array of records is slow to make.
    return np.frombuffer(bytearray(_buffer(_batch_events(batch), _batch_event_count(batch) * _RECORD_SIZE)), EVENT)


def view_of_records_in(batch: CData) -> Records:
    """The events of a batch in an array of dtype EVENT that is good until the next call."""
    return np.frombuffer(_buffer(_batch_events(batch), _batch_event_count(batch) * _RECORD_SIZE), EVENT)


def rows_in(batch: CData) -> Rows:
    """The events of a batch in a new array of dtype EVENT_ROW."""
    return _rows(_batch_events(batch), _batch_event_count(batch))


def event_hash_of(batch: CData) -> int:
    """The rolling hash of every event that a batch ever had."""
    return int(lib.ome_batch_event_hash(batch))


def event_rows(events: Records) -> Rows:
    """Events as rows with one meaning for each column, at full speed: a new array of dtype `ome.codec.EVENT_ROW`.

    `events` is an array of dtype `ome.codec.EVENT`, as `Engine.apply_records` and a replay give it. Prices and quantities stay integers,
    of price units and lots. In a row `price` and `quantity` are NULL_VALUE, and all else is 0, where its kind has no such thing. A trade
    has the time of its command, and account, participant and session of its aggressor, from the events before it of the same command.

    >>> from ome.codec import encode_commands
    >>> from ome.engine import Engine
    >>> from ome.enums import Side
    >>> from ome.instruments import Instrument
    >>> from ome.messages import NewOrder
    >>> with Engine([Instrument("AAPL")]) as market:
    ...     orders = [NewOrder(instrument=1, side=side, price=15025, quantity=10, account=7, timestamp_ns=99) for side in Side]
    ...     rows = event_rows(market.apply_records(encode_commands(orders)))
    >>> rows[["timestamp_ns", "price", "quantity", "account"]][-1].item()
    (99, 15025, 10, 7)

    Raises InvalidTypeError for another array.
    """
    if not isinstance(events, np.ndarray) or events.dtype != EVENT or events.ndim != 1:
        found = f"{events.dtype}, shape {events.shape}" if isinstance(events, np.ndarray) else type(events).__name__
        raise InvalidTypeError("events", found=found, allowed="a one-dimensional array of dtype EVENT")
    return _rows(_from_buffer(record_bytes(events)), len(events))


def _rows(events: CData, count: int) -> Rows:
    data = bytearray(count * EVENT_ROW.itemsize)
    lib.ome_event_rows(events, count, _from_buffer(data))
    return np.frombuffer(data, EVENT_ROW)


def _not_commands(array: Records) -> InvalidTypeError:
    return InvalidTypeError(
        "commands", found=f"{array.dtype}, shape {array.shape}", allowed="a contiguous array of dtype COMMAND, one dimension"
    )
