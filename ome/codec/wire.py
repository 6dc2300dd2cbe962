"""Messages of the wire: single ones, from fields to bytes and from bytes to fields, and commands, from an array to an array."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ome.codec.layouts import COMMAND, COMMAND_MESSAGE, HEADER_SIZE, SCHEMA_ID, SCHEMA_VERSION, TEMPLATES
from ome.errors import InvalidValueError, one_of

__all__ = ["command_messages", "decode_message", "encode_message", "next_number", "numbered_messages", "session_sequences", "template_id"]

_IDS = {name: template for template, (name, _, _) in TEMPLATES.items()}
_COMMAND_SIZE: Final = COMMAND_MESSAGE.itemsize
_NUMBERS: Final = 2**32 - 1  # from 1 to this one


def template_id(name: str) -> int:
    """The template id of a message by its name in the schema.

    >>> template_id("Logon")
    128
    """
    return _IDS[name]


def command_messages(commands: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Commands (dtype COMMAND or COMMAND_MESSAGE) as messages with their headers, in an array of their own.

    The template is the kind of a COMMAND, or the header's.
    """
    words = np.ascontiguousarray(commands).view("<u8").reshape(-1, _COMMAND_SIZE // 8)
    messages = words.copy().view(COMMAND_MESSAGE).reshape(-1)
    messages["template_id"] = commands["kind" if commands.dtype == COMMAND else "template_id"]
    messages["block_length"] = _COMMAND_SIZE - HEADER_SIZE
    messages["schema_id"] = SCHEMA_ID
    messages["version"] = SCHEMA_VERSION
    return messages


def numbered_messages(commands: npt.NDArray[np.void], first_sequence: int) -> npt.NDArray[np.void]:
    """Commands as `command_messages`, as a client sends them: numbered in its session from `first_sequence` on.

    What the server writes is zero.
    """
    messages = command_messages(commands)
    for name in ("timestamp_ns", "participant", "session", "kind"):
        messages[name] = 0
    messages["session_sequence"] = session_sequences(first_sequence, len(messages))
    return messages


def next_number(last: int) -> int:
    """The session sequence after `last`, where 0 is none.

    >>> next_number(0), next_number(7), next_number(2**32 - 1)
    (1, 8, 1)
    """
    return last % _NUMBERS + 1


def session_sequences(first: int, count: int) -> npt.NDArray[np.uint32]:
    """So many session sequences from `first` on; after 2^32 - 1 comes 1.

    >>> session_sequences(2**32 - 2, 3).tolist()
    [4294967294, 4294967295, 1]
    """
    return ((np.arange(first - 1, first - 1 + count) % _NUMBERS) + 1).astype(np.uint32)


def encode_message(name: str, **fields: object) -> bytes:
    """A message with its header; fields that are not given are zero.

    >>> len(encode_message("Logon", participant_name=b"FIRM1", session_number=1))
    88
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
