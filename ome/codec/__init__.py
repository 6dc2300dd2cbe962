"""Records of 64 bytes: their layouts (generated from the schema), messages to records and back, records as columns, words to commands."""

from __future__ import annotations

from ome.codec.columns import EVENT_ROW, Rows, kind_layout, records_of_kind
from ome.codec.layouts import COMMAND, EVENT
from ome.codec.records import (
    RECORD_SIZE,
    Records,
    command_structure,
    decode_commands,
    decode_events,
    encode_commands,
    encode_events,
    event_structure,
    join_records,
    record_bytes,
    records_of,
)
from ome.codec.requests import (
    OrderOptions,
    SelfTradeName,
    SelfTradeScopeName,
    SideName,
    Time,
    TimeInForceName,
    define_instrument,
    new_order,
    side_of,
    time_ns,
)

__all__ = [
    "COMMAND",
    "EVENT",
    "EVENT_ROW",
    "RECORD_SIZE",
    "OrderOptions",
    "Records",
    "Rows",
    "SelfTradeName",
    "SelfTradeScopeName",
    "SideName",
    "Time",
    "TimeInForceName",
    "command_structure",
    "decode_commands",
    "decode_events",
    "define_instrument",
    "encode_commands",
    "encode_events",
    "event_structure",
    "join_records",
    "kind_layout",
    "new_order",
    "record_bytes",
    "records_of",
    "records_of_kind",
    "side_of",
    "time_ns",
]
