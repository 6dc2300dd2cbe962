"""Numbers at the edge, instruments, messages and their records."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from strategies import commands, opening

from ome.codec import COMMAND, EVENT, decode_commands, decode_events, encode_commands, encode_events, join_records, record_bytes, records_of
from ome.enums import InstrumentFlags
from ome.errors import InvalidTypeError, InvalidValueError, OmeError
from ome.instruments import Instrument
from ome.messages import COMMAND_TYPES, EVENT_TYPES, NULL_VALUE, Command, DefineInstrument, Limits, NewOrder, UnknownCommand
from ome.reference import ReferenceEngine
from ome.units import decimal_of, number_of, units_of


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 18))
def test_units_survive_the_way_to_decimal_and_back(units: int, decimals: int) -> None:
    """A number of units is exactly the decimal that it stands for, as Decimal and as text."""
    number = number_of(units, decimals)
    assert units_of(number, decimals) == units_of(str(number), decimals) == units


@pytest.mark.parametrize("value", [0.1, 1.0, True, None, b"1", [1]])
def test_floats_and_other_types_are_refused(value: Any) -> None:
    """Floats are refused with a TypeError that names the types taken."""
    with pytest.raises(InvalidTypeError, match="Decimal, str or int") as refusal:
        decimal_of(value, "price")
    assert isinstance(refusal.value, TypeError)


@pytest.mark.parametrize(
    "value", ["", "abc", "NaN", "Infinity", Decimal("sNaN"), "0.001", "1e-400", "1e400", "92233720368547758.08", 2**63]
)
def test_numbers_that_are_no_whole_units_are_refused(value: Decimal | str | int) -> None:
    """What is no number, has more decimals than the unit or leaves 64 bits is an InvalidValueError."""
    with pytest.raises(InvalidValueError):
        units_of(value, 2)


@pytest.mark.parametrize(
    ("value", "units"), [("1e2", 10_000), ("0e400", 0), ("-0.010000", -1), (3, 300), ("92233720368547758.07", 2**63 - 1)]
)
def test_numbers_are_taken_in_every_notation(value: str | int, units: int) -> None:
    """Exponents and trailing zeros change nothing."""
    assert units_of(value, 2) == units


def test_instrument_takes_its_decimals_from_its_tick() -> None:
    """A price unit is 10^-price_decimals, by default as many decimals as the tick has."""
    assert (Instrument("A", tick="0.05").price_decimals, Instrument("A", tick="0.05").tick_units) == (2, 5)
    assert (Instrument("A", tick=10).price_decimals, Instrument("A", tick=10).tick_units) == (0, 10)
    finer = Instrument("A", tick="0.25", price_decimals=4, quantity_decimals=3, signed_prices=True)
    assert (finer.tick_units, finer.price_units("-1.25"), finer.lots("0.001"), finer.flags) == (
        2_500,
        -12_500,
        1,
        InstrumentFlags.SIGNED_PRICES,
    )
    assert (finer.price(12_500), finer.quantity(1_500)) == (Decimal("1.2500"), Decimal("1.500"))
    with pytest.raises(FrozenInstanceError):
        finer.symbol = "B"  # type: ignore[misc]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Instrument(""),
        lambda: Instrument("A B"),
        lambda: Instrument("A" * 17),
        lambda: Instrument("\u00e9"),
        lambda: Instrument("A", tick=0),
        lambda: Instrument("A", tick="-0.01"),
        lambda: Instrument("A", tick="0.001", price_decimals=2),
        lambda: Instrument("A", price_decimals=19),
        lambda: Instrument("A", quantity_decimals=-1),
        lambda: Instrument("A").price_units("150.255"),
        lambda: Instrument("A", tick="0.05").price_units("150.01"),
        lambda: Instrument("A").price_units(0),
        lambda: Instrument("A").lots(0),
        lambda: Instrument("A").lots("0.5"),
        lambda: Instrument("A").lots(2**60 + 1),
        lambda: Limits(order_count_max=0),
        lambda: Limits(session_count_max=65_536),
    ],
)
def test_values_outside_their_range_are_refused(make: Callable[[], object]) -> None:
    """Every refusal is an OmeError and a ValueError, and says the value found and those allowed."""
    with pytest.raises(InvalidValueError, match=r"found .*, allowed: ") as refusal:
        make()
    assert isinstance(refusal.value, OmeError)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Instrument("A", tick=0.01),  # type: ignore[arg-type]
        lambda: Instrument("A").lots(1.0),  # type: ignore[arg-type]
        lambda: Instrument("A").price_units(1.0),  # type: ignore[arg-type]
        lambda: Limits(order_count_max=1.0),  # type: ignore[arg-type]
    ],
)
def test_floats_are_refused_everywhere(make: Callable[[], object]) -> None:
    """A float is a TypeError wherever money or a quantity is meant."""
    with pytest.raises(InvalidTypeError):
        make()


@given(st.lists(commands(), max_size=5))
def test_commands_survive_the_way_to_records_and_back(some: list[Command]) -> None:
    """What was encoded decodes to an equal message."""
    records = encode_commands(some)
    assert records.dtype == COMMAND
    assert decode_commands(records) == some


@given(st.lists(commands(), max_size=30))
def test_events_survive_the_way_to_messages_and_back(some: list[Command]) -> None:
    """Events decode to messages that encode to the same bytes, and any commands are taken."""
    engine = ReferenceEngine(Limits(order_count_max=10, level_count_max=6, instrument_count_max=4, session_count_max=8))
    events = engine.apply_records(encode_commands([*opening(), *some]))
    engine.check()
    assert record_bytes(encode_events(decode_events(events))) == record_bytes(events)


@pytest.mark.parametrize("message_type", [*COMMAND_TYPES.values(), *EVENT_TYPES.values()])
def test_each_field_stands_where_the_layout_says(message_type: type[Any]) -> None:
    """A field written by name in a message is read by the same name in the array."""
    layout = COMMAND if message_type in COMMAND_TYPES.values() else EVENT
    values: dict[str, Any] = {}
    for index, field in enumerate(f for f in fields(message_type) if f.init):
        values[field.name] = b"N%d" % index if field.name in ("symbol", "participant_name") else 7 + index
    message = message_type(**values)
    row = (encode_commands if layout is COMMAND else encode_events)([message])[0]
    for name, value in values.items():
        if name != "reserved":
            assert row[name] == value, name
    assert row["kind"] == message.kind


def test_reserved_is_the_last_two_bytes() -> None:
    """The reserved bytes of a command are body bytes 54 and 55."""
    data = record_bytes(encode_commands([NewOrder(side=1, quantity=1, reserved=0x1234)]))
    assert data[62:] == b"\x34\x12"
    assert encode_commands([UnknownCommand(kind=200)])["kind"][0] == 200


@pytest.mark.parametrize(
    "change", [{"quantity": 2**63}, {"price": -(2**63) - 1}, {"side": 256}, {"account": -1}, {"flags": 1.5}, {"session": None}]
)
def test_value_that_does_not_fit_its_field_is_named(change: dict[str, Any]) -> None:
    """Encoding refuses a value that its bytes cannot hold, and says which."""
    with pytest.raises(
        InvalidValueError if isinstance(next(iter(change.values())), int) else InvalidTypeError,
        match=f"{next(iter(change))} in NewOrder: found",
    ):
        encode_commands([replace(NewOrder(side=1, quantity=1, price=NULL_VALUE), **change)])


def test_names_longer_than_16_bytes_are_refused() -> None:
    """A name that would be cut is refused."""
    with pytest.raises(InvalidValueError, match="symbol in DefineInstrument"):
        encode_commands([DefineInstrument(instrument=1, symbol=b"A" * 17)])


def test_records_are_joined_and_sliced_byte_for_byte() -> None:
    """No byte is lost that no field names, also in a slice with a stride."""
    data = struct.pack("<256B", *range(256))
    records = records_of(data, COMMAND)
    assert record_bytes(records[::2]) == data[:64] + data[128:192]
    assert record_bytes(join_records([records[2:], records[:1]], COMMAND)) == data[128:] + data[:64]
    with pytest.raises(InvalidValueError, match="multiple of 64"):
        records_of(data[:-1], COMMAND)
    with pytest.raises(InvalidTypeError):
        join_records([records], EVENT)
    with pytest.raises(InvalidTypeError):
        decode_commands(np.zeros((2, 2), COMMAND))


def test_events_of_no_known_kind_are_refused() -> None:
    """Decoding an event of an unknown kind says where it is."""
    with pytest.raises(InvalidValueError, match=r"kind in event 0: found 0"):
        decode_events(np.zeros(1, EVENT))
