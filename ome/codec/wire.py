"""Single messages of the wire: from fields to bytes, and from bytes to fields. For what is rare; orders and reports travel as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ome.codec.layouts import HEADER_SIZE, SCHEMA_ID, SCHEMA_VERSION, TEMPLATES
from ome.errors import InvalidValueError, one_of

__all__ = ["decode_message", "encode_message", "template_id"]

_IDS = {name: template for template, (name, _, _) in TEMPLATES.items()}


def template_id(name: str) -> int:
    """The template id of a message by its name in the schema.

    >>> template_id("Logon")
    128
    """
    return _IDS[name]


def encode_message(name: str, **fields: object) -> bytes:
    """A message with its header; fields that are not given are zero.

    >>> len(encode_message("Logon", participant_name=b"FIRM1", session_number=1))
    64
    """
    template = _IDS[name]
    _, block_length, layout = TEMPLATES[template]
    message = np.zeros(1, dtype=layout)
    header = {"block_length": block_length, "template_id": template, "schema_id": SCHEMA_ID, "version": SCHEMA_VERSION}
    for field, value in (header | fields).items():
        message[field] = value
    return message.tobytes()


def decode_message(data: bytes, offset: int = 0) -> tuple[str, dict[str, Any]]:
    """Name and fields of the message at `offset`. Raises InvalidValueError where there is none of ours."""
    if len(data) - offset < HEADER_SIZE:
        raise InvalidValueError(
            "message", where=f"frame at byte {offset}", found=f"{len(data) - offset} bytes", allowed="a header of 8 bytes or more"
        )
    template = int.from_bytes(data[offset + 2 : offset + 4], "little")
    if template not in TEMPLATES:
        raise InvalidValueError("template_id", where=f"frame at byte {offset}", found=template, allowed=one_of(TEMPLATES))
    name, block_length, layout = TEMPLATES[template]
    if len(data) - offset < HEADER_SIZE + block_length:
        raise InvalidValueError(
            name, where=f"frame at byte {offset}", found=f"{len(data) - offset} bytes", allowed=f"{HEADER_SIZE + block_length}"
        )
    row = np.frombuffer(data, dtype=layout, count=1, offset=offset)[0]
    assert layout.names is not None, "a message has fields"
    return name, {field: row[field].item() for field in layout.names}
