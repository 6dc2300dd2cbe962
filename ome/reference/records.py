"""A command's record as a row of numbers. Source: ome/codec/schema.xml.

The fields of different kinds of commands share bytes. A row names them as NewOrder does; the functions below give the other names.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ome.codec import Records, record_bytes
from ome.enums import CommandFlags

__all__ = ["BY_ORDER_ID", "CONTINUED", "HIDDEN", "OPEN_QUANTITY", "POST_ONLY", "Row", "cutoff_of", "rows_of", "signed", "target_session_of"]

# Flags as plain integers: an IntFlag costs a microsecond for each `|`.
BY_ORDER_ID: Final = int(CommandFlags.BY_ORDER_ID)
OPEN_QUANTITY: Final = int(CommandFlags.OPEN_QUANTITY)
CONTINUED: Final = int(CommandFlags.CONTINUED)
POST_ONLY: Final = int(CommandFlags.POST_ONLY)
HIDDEN: Final = int(CommandFlags.HIDDEN)

_STRUCTURE: Final = struct.Struct("<8xQQqqIHHIIBBBBHH")


class Row(NamedTuple):
    """A command, its fields in the order of their offsets. `last_bytes` are bytes 54 and 55 of the body."""

    timestamp_ns: int
    client_order_id: int
    price: int
    quantity: int
    account: int
    participant: int
    session: int
    session_sequence: int
    instrument: int
    kind: int
    side: int
    order_type: int
    time_in_force: int
    flags: int
    last_bytes: int

    @property
    def self_trade_prevention(self) -> int:
        """Of a NewOrder."""
        return self.last_bytes & 0xFF

    @property
    def self_trade_scope(self) -> int:
        """Of a NewOrder."""
        return self.last_bytes >> 8


def rows_of(commands: Records) -> Iterator[Row]:
    """The rows of these records. Their own sequence is not read."""
    return map(Row._make, _STRUCTURE.iter_unpack(record_bytes(commands)))


def cutoff_of(row: Row) -> int:
    """`cutoff_ns` of an ExpireOrders."""
    return row.client_order_id


def target_session_of(row: Row) -> int:
    """`target_session` of a MassCancel: two bytes where an order has its quantity."""
    return row.quantity & 0xFFFF


def signed(word: int) -> int:
    """The number that an unsigned 64-bit word holds in two's complement."""
    return word - 2**64 if word >= 2**63 else word
