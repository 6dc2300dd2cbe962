"""Hypothesis strategies for single commands.

They draw from so few names and prices that orders meet, collide and are named again after they are gone. `orders`, `cancels`, `reduces` and
`amends` draw commands that are mostly good, `spoiled` puts one field of one of them wrong, `definitions_of_all_kinds` draws good and bad
ones, `noise` any bytes at all. `commands` draws from all of them. The definitions that open such a market are `opening()`.
"""

from __future__ import annotations

from dataclasses import fields, replace

from flows import PRICES, QUANTITIES, SPOILS, TERMS, definitions
from hypothesis import strategies as st

from ome.codec import COMMAND, RECORD_SIZE, decode_commands, records_of
from ome.enums import CommandFlags, OrderType, Side, TimeInForce
from ome.messages import NULL_VALUE, AmendOrder, CancelOrder, Command, DefineInstrument, DefineSession, Limits, NewOrder, ReduceOrder

INSTRUMENTS = 2
PARTICIPANTS = 3
LIMITS = Limits(order_count_max=10, level_count_max=6, instrument_count_max=4, session_count_max=8)

_instruments = st.integers(1, INSTRUMENTS)
_client_order_ids = st.integers(0, 12)
_order_ids = st.builds(lambda generation, slot: generation << 32 | slot, st.integers(1, 5), st.integers(1, LIMITS.order_count_max))
_quantities = st.integers(1, 20)
_senders = st.integers(0, 2 * PARTICIPANTS).flatmap(
    lambda session: st.fixed_dictionaries(
        {"session": st.just(session), "participant": st.just((session - 1) % PARTICIPANTS + 1) if session else st.integers(1, PARTICIPANTS)}
    )
)


def opening() -> list[Command]:
    """The definitions that the other strategies rely on: two instruments, three participants with two sessions each, LIMITS."""
    return definitions(INSTRUMENTS, PARTICIPANTS, 2, LIMITS)


@st.composite
def orders(draw: st.DrawFn) -> NewOrder:
    """New orders close to one price on each instrument."""
    instrument = draw(_instruments)
    return NewOrder(
        **draw(_senders),
        instrument=instrument,
        client_order_id=draw(_client_order_ids),
        account=draw(st.integers(0, 2)),
        side=draw(st.sampled_from(Side)),
        price=draw(st.integers(96, 104)) * TERMS[instrument - 1][0],
        quantity=draw(_quantities),
        order_type=draw(st.sampled_from([OrderType.LIMIT] * 7 + [OrderType.MARKET])),
        time_in_force=draw(st.sampled_from([TimeInForce.GTC] * 5 + [TimeInForce.IOC, TimeInForce.FOK])),
    )


@st.composite
def _references(draw: st.DrawFn) -> dict[str, int]:
    """Sender, reference, instrument and flags of a command on an order."""
    by_order_id = draw(st.booleans())
    return {
        **draw(_senders),
        "client_order_id": draw(_order_ids if by_order_id else _client_order_ids),
        "flags": int(CommandFlags.BY_ORDER_ID) if by_order_id else 0,
        "instrument": draw(st.sampled_from([0, 0, 0, 1, 2])),
    }


def cancels() -> st.SearchStrategy[CancelOrder]:
    """Cancels."""
    return _references().map(lambda terms: CancelOrder(**terms))


@st.composite
def reduces(draw: st.DrawFn) -> ReduceOrder:
    """Reduces."""
    return ReduceOrder(**draw(_references()), quantity=draw(_quantities))


@st.composite
def amends(draw: st.DrawFn) -> AmendOrder:
    """Amends of price, total or open quantity, both or nothing."""
    terms = draw(_references())
    terms["flags"] |= draw(st.sampled_from([0, int(CommandFlags.OPEN_QUANTITY)]))
    ticks = draw(st.integers(96, 104)) * draw(st.sampled_from([terms_of[0] for terms_of in TERMS[:INSTRUMENTS]]))
    price = draw(st.sampled_from([NULL_VALUE, ticks, ticks]))
    return AmendOrder(**terms, price=price, quantity=draw(st.one_of(st.just(NULL_VALUE), st.integers(0, 25))))


@st.composite
def spoiled(draw: st.DrawFn) -> Command:
    """A command on orders with one field that is wrong, or at an edge."""
    command: Command = draw(st.one_of(orders(), cancels(), reduces(), amends()))
    names = [field.name for field in fields(command) if field.init and field.name in SPOILS]
    name = draw(st.sampled_from(names))
    pool = {"price": PRICES, "quantity": QUANTITIES}.get(name, SPOILS[name])
    return replace(command, **{name: draw(st.sampled_from(pool))})


@st.composite
def definitions_of_all_kinds(draw: st.DrawFn) -> Command:
    """Definitions, few of them good."""
    names = st.sampled_from([b"FIRM1", b"FIRM2", b"NEW", b"I1", b"NEXT", b"", b"A B", b"A\0B", b"\xff" * 16, b"Z" * 16])
    return draw(
        st.one_of(
            st.sampled_from(opening()),
            st.builds(
                DefineInstrument,
                instrument=st.integers(0, 5),
                symbol=names,
                tick=st.sampled_from([1, 5, 0, -1, 2**62, 2**62 + 1]),
                price_decimals=st.sampled_from([0, 2, 18, 19]),
                quantity_decimals=st.sampled_from([0, 18, 19, 255]),
                instrument_flags=st.integers(0, 2),
            ),
            st.builds(
                DefineSession,
                session=st.integers(0, 9),
                participant=st.integers(0, 5),
                participant_name=names,
                session_number=st.integers(0, 2),
            ),
        )
    )


def noise() -> st.SearchStrategy[Command]:
    """Whatever command 64 random bytes are."""
    return st.binary(min_size=RECORD_SIZE, max_size=RECORD_SIZE).map(lambda record: decode_commands(records_of(record, COMMAND))[0])


def commands() -> st.SearchStrategy[Command]:
    """Any command; most are good or nearly so."""
    good = st.one_of(orders(), orders(), orders(), cancels(), reduces(), amends(), amends())
    return st.one_of(good, good, good, good, spoiled(), definitions_of_all_kinds(), noise())
