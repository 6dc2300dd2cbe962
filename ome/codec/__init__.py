"""Records of 64 bytes: their layouts (generated from the schema) and what turns messages into records and back."""

from __future__ import annotations

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

__all__ = [
    "COMMAND",
    "EVENT",
    "RECORD_SIZE",
    "Records",
    "command_structure",
    "decode_commands",
    "decode_events",
    "encode_commands",
    "encode_events",
    "event_structure",
    "join_records",
    "record_bytes",
    "records_of",
]
