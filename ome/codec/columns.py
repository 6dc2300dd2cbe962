"""Records as columns that mean what their names say.

In COMMAND and EVENT kinds share bytes: the `timestamp_ns` of a trade holds an order id. Two ways to read such arrays:

- `records_of_kind`: the records of one kind, as an array with the fields of that kind and no others.
- EVENT_ROW, a wider dtype with one column for each meaning, for events of all kinds: what `ome.engine.event_rows` and `Engine.apply` give.
"""

from __future__ import annotations

import dataclasses
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from ome.attributes import ATTRIBUTES
from ome.codec.layouts import COMMAND, EVENT
from ome.codec.records import RECORD_SIZE, Records, record_bytes
from ome.enums import CommandKind, EventKind
from ome.errors import InvalidTypeError, InvalidValueError, one_of
from ome.messages import COMMAND_TYPES, EVENT_TYPES, Completed, Defined

__all__ = ["EVENT_ROW", "Rows", "kind_layout", "records_of_kind"]

EVENT_ROW: Final = np.dtype(
    {
        "names": [
            *("sequence", "timestamp_ns", "order_id", "client_order_id", "resting_order_id", "resting_client_order_id"),
            *("price", "quantity", "order_count", "account", "instrument", "participant", "session"),
            *("kind", "side", "reason", "flags", "command_kind", "order_type"),
            *ATTRIBUTES,
        ],
        "formats": [*["<u8"] * 6, *["<i8"] * 2, *["<u4"] * 3, *["<u2"] * 2, *["u1"] * 6, *["<u4"] * len(ATTRIBUTES)],
        "offsets": [*range(0, 64, 8), *(64, 68, 72), *(76, 78), *range(80, 86), *(88 + 4 * place for place in range(len(ATTRIBUTES)))],
        "itemsize": 104,
    }
)
"""An event: ome_event_row_t of csrc/ome.h, which says what each column is and where it is 0 or NULL_VALUE."""

Rows: TypeAlias = npt.NDArray[np.void]
"""A one-dimensional array of dtype EVENT_ROW."""

_COUNTS: Final[dict[type, str]] = {Completed: "order_count", Defined: "report_count"}
"""What `quantity` is where it is none."""

_NO_COLUMN: Final = ("post_only", "hidden", "terms", "reserved")  # in the flags, or records of their own


def kind_layout(kind: CommandKind | EventKind) -> np.dtype[np.void]:
    """The dtype of records of one kind: 64 bytes, with the fields of its class in ome.messages.

    Where the field `quantity` is no quantity, its name says what it is: COMPLETED has `order_count`, DEFINED has `report_count`.

    >>> kind_layout(EventKind.TRADE).names[5:7]
    ('resting_order_id', 'resting_client_order_id')
    """
    message_type: type = COMMAND_TYPES[kind] if isinstance(kind, CommandKind) else EVENT_TYPES[kind]
    places = (COMMAND if isinstance(kind, CommandKind) else EVENT).fields
    assert places is not None, "a record has fields"
    names = {"sequence", *(field.name for field in dataclasses.fields(message_type) if field.name not in _NO_COLUMN)}
    ordered = sorted(names, key=lambda name: int(places[name][1]))
    return np.dtype(
        {
            "names": [_COUNTS.get(message_type, name) if name == "quantity" else name for name in ordered],
            "formats": [places[name][0] for name in ordered],
            "offsets": [int(places[name][1]) for name in ordered],
            "itemsize": RECORD_SIZE,
        }
    )


def records_of_kind(records: Records, kind: CommandKind | EventKind) -> npt.NDArray[np.void]:
    """The records of one kind, in order, as a new array of dtype `kind_layout(kind)`.

    Raises InvalidTypeError where `records` are not COMMAND or EVENT, InvalidValueError for a kind of the other.
    """
    layouts = {COMMAND: CommandKind, EVENT: EventKind}
    kinds = layouts.get(records.dtype) if isinstance(records, np.ndarray) and records.ndim == 1 else None
    if kinds is None:
        found = str(records.dtype) if isinstance(records, np.ndarray) else type(records).__name__
        raise InvalidTypeError("records", found=found, allowed="a one-dimensional array of dtype COMMAND or EVENT")
    if not isinstance(kind, kinds):
        raise InvalidValueError("kind", found=kind, allowed=one_of([member.name for member in kinds]))
    chosen = np.frombuffer(bytearray(record_bytes(records)), f"V{RECORD_SIZE}")[records["kind"] == kind]
    rows: npt.NDArray[np.void] = chosen.view(kind_layout(kind))
    return rows
