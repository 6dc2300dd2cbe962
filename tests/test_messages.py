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
from strategies import Said, commands, opening

from ome.codec import COMMAND, EVENT, decode_commands, decode_events, encode_commands, encode_events, join_records, record_bytes, records_of
from ome.enums import CommandFlags, InstrumentFlags, Term
from ome.errors import InvalidTypeError, InvalidValueError, OmeError
from ome.instruments import Instrument
from ome.messages import (
    COMMAND_TYPES,
    EVENT_TYPES,
    NULL_VALUE,
    AmendOrder,
    CancelOrder,
    DefineInstrument,
    Limits,
    NewOrder,
    OrderTerms,
    UnknownCommand,
)
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


def test_options_of_an_instrument_are_the_flags_of_its_definition() -> None:
    """Each option is a flag; none is set unless asked for."""
    assert (Instrument("A").flags, Instrument("A").collar_ticks) == (0, 0)
    assert Instrument("A", market_to_limit=True).flags == InstrumentFlags.MARKET_TO_LIMIT
    assert Instrument("A", post_only_slides=True).flags == InstrumentFlags.POST_ONLY_SLIDES
    assert Instrument("A", signed_prices=True, market_to_limit=True, post_only_slides=True).flags == sum(InstrumentFlags)


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
        lambda: Limits(level_count_max=2**24),
        lambda: Limits(special_count_max=-1),
        lambda: Instrument("A", collar_ticks=-1),
        lambda: Instrument("A", collar_ticks=2**32),
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
        lambda: Instrument("A", collar_ticks=1.0),  # type: ignore[arg-type]
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
def test_commands_survive_the_way_to_records_and_back(some: list[Said]) -> None:
    """What was encoded decodes to an equal message: one for each record."""
    messages = [message for said in some for message in decode_commands(said.records)]
    records = encode_commands(messages)
    assert records.dtype == COMMAND
    assert decode_commands(records) == messages


@given(
    st.sampled_from([NewOrder(side=1, quantity=5, flags=CommandFlags.HIDDEN), AmendOrder(client_order_id=3)]),
    st.lists(st.tuples(st.sampled_from(Term), st.integers(-(2**63), 2**63 - 1)), max_size=10),
    st.integers(0, 9),
)
def test_terms_follow_their_command_three_to_a_record(order: NewOrder | AmendOrder, terms: list[tuple[Term, int]], count: int) -> None:
    """Every term is there, in order, in records of the same time and sender; all records but the last are continued."""
    order = replace(order, terms=tuple(terms), timestamp_ns=9, participant=2, session=4, session_sequence=count)
    head, *rest = decode_commands(encode_commands([order]))
    assert head == replace(order, terms=(), flags=order.flags | (CommandFlags.CONTINUED if terms else 0))
    assert len(rest) == -(-len(terms) // 3)
    found = [(getattr(part, f"term_{place}"), getattr(part, f"value_{place}")) for part in rest for place in (1, 2, 3)]
    assert found == terms + [(Term.NONE, 0)] * (len(found) - len(terms))
    for index, part in enumerate(rest, 1):
        assert isinstance(part, OrderTerms)
        assert (part.timestamp_ns, part.participant, part.session) == (9, 2, 4)
        assert part.session_sequence == (count + index if count else 0)
        assert part.flags == (CommandFlags.CONTINUED if index < len(rest) else 0)


def test_post_only_and_hidden_are_flags_of_the_record_and_fields_of_the_message() -> None:
    """However they are given, the message says the same, and so does its record."""
    by_field = NewOrder(side=1, quantity=1, post_only=True, flags=CommandFlags.CONTINUED)
    by_flag = NewOrder(side=1, quantity=1, flags=CommandFlags.POST_ONLY | CommandFlags.CONTINUED)
    assert by_field == by_flag
    assert (by_flag.post_only, by_flag.hidden, by_flag.flags) == (True, False, CommandFlags.CONTINUED)
    assert encode_commands([by_field])["flags"][0] == CommandFlags.POST_ONLY | CommandFlags.CONTINUED
    assert encode_commands([replace(by_flag, post_only=False, hidden=True, flags=0)])["flags"][0] == CommandFlags.HIDDEN


def test_term_that_does_not_fit_is_named() -> None:
    """Encoding refuses a value that its bytes cannot hold, also where it is a term's."""
    with pytest.raises(InvalidValueError, match=r"value_2 in OrderTerms: found 9223372036854775808"):
        encode_commands([NewOrder(side=1, quantity=1, terms=((Term.STOP_PRICE, 1), (Term.BUDGET, 2**63)))])


@given(st.lists(commands(), max_size=30))
def test_events_survive_the_way_to_messages_and_back(some: list[Said]) -> None:
    """Events decode to messages that encode to the same bytes, and any commands are taken."""
    engine = ReferenceEngine(
        Limits(order_count_max=10, level_count_max=6, instrument_count_max=4, session_count_max=8, special_count_max=5)
    )
    events = engine.apply_records(join_records([encode_commands(opening()), *(said.records for said in some)], COMMAND))
    engine.check()
    assert record_bytes(encode_events(decode_events(events))) == record_bytes(events)


@pytest.mark.parametrize("message_type", [*COMMAND_TYPES.values(), *EVENT_TYPES.values()])
def test_each_field_stands_where_the_layout_says(message_type: type[Any]) -> None:
    """A field written by name in a message is read by the same name in the array."""
    layout = COMMAND if message_type in COMMAND_TYPES.values() else EVENT
    values: dict[str, Any] = {}
    of_its_own = ("post_only", "hidden", "terms")  # not a field of the record
    for index, field in enumerate(f for f in fields(message_type) if f.init and f.name not in of_its_own):
        values[field.name] = b"N%d" % index if field.name in ("symbol", "participant_name") else 7 + index
    message = message_type(**values)
    row = (encode_commands if layout is COMMAND else encode_events)([message])[0]
    for name, value in values.items():
        if name != "reserved":
            assert row[name] == value, name
    assert row["kind"] == message.kind


def test_reserved_is_the_last_two_bytes() -> None:
    """The reserved bytes of a command are body bytes 54 and 55; a NewOrder has self-trade prevention there."""
    assert record_bytes(encode_commands([CancelOrder(client_order_id=1, reserved=0x1234)]))[62:] == b"\x34\x12"
    order = NewOrder(side=1, quantity=1, self_trade_prevention=0x34, self_trade_scope=0x12)
    assert record_bytes(encode_commands([order]))[62:] == b"\x34\x12"
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
