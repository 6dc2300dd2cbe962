"""Hypothesis strategies for single commands.

They draw from so few names, prices and times that orders meet, collide, expire and are named again after they are gone. The
instruments have every option between them; one of them trades at the lowest price that there is, one at the highest.

`orders`, `amends`, `cancels`, `reduces` and `market_commands` draw commands that are mostly good. `spoiled` puts one field of a
record of one of them wrong, `broken` loses, repeats or mixes up records, `definitions_of_all_kinds` draws good and bad ones,
`sessions` those of sessions that take each other's numbers, `noise` any bytes at all. `commands` draws from all of them. The
definitions that open such a market are `opening()`. What is drawn is Said: it shows itself as a story.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from flows import (
    AMEND,
    ANY_PARTICIPANT,
    BY_ACCOUNT,
    BY_ORDER_ID,
    BY_SESSION,
    CANCEL,
    CONTINUED,
    DAY,
    END_OF_DAY,
    EXPIRE,
    FIELDS,
    FOK,
    GTC,
    GTD,
    HIDDEN,
    IOC,
    LIMIT,
    MARKET,
    MASS_CANCEL,
    NEW,
    ON_DISCONNECT,
    OPEN_QUANTITY,
    POST_ONLY,
    REDUCE,
    RESTING,
    SET_LAST,
    SET_TIME,
    SIGNED,
    SLIDES,
    SPOILS,
    STOP,
    STOP_LIMIT,
    TERM_VALUES,
    TO_LIMIT,
    TRAILING_STOP,
    TRAILING_STOP_LIMIT,
    WITH_LIMIT,
    InstrumentTerms,
    record_of,
    session_definition,
    terms_records,
)
from hypothesis import strategies as st
from stories import tell_commands

from ome.attributes import ATTRIBUTES
from ome.codec import COMMAND, RECORD_SIZE, Records, define_limits, encode_commands, record_bytes, records_of
from ome.enums import SelfTradePrevention, SelfTradeScope, Side, Term
from ome.messages import NULL_VALUE, Command, DefineAccount, DefineInstrument, DefineSession, Limits

PARTICIPANTS: Final = 3
LIMITS: Final = Limits(
    order_count_max=10, level_count_max=6, instrument_count_max=5, session_count_max=8, special_count_max=6, account_count_max=4
)
_HIGHEST: Final = 2**62 // 3 * 3
# The terms of each instrument, and the lowest price at which orders come; there are eight more.
INSTRUMENTS: Final = (
    (InstrumentTerms(1, SLIDES, 3), 1),
    (InstrumentTerms(5, SIGNED | TO_LIMIT), -20),
    (InstrumentTerms(3), _HIGHEST - 24),
)


@dataclass(frozen=True, slots=True)
class Said:
    """The records of one command, or of what somebody took for one."""

    data: bytes

    @property
    def records(self) -> Records:
        """As an engine takes them."""
        return records_of(self.data, COMMAND)

    def __repr__(self) -> str:
        return "\n    ".join(tell_commands(self.records))


def opening() -> list[Command]:
    """The definitions that the strategies rely on: LIMITS, INSTRUMENTS, three participants with two sessions each."""
    limits = define_limits(LIMITS)
    instruments = [
        DefineInstrument(
            instrument=number, symbol=b"I%d" % number, tick=terms.tick, instrument_flags=terms.flags, collar_ticks=terms.collar_ticks
        )
        for number, (terms, _) in enumerate(INSTRUMENTS, 1)
    ]
    return [limits, *instruments, *(session_definition(number, PARTICIPANTS) for number in range(2 * PARTICIPANTS, 0, -1))]


_instruments = st.integers(1, len(INSTRUMENTS))
_client_order_ids = st.integers(0, 12)
_order_ids = st.builds(lambda generation, slot: generation << 32 | slot, st.integers(1, 5), st.integers(1, LIMITS.order_count_max))
_quantities = st.integers(1, 20)
_times = st.integers(0, 40)
_ticks = st.integers(0, 8)


@st.composite
def _heads(draw: st.DrawFn) -> dict[str, int]:
    """Who says something, and when."""
    session = draw(st.integers(0, 2 * PARTICIPANTS))
    participant = (session - 1) % PARTICIPANTS + 1 if session else draw(st.integers(1, PARTICIPANTS))
    account = draw(st.integers(0, 1))
    sequence = draw(_sequences) if draw(_rarely) else 0
    time_ns = draw(_times) if draw(_rarely) else 0
    return {"session": session, "participant": participant, "account": account, "session_sequence": sequence, "timestamp_ns": time_ns}


_sequences = st.one_of(st.integers(1, 4), st.sampled_from([2**31 - 1, 2**31, 2**32 - 1]))
_rarely = st.integers(0, 4).map(lambda number: number == 4)
_seldom = st.integers(0, 19).map(lambda number: number == 19)


def _price(draw: st.DrawFn, instrument: int) -> int:
    terms, lowest = INSTRUMENTS[instrument - 1]
    return lowest + draw(_ticks) * terms.tick


def _continued(head: dict[str, int], terms: list[tuple[int, int]], places: int = 3) -> bytes:
    """The records of a command with these terms."""
    if not terms:
        return record_of(**head)
    head = head | {"flags": head["flags"] | CONTINUED}
    return record_of(**head) + terms_records(head, terms, places)


@st.composite
def orders(draw: st.DrawFn) -> Said:
    """New orders of every kind, close to one price on each instrument."""
    instrument = draw(_instruments)
    tick = INSTRUMENTS[instrument - 1][0].tick
    order_type = draw(
        st.sampled_from([LIMIT] * 9 + [MARKET, MARKET, STOP, STOP, STOP_LIMIT, STOP_LIMIT, TRAILING_STOP, TRAILING_STOP_LIMIT])
    )
    time_in_force = draw(st.sampled_from([GTC] * 6 + [IOC, FOK, DAY, GTD]))
    quantity = draw(_quantities)
    head = draw(_heads()) | {"kind": NEW, "instrument": instrument, "client_order_id": draw(_client_order_ids), "flags": 0}
    head |= {"side": draw(st.sampled_from(Side)), "order_type": order_type, "time_in_force": time_in_force, "quantity": quantity}
    head["price"] = (draw(_ticks) - 3) * tick if order_type == TRAILING_STOP_LIMIT else _price(draw, instrument)
    terms: list[tuple[int, int]] = []
    if order_type in (STOP, STOP_LIMIT) or (order_type >= STOP and draw(_rarely)):
        terms.append((Term.STOP_PRICE, _price(draw, instrument)))
    if order_type in (TRAILING_STOP, TRAILING_STOP_LIMIT):
        by_amount = draw(st.booleans())
        terms.append(
            (Term.TRAIL_AMOUNT, (1 + draw(_ticks)) * tick) if by_amount else (Term.TRAIL_BASIS_POINTS, draw(st.integers(1, 10_000)))
        )
    if time_in_force == GTD:
        terms.append((Term.EXPIRE_TIME, draw(st.integers(1, 60))))
    if order_type in WITH_LIMIT and draw(_rarely):
        head["flags"] |= draw(st.sampled_from([HIDDEN, POST_ONLY if time_in_force in RESTING else HIDDEN]))
    elif order_type not in WITH_LIMIT and draw(_rarely):
        terms.append((Term.COLLAR_TICKS, draw(_ticks)))
    if not head["flags"] & HIDDEN and draw(_rarely):
        terms.append((Term.DISPLAY_QUANTITY, draw(st.integers(1, 6))))
    if not head["flags"] & POST_ONLY and draw(_rarely):
        terms.append((Term.MINIMUM_QUANTITY, draw(st.integers(1, quantity))))
    if time_in_force == FOK and draw(st.booleans()):
        terms.append((Term.BUDGET, _price(draw, instrument) * draw(_quantities) % 2**63))
    if draw(_rarely):
        head["self_trade_prevention"] = draw(st.sampled_from(list(SelfTradePrevention)[1:]))
        head["self_trade_scope"] = draw(st.sampled_from(SelfTradeScope))
        if head["self_trade_scope"] == SelfTradeScope.GROUP:
            terms.append((Term.SELF_TRADE_GROUP, draw(st.integers(1, 2))))
    if draw(_rarely):
        terms += [(attribute.term, draw(st.integers(1, attribute.value_max))) for attribute in ATTRIBUTES.values() if draw(st.booleans())]
    return Said(_continued(head, terms, draw(st.integers(1, 3)) if draw(_rarely) else 3))


class Target(NamedTuple):
    """An order that lives: what names it, and where it is."""

    order_id: int
    participant: int
    client_order_id: int
    instrument: int


@st.composite
def _references(draw: st.DrawFn, target: Target | None) -> dict[str, int]:
    """Sender, reference, instrument and flags of a command on this order, or on any that may be there."""
    by_order_id = draw(st.booleans())
    head = draw(_heads()) | {"flags": BY_ORDER_ID if by_order_id else 0, "instrument": draw(st.sampled_from([0, 0, 0, 1, 2]))}
    if target is None:
        return head | {"client_order_id": draw(_order_ids if by_order_id else _client_order_ids)}
    reference = target.order_id if by_order_id else target.client_order_id
    return head | {"participant": target.participant, "session": 0, "instrument": 0, "client_order_id": reference}


@st.composite
def cancels(draw: st.DrawFn, target: Target | None = None) -> Said:
    """Cancels."""
    return Said(record_of(kind=CANCEL, **draw(_references(target))))


@st.composite
def reduces(draw: st.DrawFn, target: Target | None = None) -> Said:
    """Reduces."""
    return Said(record_of(kind=REDUCE, quantity=draw(_quantities), **draw(_references(target))))


@st.composite
def amends(draw: st.DrawFn, target: Target | None = None) -> Said:
    """Amends of price, total or open quantity, stop price, client order id, or nothing."""
    head = draw(_references(target)) | {"kind": AMEND}
    head["flags"] |= draw(st.sampled_from([0, OPEN_QUANTITY]))
    instrument = draw(_instruments) if target is None else target.instrument
    tick = INSTRUMENTS[instrument - 1][0].tick
    price = draw(st.sampled_from([NULL_VALUE, _price(draw, instrument), _price(draw, instrument), (draw(_ticks) - 3) * tick]))
    head |= {"price": price, "quantity": draw(st.one_of(st.just(NULL_VALUE), st.integers(0, 25)))}
    terms: list[tuple[int, int]] = []
    if draw(_rarely):
        terms.append((Term.STOP_PRICE, _price(draw, instrument)))
    if draw(_rarely):
        terms.append((Term.NEW_CLIENT_ORDER_ID, draw(st.integers(1, 12))))
    return Said(_continued(head, terms))


def changes(target: Target) -> st.SearchStrategy[Said]:
    """What its owner may do with an order."""
    return st.one_of(amends(target), amends(target), reduces(target), cancels(target))


@st.composite
def market_commands(draw: st.DrawFn) -> Said:
    """Mass cancels, expiries, last prices."""
    head = draw(_heads())
    kind = draw(st.sampled_from([SET_LAST, SET_LAST, EXPIRE, MASS_CANCEL]))
    if kind == SET_LAST:
        instrument = draw(_instruments)
        return Said(record_of(kind=kind, **head, instrument=instrument, price=_price(draw, instrument)))
    head["instrument"] = draw(st.sampled_from([0, 0, 1, 2, 3]))
    if kind == EXPIRE:
        flags = draw(st.sampled_from([0, END_OF_DAY, SET_TIME, END_OF_DAY | SET_TIME]))
        return Said(record_of(kind=kind, **head, client_order_id=draw(st.integers(0, 60)), flags=flags))
    flags = draw(
        st.sampled_from([0, BY_ACCOUNT, BY_SESSION, BY_ACCOUNT | BY_SESSION, ANY_PARTICIPANT, ON_DISCONNECT, ON_DISCONNECT | BY_SESSION])
    )
    if flags & ANY_PARTICIPANT:
        head["session"] = 0
    choice = {"client_order_id": draw(_client_order_ids), "price": draw(st.integers(0, 6)), "side": draw(st.integers(0, 2))}
    return Said(record_of(kind=kind, **head, **choice, flags=flags))


def _good() -> st.SearchStrategy[Said]:
    return st.one_of(orders(), orders(), orders(), cancels(), reduces(), amends(), amends(), market_commands())


@st.composite
def spoiled(draw: st.DrawFn) -> Said:
    """A command with one field of one of its records wrong, or at an edge."""
    parts = _split(draw(_good()).data)
    place = draw(st.integers(0, len(parts) - 1))
    if place:
        at, size = draw(st.sampled_from([(8, 8), (16, 8), (24, 8), (57, 1), (58, 1), (59, 1), (60, 2), (62, 2)]))
        values = TERM_VALUES if size == 8 else (0, 1, 4, 8, 10, 11, 255)
        value = draw(st.sampled_from(values))
        parts[place] = _with_bytes(parts[place], at, (value % 2 ** (8 * size)).to_bytes(size, "little"))
    else:
        name = draw(st.sampled_from(list(SPOILS)))
        value = draw(st.sampled_from(SPOILS[name]))
        at, size = (62, 2) if name == "reserved" else _PLACES[name]
        parts[0] = _with_bytes(parts[0], at, (value % 2 ** (8 * size)).to_bytes(size, "little"))
    return Said(b"".join(parts))


_SIZES: Final = (8, 8, 8, 8, 4, 2, 2, 4, 4, 1, 1, 1, 1, 2, 1, 1)  # of FIELDS
_PLACES: Final = {name: (8 + sum(_SIZES[:index]), _SIZES[index]) for index, name in enumerate(FIELDS)}


def _with_bytes(record: bytes, at: int, value: bytes) -> bytes:
    return record[:at] + value + record[at + len(value) :]


def _split(data: bytes) -> list[bytes]:
    return [data[start : start + RECORD_SIZE] for start in range(0, len(data), RECORD_SIZE)]


@st.composite
def broken(draw: st.DrawFn) -> Said:
    """Some of the records of two commands, in an order that may be wrong."""
    parts = _split(draw(_good()).data) + _split(draw(orders()).data)
    chosen = draw(st.lists(st.integers(0, len(parts) - 1), min_size=1, max_size=4))
    return Said(b"".join(parts[index] for index in chosen))


@st.composite
def definitions_of_all_kinds(draw: st.DrawFn) -> Said:
    """Definitions, few of them good."""
    names = st.sampled_from([b"FIRM1", b"FIRM2", b"NEW", b"I1", b"NEXT", b"", b"A B", b"A\0B", b"\xff" * 16, b"Z" * 16])
    definition = draw(
        st.one_of(
            st.sampled_from(opening()),
            st.builds(
                DefineInstrument,
                instrument=st.integers(0, 6),
                symbol=names,
                tick=st.sampled_from([1, 5, 0, -1, 2**62, 2**62 + 1]),
                price_decimals=st.sampled_from([0, 2, 18, 19]),
                quantity_decimals=st.sampled_from([0, 18, 19, 255]),
                instrument_flags=st.integers(0, 8),
                collar_ticks=st.sampled_from([0, 1, 2**32 - 1]),
            ),
            st.builds(
                DefineSession,
                session=st.integers(0, 9),
                participant=st.integers(0, 5),
                participant_name=names,
                session_number=st.integers(0, 2),
                session_flags=st.sampled_from([0, 1, 3, 4]),
            ),
            st.builds(DefineAccount, account=st.integers(0, 5), participant_name=names, reserved=st.sampled_from([0, 0, 0, 1])),
        )
    )
    return Said(record_bytes(encode_commands([definition])))


@st.composite
def sessions(draw: st.DrawFn) -> Said:
    """Definitions of sessions under numbers that are mostly in use: good where nothing is alive that came under them."""
    participant = draw(st.integers(1, PARTICIPANTS + 2))
    definition = DefineSession(
        session=draw(st.integers(1, LIMITS.session_count_max)),
        participant=participant,
        participant_name=b"FIRM%d" % participant if draw(st.booleans()) else draw(st.sampled_from([b"NEW", b"NEXT", b"FIRM1"])),
        session_number=draw(st.integers(0, 3)),
        session_flags=draw(st.integers(0, 3)),
    )
    return Said(record_bytes(encode_commands([definition])))


@st.composite
def accounts(draw: st.DrawFn) -> Said:
    """Definitions of the accounts that orders have, for one of the participants, for one that comes later, and for nobody."""
    name = draw(st.sampled_from([b"FIRM1", b"FIRM2", b"FIRM3", b"NEW", b""]))
    return Said(record_bytes(encode_commands([DefineAccount(account=draw(st.integers(1, 4)), participant_name=name)])))


def noise() -> st.SearchStrategy[Said]:
    """64 random bytes."""
    return st.binary(min_size=RECORD_SIZE, max_size=RECORD_SIZE).map(Said)


@st.composite
def commands(draw: st.DrawFn) -> Said:
    """Any command; most are good or nearly so."""
    if draw(_seldom):
        rare: Said = draw(st.one_of(definitions_of_all_kinds(), sessions(), accounts(), noise()))
        return rare
    said: Said = draw(st.one_of(_good(), _good(), _good(), _good(), spoiled(), broken()))
    return said
