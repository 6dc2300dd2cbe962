"""Commands and events as 64-byte records, and records as commands and events.

The place of each field comes from the generated layouts; each message class becomes one `struct.Struct` whose gaps are zeros. So a message
keeps what its class lists and nothing else, and whatever was encoded decodes to an equal message. One exception: a command with terms is
encoded as the records that follow each other, each of which decodes to a message of its own.

Records travel as numpy arrays of dtype COMMAND or EVENT. numpy copies such arrays field by field and loses or moves what no field covers:
join and copy records with `join_records` and `record_bytes`, which see bytes only.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from ome.codec.layouts import COMMAND, EVENT
from ome.enums import CommandFlags
from ome.errors import InvalidTypeError, InvalidValueError, OmeError, one_of
from ome.messages import COMMAND_TYPES, EVENT_TYPES, AmendOrder, Command, Event, NewOrder, OrderTerms, UnknownCommand
from ome.units import integer_of

__all__ = [
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

Records = npt.NDArray[np.void]
"""A one-dimensional array whose dtype is COMMAND or EVENT."""

RECORD_SIZE: Final = 64
_RESERVED_OFFSET: Final = 62  # the last two bytes of a command, which the layouts do not name
_FORMATS: Final = {"|u1": "B", "<u2": "H", "<u4": "I", "<u8": "Q", "<i8": "q", "|S16": "16s"}
_RANGES: Final = {"B": (0, 2**8 - 1), "H": (0, 2**16 - 1), "I": (0, 2**32 - 1), "Q": (0, 2**64 - 1), "q": (-(2**63), 2**63 - 1)}
_COMMAND_KIND_OFFSET: Final = 56
_FLAGS: Final = slice(60, 62)
_TERMS_A_RECORD: Final = 3
_CONTINUED, _POST_ONLY, _HIDDEN = int(CommandFlags.CONTINUED), int(CommandFlags.POST_ONLY), int(CommandFlags.HIDDEN)
_NO_PLACE: Final = frozenset(("post_only", "hidden", "terms"))  # fields that are flags, or records of their own
_EVENT_KIND_OFFSET: Final = 60

Message = TypeVar("Message", Command, Event)


class _Form:
    """How one message class is written: its fields by offset, and the structure that packs them."""

    def __init__(self, message_type: type[Any], layout: np.dtype[np.void]) -> None:
        fields = [field for field in dataclasses.fields(message_type) if field.name not in _NO_PLACE]
        assert layout.fields is not None, "a record has fields"
        places = {name: (int(place[1]), _FORMATS[place[0].str]) for name, place in layout.fields.items()}
        places["reserved"] = (_RESERVED_OFFSET, "H")
        self.message_type = message_type
        self.names = sorted((f.name for f in fields), key=lambda name: places[name][0])
        self.formats = [places[name][1] for name in self.names]
        self.given = {f.name for f in fields if f.init}
        self.texts = [name for name, character in zip(self.names, self.formats, strict=True) if character == "16s"]
        self.structure = struct.Struct(_format([places[name] for name in self.names]))
        self.values = attrgetter(*self.names)

    def pack(self, message: object) -> bytes:
        for name in self.texts:
            if not isinstance(text := getattr(message, name), bytes) or len(text) > 16:
                raise InvalidValueError(name, where=self.message_type.__name__, found=text, allowed="at most 16 bytes")
        try:
            return self.structure.pack(*self.values(message))
        except struct.error:
            raise self._refusal(message) from None

    def unpack(self, record: bytes) -> Any:
        values = zip(self.names, self.structure.unpack(record), strict=True)
        given = {name: value for name, value in values if name in self.given}
        for name in self.texts:
            given[name] = given[name].rstrip(b"\0")
        return self.message_type(**given)

    def _refusal(self, message: object) -> OmeError:
        """Names the first field whose value its bytes cannot hold."""
        for name, character in zip(self.names, self.formats, strict=True):
            value = getattr(message, name)
            if character not in _RANGES:
                continue
            least, most = _RANGES[character]
            try:
                integer_of(value, name, least, most, where=self.message_type.__name__)
            except OmeError as refusal:
                return refusal
        raise AssertionError("a structure fails only where a field of it fails")


class _OrderForm(_Form):
    """How a NewOrder or AmendOrder is written: one record, and one more for every three of its terms."""

    def pack(self, message: Any) -> bytes:
        record = super().pack(message)
        flags = _CONTINUED if message.terms else 0
        if type(message) is NewOrder:
            flags |= (_POST_ONLY if message.post_only else 0) | (_HIDDEN if message.hidden else 0)
        if flags:
            flags |= int.from_bytes(record[_FLAGS], "little")
            record = record[: _FLAGS.start] + flags.to_bytes(2, "little") + record[_FLAGS.stop :]
        return record if not message.terms else record + b"".join(map(_TERMS_FORM.pack, _terms_of(message)))


def _terms_of(order: NewOrder | AmendOrder) -> Iterable[OrderTerms]:
    """The messages that follow an order's record. They count in the session's sequence, where it has one."""
    count = -(-len(order.terms) // _TERMS_A_RECORD)
    for index in range(count):
        given = order.terms[index * _TERMS_A_RECORD : (index + 1) * _TERMS_A_RECORD]
        places = {f"term_{place}": term for place, (term, _) in enumerate(given, 1)}
        values = {f"value_{place}": value for place, (_, value) in enumerate(given, 1)}
        yield OrderTerms(
            timestamp_ns=order.timestamp_ns,
            participant=order.participant,
            session=order.session,
            session_sequence=order.session_sequence + index + 1 if order.session_sequence else 0,
            flags=_CONTINUED if index + 1 < count else 0,
            **places,
            **values,
        )


def _format(places: Iterable[tuple[int, str]]) -> str:
    """The struct format of fields at these offsets, gaps zero, 64 bytes in all."""
    text, end = "<", 0
    for offset, character in places:
        assert offset >= end, "fields of one message do not overlap"
        text += "x" * (offset - end) + character
        end = offset + struct.calcsize("<" + character)
    return text + "x" * (RECORD_SIZE - end)


_COMMAND_FORMS: Final = {
    kind: (_OrderForm if message_type in (NewOrder, AmendOrder) else _Form)(message_type, COMMAND)
    for kind, message_type in COMMAND_TYPES.items()
}
_TERMS_FORM: Final = _Form(OrderTerms, COMMAND)
_EVENT_FORMS: Final = {kind: _Form(message_type, EVENT) for kind, message_type in EVENT_TYPES.items()}
_UNKNOWN_FORM: Final = _Form(UnknownCommand, COMMAND)
_FORM_OF_TYPE: Final = {form.message_type: form for form in (*_COMMAND_FORMS.values(), _UNKNOWN_FORM, *_EVENT_FORMS.values())}


def command_structure(kind: int) -> struct.Struct:
    """The structure of a command of this kind: its fields in the order of their offsets, without the sequence, bytes 62 and 63 last."""
    return _COMMAND_FORMS[kind].structure


def event_structure(kind: int) -> struct.Struct:
    """The structure of an event of this kind: its fields in the order of their offsets, the sequence first."""
    return _EVENT_FORMS[kind].structure


def encode_commands(commands: Iterable[Command]) -> Records:
    """Records of dtype COMMAND, one for each command, and for every three terms one more behind it; their sequence is 0.

    Raises InvalidValueError where a value does not fit its field, InvalidTypeError where it is no integer.
    """
    return _encode(commands, COMMAND)


def decode_commands(records: Records) -> list[Command]:
    """The commands that the records hold, one for each: terms are OrderTerms. A kind that does not exist gives an UnknownCommand."""
    data = record_bytes(_checked(records, COMMAND))
    return [_COMMAND_FORMS.get(record[_COMMAND_KIND_OFFSET], _UNKNOWN_FORM).unpack(record) for record in _split(data)]


def encode_events(events: Iterable[Event]) -> Records:
    """Records of dtype EVENT, one for each event. Raises as `encode_commands`."""
    return _encode(events, EVENT)


def decode_events(records: Records) -> list[Event]:
    """The events that the records hold. Raises InvalidValueError for a kind that does not exist."""
    events: list[Event] = []
    for index, record in enumerate(_split(record_bytes(_checked(records, EVENT)))):
        form = _EVENT_FORMS.get(record[_EVENT_KIND_OFFSET])
        if form is None:
            allowed = one_of([int(kind) for kind in _EVENT_FORMS])
            raise InvalidValueError("kind", where=f"event {index}", found=record[_EVENT_KIND_OFFSET], allowed=allowed)
        events.append(form.unpack(record))
    return events


def record_bytes(records: Records) -> bytes:
    """All bytes of the records, also those that no field names."""
    return records.view(f"V{RECORD_SIZE}").tobytes()


def records_of(data: bytes | bytearray, layout: np.dtype[np.void]) -> Records:
    """Records of dtype `layout` over these bytes, not copied. Raises InvalidValueError unless they are whole records."""
    if len(data) % RECORD_SIZE:
        raise InvalidValueError("size of records", found=len(data), allowed=f"a multiple of {RECORD_SIZE} bytes")
    return np.frombuffer(data, dtype=layout)


def join_records(parts: Iterable[Records], layout: np.dtype[np.void]) -> Records:
    """All parts, each of dtype `layout`, one after the other."""
    return records_of(b"".join(record_bytes(_checked(part, layout)) for part in parts), layout)


def _encode(messages: Iterable[Message], layout: np.dtype[np.void]) -> Records:
    return records_of(bytearray().join(_FORM_OF_TYPE[type(message)].pack(message) for message in messages), layout)


def _split(data: bytes) -> Iterable[bytes]:
    return (data[start : start + RECORD_SIZE] for start in range(0, len(data), RECORD_SIZE))


def _checked(records: Records, layout: np.dtype[np.void]) -> Records:
    if not isinstance(records, np.ndarray) or records.dtype != layout or records.ndim != 1:
        found = f"{records.dtype} with {records.ndim} dimensions" if isinstance(records, np.ndarray) else type(records).__name__
        raise InvalidTypeError("records", found=found, allowed=f"a one-dimensional numpy array of dtype {layout.names}")
    return records
