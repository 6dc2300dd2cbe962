"""Random flows of commands: markets that trade much, reject a little, and now and then say everything that a record can hold.

`flow(seed, count)` depends on its arguments alone. `Flow` is the same thing step by step; what it hears of the events makes its picture
of live orders exact, so that it can name them by order id: with `flow(..., apply=engine.apply_records)` nearly every reference is good.
Without that it knows its own client order ids, guesses which orders have traded by where the price has gone, and guesses order ids.

Three mixes: PLAIN has limit and market orders with GTC, IOC and FOK, and nothing else. EVERY_RULE has all that RULES.md has. Its *mood*,
how often each kind of order comes, changes every few hundred commands: now half of the orders are stops, then none is. TRAILING has it too,
but most of its orders are trailing stops, near and far, in markets that move through many prices.

The building blocks for single commands (`QUANTITIES`, `PRICES`, `SPOILS`) are also those of the strategies in tests/strategies.py.
"""

from __future__ import annotations

import dataclasses
import struct
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final, NamedTuple

from ome.attributes import ATTRIBUTES
from ome.codec import COMMAND, RECORD_SIZE, Records, define_limits, encode_commands, join_records, record_bytes, records_of
from ome.enums import (
    CommandFlags,
    CommandKind,
    EventFlags,
    EventKind,
    InstrumentFlags,
    LimitFlags,
    OrderType,
    Reason,
    SelfTradePrevention,
    SelfTradeScope,
    Side,
    Term,
    TimeInForce,
)
from ome.messages import NULL_VALUE, Command, DefineAccount, DefineInstrument, DefineSession, Limits
from ome.reference.orders import PEAK_COUNT_MAX

START_NS: Final = 1_700_000_000_000_000_000
_TIME_STEP_NS: Final = 10_000  # deadlines, cutoffs and some times are multiples of it, so that they meet
CHUNK: Final = 128  # most commands between two looks at the events

# Plain integers: an IntEnum's member costs more to reach.
NEW, CANCEL, REDUCE, AMEND, TERMS_OF_ORDER, MASS_CANCEL, EXPIRE, SET_LAST, DEFINE_SESSION = (
    int(kind)
    for kind in (
        CommandKind.NEW_ORDER,
        CommandKind.CANCEL_ORDER,
        CommandKind.REDUCE_ORDER,
        CommandKind.AMEND_ORDER,
        CommandKind.ORDER_TERMS,
        CommandKind.MASS_CANCEL,
        CommandKind.EXPIRE_ORDERS,
        CommandKind.SET_LAST_PRICE,
        CommandKind.DEFINE_SESSION,
    )
)
BUY, SELL = int(Side.BUY), int(Side.SELL)
LIMIT, MARKET, STOP, STOP_LIMIT, TRAILING_STOP, TRAILING_STOP_LIMIT = map(int, OrderType)
GTC, IOC, FOK, DAY, GTD = map(int, TimeInForce)
BY_ORDER_ID, OPEN_QUANTITY, CONTINUED = int(CommandFlags.BY_ORDER_ID), int(CommandFlags.OPEN_QUANTITY), int(CommandFlags.CONTINUED)
POST_ONLY, HIDDEN = int(CommandFlags.POST_ONLY), int(CommandFlags.HIDDEN)
BY_ACCOUNT, BY_SESSION = int(CommandFlags.BY_ACCOUNT), int(CommandFlags.BY_SESSION)
ANY_PARTICIPANT, ON_DISCONNECT = int(CommandFlags.ANY_PARTICIPANT), int(CommandFlags.ON_DISCONNECT)
END_OF_DAY, SET_TIME = int(CommandFlags.END_OF_DAY), int(CommandFlags.SET_TIME)
SIGNED, TO_LIMIT, SLIDES = (
    int(flag) for flag in (InstrumentFlags.SIGNED_PRICES, InstrumentFlags.MARKET_TO_LIMIT, InstrumentFlags.POST_ONLY_SLIDES)
)
WITH_LIMIT: Final = frozenset((LIMIT, STOP_LIMIT, TRAILING_STOP_LIMIT))
RESTING: Final = frozenset((GTC, DAY, GTD))


class Mix(Enum):
    """What a flow is made of."""

    PLAIN = "plain"
    EVERY_RULE = "every rule"
    TRAILING = "trailing"


class InstrumentTerms(NamedTuple):
    """What an instrument of a flow is defined with. A signed one trades around zero."""

    tick: int
    flags: int = 0
    collar_ticks: int = 0


# Of the instruments in turn. The plain mix takes ticks and signs only.
INSTRUMENT_TERMS: Final = (
    InstrumentTerms(1),
    InstrumentTerms(5, SLIDES),
    InstrumentTerms(25, SIGNED, 20),
    InstrumentTerms(100, TO_LIMIT),
    InstrumentTerms(2**40, SIGNED | TO_LIMIT | SLIDES, 3),
    InstrumentTerms(7, SLIDES, 2**32 - 1),
)
QUANTITIES: Final = (0, 1, -1, 2**60 - 1, 2**60, 2**60 + 1, 2**62, 2**63 - 1, -(2**63))
PRICES: Final = (0, 1, -1, 2**62, 2**62 + 1, -(2**62), -(2**62) - 1, 2**63 - 1, -(2**63), 7, 100, -100)
SPOILS: Final[dict[str, tuple[int, ...]]] = {
    "client_order_id": (0, 1, 2**32, 2**32 + 1, 2**33 + 1, 2**63, 2**64 - 1),
    "price": PRICES,
    "quantity": QUANTITIES,
    "account": (0, 2**32 - 1),
    "participant": (0, 1, 2, 65_535),
    "session": (0, 1, 2, 60_000, 65_535),
    "instrument": (0, 1, 2, 1_000, 2**32 - 1),
    "kind": (0, 1, 2, 3, 4, 5, 6, 7, 31, 35, 36, 37, 64, 65, 255),
    "side": (0, 3, 255),
    "order_type": (0, 3, 4, 5, 6, 7, 255),
    "time_in_force": (0, 4, 5, 6, 255),
    "flags": (1, 2, 3, 4, 8, 16, 24, 32, 64, 128, 256, 512, 0x8000, 0xFFFF),
    "self_trade_prevention": (1, 2, 4, 5, 255),
    "self_trade_scope": (1, 2, 3, 255),
    "reserved": (1, 0x100, 0xFFFF),
}
TERM_VALUES: Final = (
    0,
    1,
    -1,
    2,
    5,
    100,
    10_000,
    10_001,
    2**32 - 1,
    2**32,
    2**60,
    2**60 + 1,
    2**62,
    2**62 + 1,
    2**63 - 1,
    -(2**63),
    -(2**62),
)
FIELDS: Final = (
    "timestamp_ns", "client_order_id", "price", "quantity", "account", "participant", "session", "session_sequence", "instrument",
    "kind", "side", "order_type", "time_in_force", "flags", "self_trade_prevention", "self_trade_scope",
)  # fmt: skip
_PLACE: Final = {name: index for index, name in enumerate(FIELDS)}
_REFERENCE, _PRICE, _QUANTITY, _PARTICIPANT, _SESSION, _SESSION_SEQUENCE = 1, 2, 3, 5, 6, 7
_KIND, _SIDE, _TYPE, _TIME, _FLAGS, _PREVENTION, _SCOPE = 9, 10, 11, 12, 13, 14, 15
_COMMAND: Final = struct.Struct("<8xQQqqIHHIIBBBBHBB")
_EVENT: Final = struct.Struct("<QQQqqQIHHIBBBB")
_WORD: Final = 2**64 - 1

ACCEPTED, TRADE, CANCELLED, REDUCED, AMENDED, RESTED, TRIGGERED, REJECTED, DEFINED = (
    int(kind)
    for kind in (
        EventKind.ACCEPTED,
        EventKind.TRADE,
        EventKind.CANCELLED,
        EventKind.REDUCED,
        EventKind.AMENDED,
        EventKind.RESTED,
        EventKind.TRIGGERED,
        EventKind.REJECTED,
        EventKind.DEFINED,
    )
)
AGGRESSOR_FILLED, RESTING_FILLED = int(EventFlags.AGGRESSOR_FILLED), int(EventFlags.RESTING_FILLED)
WAITING: Final = int(EventFlags.WAITING)
SEQUENCE_SEEN, SEQUENCE_GAP = int(Reason.SEQUENCE_SEEN), int(Reason.SEQUENCE_GAP)

# What the mood of a flow is about: each is the share of the new orders that may have it which do.
_FEATURES: Final = (
    "stop", "trailing", "peak", "hidden", "post_only", "minimum", "budget", "collar", "day", "gtd", "self_trade",
)  # fmt: skip
_SHARES: Final = (0.0, 0.05, 0.2, 0.2, 0.6)
_TRAILING_MOOD: Final = {**dict.fromkeys(_FEATURES, 0.02), "trailing": 0.8, "stop": 0.1, "gtd": 0.1, "day": 0.05}
_RIDE_TICKS: Final = 400  # how far the market of the trailing mix gets from where it began

Fields = list[int]
"""A record: the values of FIELDS."""
Terms = list[tuple[int, int]]
"""Terms of a command, with their values."""


@dataclass(slots=True)
class Mine:
    """An order that the flow believes to be live. `order_id` is 0 until it is heard; `order_type` is LIMIT once it rests."""

    participant: int
    session: int
    instrument: int
    side: int
    price: int
    quantity: int
    client_order_id: int
    order_type: int = LIMIT
    peak: int = 0
    order_id: int = 0
    is_live: bool = True


@dataclass(slots=True)
class Terrain:
    """One instrument: its tick, and the price (in ticks) around which orders come, which wanders about its home."""

    number: int
    tick: int
    home: int
    middle: int


def definitions(
    instruments: int, participants: int, sessions_per_participant: int, limits: Limits, mix: Mix = Mix.EVERY_RULE
) -> list[Command]:
    """What opens every flow: the limits, the instruments and the sessions. Session s belongs to participant (s - 1) % participants + 1.

    With every rule each participant has one of its two accounts, where accounts are restricted the one that most of its orders have.
    """
    commands: list[Command] = [define_limits(limits, timestamp_ns=START_NS)]
    commands += [instrument_definition(number, mix) for number in range(1, instruments + 1)]
    commands += [session_definition(number, participants) for number in range(1, participants * sessions_per_participant + 1)]
    if limits.account_count_max and mix is not Mix.PLAIN:
        is_restricted = limits.limit_flags & LimitFlags.ACCOUNTS_RESTRICTED
        commands += [account_definition(10 * number + (not is_restricted), number) for number in range(1, participants + 1)]
    return commands


def account_definition(account: int, participant: int) -> DefineAccount:
    """The definition of an account of a flow."""
    return DefineAccount(timestamp_ns=START_NS, account=account, participant_name=b"FIRM%d" % participant)


def instrument_definition(number: int, mix: Mix = Mix.EVERY_RULE) -> DefineInstrument:
    """The definition of an instrument of a flow; its terms follow from its number."""
    terms = INSTRUMENT_TERMS[(number - 1) % len(INSTRUMENT_TERMS)]
    is_plain = mix is Mix.PLAIN
    return DefineInstrument(
        timestamp_ns=START_NS,
        instrument=number,
        symbol=b"I%d" % number,
        tick=terms.tick,
        price_decimals=number % 5,
        quantity_decimals=number % 3,
        instrument_flags=terms.flags & SIGNED if is_plain else terms.flags,
        collar_ticks=0 if is_plain else terms.collar_ticks,
    )


def session_definition(number: int, participants: int) -> DefineSession:
    """The definition of a session of a flow."""
    participant = (number - 1) % participants + 1
    return DefineSession(
        timestamp_ns=START_NS,
        participant=participant,
        session=number,
        participant_name=b"FIRM%d" % participant,
        session_number=(number - 1) // participants,
    )


class Flow:
    """A flow, step by step: `take` gives the next records, `hear` (optional) tells it the events of those taken so far."""

    def __init__(
        self,
        seed: int,
        *,
        instruments: int = 4,
        participants: int = 3,
        sessions_per_participant: int = 2,
        limits: Limits | None = None,
        depth: int = 300,
        bad_share: float = 0.06,
        mix: Mix = Mix.EVERY_RULE,
    ) -> None:
        self.limits = limits or Limits()
        self._random = Random(seed)
        self._roll = self._random.random
        self._participants = participants
        self._session_count = participants * sessions_per_participant
        self.depth = min(
            depth * 4 if mix is Mix.TRAILING else depth, 1 + self.limits.order_count_max * 5 // 4, 4 * self.limits.level_count_max
        )
        self._spread_ticks = min(30, max(2, self.limits.level_count_max // instruments))
        self._bad_share = bad_share
        self._has_rules = mix is not Mix.PLAIN
        self._trails = mix is Mix.TRAILING
        self._mood = dict.fromkeys(_FEATURES, 0.0)
        self._mood_left = 0
        self._terrains = [_terrain(number) for number in range(1, instruments + 1)]
        self._orders: list[Mine] = []  # live ones, and dead ones that were not met since
        self._live_count = 0
        self._new: list[Mine] = []  # not heard of yet
        self._leaving: list[Mine] = []  # cancels of these were sent and not heard of yet
        self._by_client_id: dict[tuple[int, int], Mine] = {}
        self._by_order_id: dict[int, Mine] = {}
        self._dead_client_ids: deque[tuple[int, int]] = deque(maxlen=64)
        self._next_client_id = 1
        self._script: deque[list[Fields]] = deque()  # commands to come, mixed with others
        self._program: deque[list[Fields]] = deque()  # commands to come next
        self._now_ns = START_NS
        self._numbers = dict.fromkeys(range(1, self._session_count + 1), 0)  # of the last message of each session that counts them
        self._out_of_step: Counter[int] = Counter()  # messages of a session that came out of sequence, as far as is heard
        self._hears = False
        commands = definitions(instruments, participants, sessions_per_participant, self.limits, mix)
        sessions = commands[1 + instruments :]
        Random(seed).shuffle(sessions)  # their numbers may come in any order
        opening = encode_commands([*commands[: 1 + instruments], *sessions])
        self._backlog = deque(_split(record_bytes(opening)))  # records that follow each other, whatever is taken at once
        if self._has_rules:
            for terrain in self._terrains:
                self._open(terrain)

    def take(self, count: int) -> Records:
        """The next `count` records, of dtype COMMAND; the definitions come first. The last one may be the first half of a command."""
        taken = []
        for _ in range(count):
            while not self._backlog:
                self._add_command()
            taken.append(self._backlog.popleft())
        return records_of(b"".join(taken), COMMAND)

    def hear(self, events: Records) -> None:
        """Makes the picture of live orders exact. The events are those of all records taken since the last time."""
        self._hears = True
        self._out_of_step.clear()
        for event in _EVENT.iter_unpack(record_bytes(events)):
            self._hear(*event)
        for mine in self._new:
            if mine.is_live and not mine.order_id:
                self._forget(mine)
        for mine in self._leaving:
            if mine.order_id in self._by_order_id and not mine.is_live:
                mine.is_live = True
                self._live_count += 1
                self._orders.append(mine)
        self._new.clear()
        self._leaving.clear()

    def _open(self, terrain: Terrain) -> None:
        """Stops of both sides that wait for the first price of an instrument, which triggers all of them: later no price does."""
        for away in (0, 2, 1, 0):
            for side in (BUY, SELL):
                self._next_client_id += 1
                order = self._fields(NEW, self._next_client_id, 1, 0, terrain.number, quantity=1 + away, side=side, time_in_force=GTC)
                order[_TYPE] = STOP_LIMIT
                order[_PRICE] = terrain.middle * terrain.tick
                stop_price = terrain.middle + (-away if side == BUY else away)
                self._write(self._with_terms(order, [(Term.STOP_PRICE, stop_price * terrain.tick)]))
        if self._roll() < 0.5:
            self._write([self._fields(SET_LAST, 0, 0, 0, terrain.number, price=terrain.middle * terrain.tick)])

    # The picture

    def _hear(
        self,
        _sequence: int,
        order_id: int,
        client_order_id: int,
        price: int,
        quantity: int,
        resting_order_id: int,
        _account: int,
        participant: int,
        session: int,
        instrument: int,
        kind: int,
        side: int,
        reason: int,
        flags: int,
    ) -> None:
        if kind in (REJECTED, DEFINED):
            self._hear_session(participant, session, kind, reason, flags)
            return
        if kind == ACCEPTED:
            mine = self._by_client_id.get((participant, client_order_id))
            if mine is None or not client_order_id or mine.order_id:
                mine = Mine(participant, session, instrument, side, price, quantity, client_order_id)
                self._know(mine)
            mine.order_id = order_id
            mine.price = price
            if not flags & WAITING:
                mine.order_type = LIMIT
            self._by_order_id[order_id] = mine
            return
        if kind == CANCELLED:
            self._bury(order_id)
            return
        about = self._by_order_id.get(order_id)
        if kind == TRADE:
            if flags & RESTING_FILLED:
                self._bury(resting_order_id)
            elif (resting := self._by_order_id.get(resting_order_id)) is not None:
                resting.quantity -= quantity
            if flags & AGGRESSOR_FILLED:
                self._bury(order_id)
            elif about is not None:
                about.quantity -= quantity
        elif about is None:
            return
        elif kind == AMENDED:
            about.price, about.quantity = price, quantity
            self._rename(about, client_order_id)
        elif kind == REDUCED:
            about.quantity -= quantity
        elif kind == RESTED:
            about.price, about.order_type = price, LIMIT
        elif kind == TRIGGERED:
            about.order_type = LIMIT

    def _hear_session(self, participant: int, session: int, kind: int, reason: int, command_kind: int) -> None:
        """A session that was defined begins to count. One that often is out of step does not count until it is defined again."""
        is_owner = (session - 1) % self._participants + 1 == participant
        if kind == DEFINED and command_kind == DEFINE_SESSION and is_owner and session not in self._numbers:
            self._numbers[session] = 0
        elif reason in (SEQUENCE_SEEN, SEQUENCE_GAP):
            self._out_of_step[session] += 1
            if self._out_of_step[session] > 3:
                self._numbers.pop(session, None)

    def _know(self, mine: Mine) -> None:
        self._orders.append(mine)
        self._live_count += 1
        if mine.client_order_id:
            self._by_client_id[mine.participant, mine.client_order_id] = mine

    def _bury(self, order_id: int) -> None:
        mine = self._by_order_id.pop(order_id, None)
        if mine is not None:
            self._forget(mine)

    def _forget(self, mine: Mine) -> None:
        if mine.is_live:
            mine.is_live = False
            self._live_count -= 1
        key = (mine.participant, mine.client_order_id)
        if self._by_client_id.get(key) is mine:
            del self._by_client_id[key]
        self._dead_client_ids.append(key)

    def _rename(self, mine: Mine, client_order_id: int) -> None:
        if client_order_id != mine.client_order_id:
            key = (mine.participant, mine.client_order_id)
            if self._by_client_id.get(key) is mine:
                del self._by_client_id[key]
            self._dead_client_ids.append(key)
            mine.client_order_id = client_order_id
            self._by_client_id[mine.participant, client_order_id] = mine

    def _pick(self) -> Mine | None:
        """Any order believed to be live."""
        orders = self._orders
        while orders:
            place = int(self._roll() * len(orders))
            mine = orders[place]
            if mine.is_live and not self._hears and self._has_probably_gone(mine):
                self._forget(mine)
            if mine.is_live:
                return mine
            orders[place] = orders[-1]
            orders.pop()
        return None

    def _has_probably_gone(self, mine: Mine) -> bool:
        if mine.instrument > len(self._terrains):
            return True
        terrain = self._terrains[mine.instrument - 1]
        away = terrain.middle - mine.price // terrain.tick
        is_near = (away if mine.side == BUY else -away) < 3
        return (is_near or mine.order_type != LIMIT) and self._roll() < 0.6

    # One command

    def _add_command(self) -> None:
        self._now_ns += int(self._roll() * 2_000)
        if self._roll() < 0.02:
            self._now_ns = _rounded(self._now_ns + _TIME_STEP_NS)  # exactly at a deadline
        if self._program:
            self._write(self._program.popleft())
            return
        if self._script and self._roll() < 0.5:
            self._write(self._script.popleft())
            return
        if self._has_rules:
            self._move_mood()
            if (command := self._market_command()) is not None:
                self._write([command])
                return
        roll = self._roll()
        if roll < self._bad_share:
            self._add_bad_command()
        elif roll < self._bad_share + 0.001:
            self._plan_crowd()
            self._write(self._new_order())
        elif self._has_rules and roll < self._bad_share + 0.005:
            self._plan_takeover()
            self._write(self._new_order())
        else:
            self._write(self._good_command())

    def _move_mood(self) -> None:
        self._mood_left -= 1
        if self._trails:
            self._mood = _TRAILING_MOOD
        elif self._mood_left < 0:
            self._mood_left = 200 + int(self._roll() * 1_000)
            shares = _SHARES if self._roll() < 0.7 else _SHARES[-2:]  # a rich mood, where everything meets everything
            self._mood = {feature: self._random.choice(shares) for feature in _FEATURES}

    def _good_command(self) -> list[Fields]:
        mine = self._pick()
        crowding = self._live_count / self.depth
        if mine is None or self._roll() > 0.3 + 0.25 * min(crowding, 2):
            return self._new_order()
        roll = self._roll()
        if roll < 0.5 or crowding > 2:
            return [self._cancel(mine)]
        return [self._reduce(mine)] if roll < 0.65 else self._amend(mine)

    def _write(self, command: list[Fields]) -> None:
        """Puts the records of a command into the backlog, each with its time."""
        for fields in command:
            fields[0] = self._now_ns if self._roll() > 0.002 else self._now_ns - 1_000_000
            self._number(fields)
            self._backlog.append(_COMMAND.pack(*fields))
        head = command[0]
        if head[_QUANTITY] > 2**50 and head[_KIND] in (NEW, AMEND):
            # Left alone, it would trade with everything that comes.
            flags = head[_FLAGS] & BY_ORDER_ID if head[_KIND] == AMEND else 0
            self._script.append([self._fields(CANCEL, head[_REFERENCE], head[_PARTICIPANT], head[_SESSION], 0, flags=flags)])

    def _number(self, fields: Fields) -> None:
        """Gives a message of a session its number, mostly; now and then another one."""
        session = fields[_SESSION]
        if fields[_KIND] == DEFINE_SESSION:
            self._numbers.pop(session, None)
        last = self._numbers.get(session)
        if not self._has_rules or last is None or fields[_KIND] > MASS_CANCEL or self._roll() < 0.3:
            return
        if self._roll() < 0.02:
            fields[_SESSION_SEQUENCE] = self._random.choice((last, last + 2, max(last, 1) - 1, 2**31, 2**31 + last, 2**32 - 1))
            return
        self._numbers[session] = fields[_SESSION_SEQUENCE] = last + 1

    def _fields(
        self,
        kind: int,
        reference: int,
        participant: int,
        session: int,
        instrument: int,
        *,
        price: int = 0,
        quantity: int = 0,
        side: int = 0,
        order_type: int = 0,
        time_in_force: int = 0,
        flags: int = 0,
    ) -> Fields:
        account = participant * 10
        if self._has_rules:
            account += self._roll() < 0.3
        names = (reference, price, quantity, account, participant, session, 0, instrument)
        return [0, *names, kind, side, order_type, time_in_force, flags, 0, 0]

    def _new_order(self) -> list[Fields]:
        terrain = self._terrains[int(self._roll() * len(self._terrains))]
        session = 1 + int(self._roll() * self._session_count)
        participant = (session - 1) % self._participants + 1
        if self._roll() < 0.03:
            session = 0
        roll = self._roll()
        fields = self._fields(
            NEW,
            self._client_order_id(participant),
            participant,
            session,
            terrain.number,
            quantity=self._quantity(),
            side=BUY if self._roll() < 0.5 else SELL,
            order_type=MARKET if self._roll() < 0.05 else LIMIT,
            time_in_force=GTC if roll < 0.8 else IOC if roll < 0.88 else FOK,
        )
        fields[_PRICE] = self._price(terrain, fields[_SIDE])
        terms = self._add_rules(fields, terrain) if self._has_rules else []
        self._expect(fields, dict(terms).get(Term.DISPLAY_QUANTITY, 0))
        return self._with_terms(fields, terms)

    def _expect(self, fields: Fields, peak: int = 0) -> None:
        """Believes an order that may rest or wait to be live."""
        participant, client_order_id, order_type = fields[_PARTICIPANT], fields[_REFERENCE], fields[_TYPE]
        may_stay = order_type >= STOP or (order_type == LIMIT and fields[_TIME] in RESTING)
        if may_stay and client_order_id and (participant, client_order_id) not in self._by_client_id:
            who = (participant, fields[_SESSION], fields[_PLACE["instrument"]], fields[_SIDE])
            mine = Mine(*who, fields[_PRICE], fields[_QUANTITY], client_order_id, order_type, peak)
            self._know(mine)
            self._new.append(mine)

    def _client_order_id(self, participant: int) -> int:
        roll = self._roll()
        if roll < 0.03:
            return 0
        if roll < 0.13 and self._dead_client_ids:
            owner, client_order_id = self._random.choice(self._dead_client_ids)
            if owner == participant:
                return client_order_id
        self._next_client_id += 1
        return self._next_client_id

    def _price(self, terrain: Terrain, side: int) -> int:
        """Mostly a few ticks from the middle on the order's own side, a third of the time beyond it, now and then far away."""
        roll = self._roll()
        if roll < 0.1:
            pull = 1 if terrain.middle < terrain.home else -1
            terrain.middle += pull if self._roll() < 0.55 else -pull
        roll = self._roll()
        if roll < 0.35:
            away = -int(self._roll() * 4)
        elif roll < 0.95:
            away = 1 + int(self._roll() * self._roll() * self._spread_ticks)
        elif roll < 0.998:
            away = int(self._roll() * 3_000)
        else:
            away = 9_000 + int(self._roll() * 900)
        return (terrain.middle - away if side == BUY else terrain.middle + away) * terrain.tick

    def _quantity(self) -> int:
        """Round ones often, so that orders fill each other exactly."""
        roll = self._roll()
        if roll < 0.12:
            return (10, 10, 20, 50)[int(self._roll() * 4)]
        if roll < 0.9:
            return 1 + int(self._roll() * 100)
        return 1 if roll < 0.95 else 1 + int(self._roll() * 2_000)

    # What the rules beyond the plain ones add to an order

    def _does(self, feature: str) -> bool:
        return self._roll() < self._mood[feature]

    def _add_rules(self, fields: Fields, terrain: Terrain) -> Terms:
        """Makes a plain order one of another kind, as the mood is. Returns its terms."""
        terms: Terms = []
        if self._does("stop"):
            self._make_stop(fields, terrain, terms)
        elif self._does("trailing"):
            self._make_trailing(fields, terrain, terms)
        if fields[_TIME] == GTC and self._does("day"):
            fields[_TIME] = DAY
        elif fields[_TIME] == GTC and self._does("gtd"):
            fields[_TIME] = GTD
            terms.append((Term.EXPIRE_TIME, _rounded(self._now_ns + self._lifetime_ns())))
        if fields[_TYPE] in WITH_LIMIT:
            if fields[_TIME] in RESTING and self._does("post_only"):
                fields[_FLAGS] |= POST_ONLY
                if fields[_TYPE] == LIMIT and self._roll() < 0.7:
                    away = 1 + int(self._roll() * 5)
                    fields[_PRICE] = (terrain.middle + (away if fields[_SIDE] == SELL else -away)) * terrain.tick
            if self._does("hidden"):
                fields[_FLAGS] |= HIDDEN
        elif self._does("collar"):
            terms.append((Term.COLLAR_TICKS, int(self._roll() * 9) if self._roll() < 0.98 else 2**32 - 1))
        if not fields[_FLAGS] & HIDDEN and self._does("peak"):
            terms.append((Term.DISPLAY_QUANTITY, 1 + int(self._roll() * 20)))
        if not fields[_FLAGS] & POST_ONLY and self._does("minimum"):
            least = fields[_QUANTITY] if self._roll() < 0.3 else 1 + int(self._roll() * self._roll() * fields[_QUANTITY])
            terms.append((Term.MINIMUM_QUANTITY, least))
        if fields[_TIME] == FOK and self._does("budget"):
            terms.append((Term.BUDGET, self._budget(fields, terrain)))
        if self._does("self_trade"):
            fields[_PREVENTION] = int(self._random.choice(list(SelfTradePrevention)[1:]))
            fields[_SCOPE] = int(self._random.choice(list(SelfTradeScope)))
            if fields[_SCOPE] == SelfTradeScope.GROUP:
                terms.append((Term.SELF_TRADE_GROUP, 1 + int(self._roll() * 2)))
        if self._roll() < 0.05:
            terms += [(a.term, 1 + int(self._roll() * a.value_max)) for a in ATTRIBUTES.values() if self._roll() < 0.7]
        self._random.shuffle(terms)
        return terms

    def _stop_price(self, terrain: Terrain, side: int) -> int:
        """A few ticks beyond the middle, so that the next trades reach it; now and then behind it, so that they have already."""
        away = int(self._roll() * self._roll() * (120 if self._trails else 12)) - 1
        return (terrain.middle + (away if side == BUY else -away)) * terrain.tick

    def _make_stop(self, fields: Fields, terrain: Terrain, terms: Terms) -> None:
        fields[_TYPE] = STOP if self._roll() < 0.6 else STOP_LIMIT
        stop_price = self._stop_price(terrain, fields[_SIDE])
        terms.append((Term.STOP_PRICE, stop_price))
        away = int(self._roll() * 8) - 3
        fields[_PRICE] = stop_price + (away if fields[_SIDE] == BUY else -away) * terrain.tick

    def _make_trailing(self, fields: Fields, terrain: Terrain, terms: Terms) -> None:
        fields[_TYPE] = TRAILING_STOP if self._roll() < 0.6 else TRAILING_STOP_LIMIT
        away = int(self._roll() * 8) - 3
        fields[_PRICE] = (away if fields[_SIDE] == BUY else -away) * terrain.tick
        roll = self._roll()
        if roll < 0.7:
            most = 8 if not self._trails or self._roll() < 0.3 else 200
            terms.append((Term.TRAIL_AMOUNT, (1 + int(self._roll() * most)) * terrain.tick))
        elif roll < 0.72:
            terms.append((Term.TRAIL_AMOUNT, 2**62 // terrain.tick * terrain.tick))
        else:
            most = 8 if not self._trails or self._roll() < 0.3 else 3_000
            terms.append((Term.TRAIL_BASIS_POINTS, 1 + int(self._roll() * most) if self._roll() < 0.98 else 10_000))
        if self._roll() < 0.4:
            terms.append((Term.STOP_PRICE, self._stop_price(terrain, fields[_SIDE])))

    def _lifetime_ns(self) -> int:
        roll = self._roll()
        return int(self._roll() * 400_000) if roll < 0.85 else -int(self._roll() * 10_000) if roll < 0.9 else 3_600_000_000_000

    def _budget(self, fields: Fields, terrain: Terrain) -> int:
        """About what the order would cost at the middle."""
        if self._roll() < 0.02:
            return self._random.choice((0, -1, 2**63 - 1, -(2**63) + 1))
        price = (terrain.middle + int(self._roll() * 9) - 4) * terrain.tick
        away = int(self._roll() * 20) - 10 if self._roll() < 0.5 else 0
        return max(-(2**63) + 1, min(2**63 - 1, price * fields[_QUANTITY] + away))

    def _with_terms(self, head: Fields, terms: Terms) -> list[Fields]:
        """The records of a command that has these terms; now and then more records than it takes."""
        spread = self._has_rules and self._roll() < 0.02
        if not terms and not spread:
            return [head]
        head[_FLAGS] |= CONTINUED
        places = 1 + int(self._roll() * 2) if spread else 3
        groups = [terms[start : start + places] for start in range(0, len(terms), places)] or [[]]
        return [head, *(self._terms_record(head, group, index < len(groups)) for index, group in enumerate(groups, 1))]

    def _terms_record(self, head: Fields, terms: Terms, continues: bool) -> Fields:
        three = terms + [(0, 0)] * (3 - len(terms))
        if self._roll() < 0.1:
            self._random.shuffle(three)
        (term_1, value_1), (term_2, value_2), (term_3, value_3) = three
        return self._fields(
            TERMS_OF_ORDER,
            value_1 & _WORD,
            head[_PARTICIPANT],
            head[_SESSION],
            0,
            price=value_2,
            quantity=value_3,
            side=int(term_1),
            order_type=int(term_2),
            time_in_force=int(term_3),
            flags=CONTINUED if continues else 0,
        )

    # Commands on orders

    def _reference(self, mine: Mine) -> tuple[int, int]:
        """What names the order, and the flags that say which kind of name it is."""
        if mine.order_id and (not mine.client_order_id or self._roll() < 0.5):
            return mine.order_id, BY_ORDER_ID
        if not self._hears and self._roll() < 0.05:
            slot = 1 + int(self._roll() * (len(self._orders) + 2))
            return (1 + int(self._roll() * self._roll() * 4)) << 32 | slot, BY_ORDER_ID
        return mine.client_order_id, 0

    def _about(self, kind: int, mine: Mine, *, price: int = 0, quantity: int = 0, flags: int = 0) -> Fields:
        reference, reference_flags = self._reference(mine)
        instrument = mine.instrument if self._roll() < 0.7 else 0
        session = mine.session if self._roll() < 0.9 else 0
        fields = self._fields(
            kind, reference, mine.participant, session, instrument, price=price, quantity=quantity, flags=flags | reference_flags
        )
        if self._roll() < 0.02:  # what such a command does not use may hold anything
            fields[_SIDE], fields[_TYPE], fields[_TIME] = 9, 8, 7
        return fields

    def _cancel(self, mine: Mine) -> Fields:
        fields = self._about(CANCEL, mine)
        if not self._hears:
            self._forget(mine)
        elif mine.is_live:
            mine.is_live = False
            self._live_count -= 1
            self._leaving.append(mine)
        return fields

    def _reduce(self, mine: Mine) -> Fields:
        quantity = max(1, mine.quantity // 2 if self._roll() < 0.8 else mine.quantity + int(self._roll() * 2))
        if not self._hears:
            mine.quantity = max(1, mine.quantity - quantity)
        return self._about(REDUCE, mine, quantity=quantity)

    def _amend(self, mine: Mine) -> list[Fields]:
        terrain = self._terrains[mine.instrument - 1]
        price = quantity = NULL_VALUE
        if self._roll() < 0.6:
            price = mine.price if self._roll() < 0.2 else self._price(terrain, mine.side)
        if mine.order_type == TRAILING_STOP_LIMIT and price != NULL_VALUE:
            price = (int(self._roll() * 8) - 4) * terrain.tick
        if self._roll() < 0.6:
            quantity = (mine.quantity, mine.quantity + 5, max(1, mine.quantity - 3), max(1, mine.quantity // 2), 0)[
                min(4, int(self._roll() * 4.2))
            ]
        if mine.peak and self._roll() < 0.05:
            quantity = mine.peak * PEAK_COUNT_MAX + int(self._roll() * 2)
        if not self._hears:
            mine.price = mine.price if price == NULL_VALUE else price
            mine.quantity = mine.quantity if quantity == NULL_VALUE else quantity
        fields = self._about(AMEND, mine, price=price, quantity=quantity, flags=OPEN_QUANTITY if self._roll() < 0.5 else 0)
        return self._with_terms(fields, self._amended_terms(mine, terrain) if self._has_rules else [])

    def _amended_terms(self, mine: Mine, terrain: Terrain) -> Terms:
        terms: Terms = []
        if mine.order_type in (STOP, STOP_LIMIT) and self._roll() < 0.6:
            terms.append((Term.STOP_PRICE, self._stop_price(terrain, mine.side)))
        if self._roll() < 0.1:
            terms.append((Term.NEW_CLIENT_ORDER_ID, self._other_client_order_id(mine)))
            if not self._hears:
                self._rename(mine, terms[-1][1])
        return terms

    def _other_client_order_id(self, mine: Mine) -> int:
        """One that was never used; or the order's own, or that of another live order of the participant, which it may not have."""
        roll = self._roll()
        if roll < 0.4:
            others = [self._pick() for _ in range(4)]
            for other in others:
                if other is not None and other is not mine and other.participant == mine.participant and _is_id(other):
                    return other.client_order_id
        if roll > 0.9 and _is_id(mine):
            return mine.client_order_id
        self._next_client_id += 1
        return self._next_client_id

    # Commands on the market

    def _market_command(self) -> Fields | None:
        if self._trails and self._roll() < 0.12:
            return self._ride()
        roll = self._roll()
        if roll < 0.004:
            return self._mass_cancel()
        if roll < 0.006:
            return self._expiry()
        if roll < 0.012:
            return self._last_price()
        if roll < 0.014:
            return self._duel()
        return None

    def _ride(self) -> Fields:
        """The market goes on its way, mostly a few ticks, now and then far; and now and then one price is far off and the next is not."""
        terrain = self._random.choice(self._terrains)
        reach = (3, 3, 3, 3, 30, 150)[int(self._roll() * 6)]
        step = int((self._roll() * 2 - 1) * reach)
        price = terrain.middle + step
        if self._roll() < 0.9 and abs(price - terrain.home) < _RIDE_TICKS:
            terrain.middle = price
        return self._fields(SET_LAST, 0, 0, 0, terrain.number, price=price * terrain.tick)

    def _duel(self) -> Fields:
        """Empties a book, in which then a few orders of every kind stand, of two participants, and meet one that wants much at once."""
        terrain = self._random.choice(self._terrains)
        side = self._random.choice((BUY, SELL))
        first = 1 + int(self._roll() * self._participants)
        total, orders = 0, []
        for _ in range(2 + int(self._roll() * 5)):
            participant = first if self._roll() < 0.5 else first % self._participants + 1
            order, terms = self._duellist(terrain, participant, side)
            kind = self._roll()
            order[_FLAGS] |= HIDDEN if kind < 0.3 else 0
            terms += [(Term.DISPLAY_QUANTITY, 1 + int(self._roll() * 6))] if kind > 0.5 else []
            total += order[_QUANTITY]
            orders.append(self._with_terms(order, terms))
        for _ in range(2):
            order, terms = self._duellist(terrain, first, BUY + SELL - side)
            order[_PRICE] = (terrain.middle + (1 if side == SELL else -1)) * terrain.tick
            order[_QUANTITY] = 1 + int(self._roll() * total)
            if self._roll() < 0.5:
                order[_TIME] = FOK
                terms += [(Term.BUDGET, order[_QUANTITY] * terrain.middle * terrain.tick)] if self._roll() < 0.3 else []
            else:
                terms.append((Term.MINIMUM_QUANTITY, 1 + int(self._roll() * order[_QUANTITY])))
            orders.append(self._with_terms(order, terms))
        self._program.extend(orders)
        return self._fields(MASS_CANCEL, 0, first, 0, terrain.number, flags=ANY_PARTICIPANT)

    def _duellist(self, terrain: Terrain, participant: int, side: int) -> tuple[Fields, Terms]:
        """An order at one of two prices, perhaps with self-trade prevention."""
        self._next_client_id += 1
        price = (terrain.middle + (int(self._roll() * 2) if side == SELL else -int(self._roll() * 2))) * terrain.tick
        who = (self._next_client_id, participant, 0, terrain.number)
        order = self._fields(NEW, *who, price=price, quantity=1 + int(self._roll() * 20), side=side, order_type=LIMIT, time_in_force=GTC)
        terms: Terms = []
        if self._roll() < 0.8:
            order[_PREVENTION] = int(self._random.choice(list(SelfTradePrevention)[1:]))
            order[_SCOPE] = int(self._random.choice(list(SelfTradeScope)))
            terms += [(Term.SELF_TRADE_GROUP, 1)] if order[_SCOPE] == SelfTradeScope.GROUP else []
        return order, terms

    def _mass_cancel(self) -> Fields:
        session = 1 + int(self._roll() * self._session_count)
        participant = (session - 1) % self._participants + 1
        flags = self._random.choice((0, BY_ACCOUNT, BY_ACCOUNT, BY_SESSION, BY_SESSION | BY_ACCOUNT))
        # The target session has two bytes where an order has its price; the others say nothing.
        target = 1 + int(self._roll() * self._session_count) | (self._random.getrandbits(47) << 16 if self._roll() < 0.2 else 0)
        if self._roll() < 0.1:
            flags |= ANY_PARTICIPANT
            session = 0
        if self._roll() < 0.15:
            flags |= ON_DISCONNECT  # wrong where the message has a number
        instrument = self._terrains[int(self._roll() * len(self._terrains))].number if self._roll() < 0.8 else 0
        side = int(self._roll() * 3)
        return self._fields(MASS_CANCEL, self._next_client_id, participant, session, instrument, price=target, side=side, flags=flags)

    def _expiry(self) -> Fields:
        roll = self._roll()
        cutoff = _rounded(self._now_ns + int((self._roll() - 0.3) * 200_000)) if roll < 0.95 else 2**64 - 1 if roll < 0.97 else 0
        instrument = 1 + int(self._roll() * len(self._terrains)) if self._roll() < 0.6 else 0
        choice = self._roll()
        flags = (END_OF_DAY if choice < 0.3 else 0) | (SET_TIME if 0.2 < choice < 0.5 else 0)
        return self._fields(EXPIRE, cutoff, 0, 0, instrument, flags=flags)

    def _last_price(self) -> Fields:
        terrain = self._terrains[int(self._roll() * len(self._terrains))]
        price = (terrain.middle + int(self._roll() * 17) - 8) * terrain.tick
        if self._roll() < 0.02:
            price = self._random.choice((terrain.tick, 2**62 // terrain.tick * terrain.tick))
        return self._fields(SET_LAST, 0, 0, 0, terrain.number, price=price)

    # What is not good

    def _add_bad_command(self) -> None:
        roll = self._roll()
        if roll < 0.04:
            self._backlog.append(self._bad_definition())
        elif roll < 0.06:
            self._backlog.append(self._noise())
        elif self._has_rules and roll < 0.2:
            self._write(self._broken_sequence())
        else:
            command = self._good_command()
            for _ in range(1 if roll < 0.9 else 2):
                self._spoil(self._random.choice(command))
            head = command[0]
            if not head[_REFERENCE] and head[_QUANTITY] > 2**50:
                head[_REFERENCE] = 1  # it can be cancelled
            self._write(command)

    def _broken_sequence(self) -> list[Fields]:
        """The records of a command, with one missing, one too many, or one of another command among them."""
        command = self._new_order()
        if len(command) == 1:
            command[0][_FLAGS] |= CONTINUED
            command.append(self._terms_record(command[0], [], False))
        roll = self._roll()
        if roll < 0.2:
            del command[-1]
        elif roll < 0.3:
            del command[0]
        elif roll < 0.45:
            command.insert(1, self._random.choice((self._good_command(), [self._mass_cancel()], [self._expiry()]))[0])
        elif roll < 0.6:
            stranger = command[-1]
            place = _PARTICIPANT if self._roll() < 0.5 else _SESSION
            stranger[place] += 1
        elif roll < 0.7:
            command[-1][_FLAGS] |= CONTINUED
        elif roll < 0.8:
            command.append(self._terms_record(command[0], [], False))
        else:
            last = command[-1]
            wrong = (self._random.choice((*Term, 11, 200)), self._random.choice(TERM_VALUES))
            last[_FLAGS] |= CONTINUED
            command.append(self._terms_record(command[0], [(int(wrong[0]), wrong[1])], False))
        return command

    def _spoil(self, fields: Fields) -> None:
        roll = self._roll()
        if fields[_KIND] == TERMS_OF_ORDER and roll < 0.7:
            self._spoil_terms(fields)
        elif roll < 0.1:
            fields[_PRICE] = min(fields[_PRICE] + 1, 2**63 - 1)  # off the tick
        elif roll < 0.2 and (other := self._pick()) is not None:
            fields[_REFERENCE] = other.client_order_id  # a duplicate, or another participant's
        elif roll < 0.3 and (other := self._pick()) is not None and fields[_KIND] != NEW:
            fields[_REFERENCE] = other.order_id or 2**32 | 1
            fields[_FLAGS] = BY_ORDER_ID
        elif roll < 0.35:
            fields[_REFERENCE] = self._next_client_id + 1_000_000  # never used
        else:
            name = self._random.choice(list(SPOILS))
            value = self._random.choice(SPOILS[name])
            if name == "reserved":
                fields[_PREVENTION], fields[_SCOPE] = value & 0xFF, value >> 8
            else:
                fields[_PLACE[name]] = value

    def _spoil_terms(self, fields: Fields) -> None:
        """Another term, another value, a term that is not there, or one off the tick."""
        number, value = self._random.choice(((_SIDE, _REFERENCE), (_TYPE, _PRICE), (_TIME, _QUANTITY)))
        roll = self._roll()
        if roll < 0.4:
            fields[number] = int(self._random.choice((*Term, max(Term) + 1, 255)))
        elif roll < 0.8:
            fields[value] = self._random.choice(TERM_VALUES)
        else:
            fields[value] = min(fields[value] + 1, 2**63 - 1)
        fields[_REFERENCE] &= _WORD

    def _noise(self) -> bytes:
        """Random bytes under a sane time; half of them under a kind that exists."""
        record = bytearray(self._random.randbytes(RECORD_SIZE))
        record[8:16] = self._now_ns.to_bytes(8, "little")
        if self._roll() < 0.5:
            record[56] = self._random.choice((*range(1, 7), *range(32, 37)))
            record[62:64] = b"\0\0"
        return bytes(record)

    def _bad_definition(self) -> bytes:
        """A definition with at least one thing wrong, or (seldom) one that is good."""
        instruments, sessions = len(self._terrains), self._session_count
        mix = Mix.EVERY_RULE if self._has_rules else Mix.PLAIN
        if self._roll() < 0.1 and instruments < min(self.limits.instrument_count_max, 12):
            self._terrains.append(_terrain(instruments + 1))
            return record_bytes(encode_commands([instrument_definition(instruments + 1, mix)]))
        terms = {"timestamp_ns": self._now_ns, "instrument": instruments + 1, "symbol": b"NEXT"}
        wrong: Sequence[Command] = (
            definitions(0, 0, 0, self.limits)[0],
            instrument_definition(1),
            DefineInstrument(**{**terms, "instrument": instruments + 2}),  # type: ignore[arg-type]
            DefineInstrument(**terms, tick=0),  # type: ignore[arg-type]
            DefineInstrument(**terms, tick=2**62 + 1),  # type: ignore[arg-type]
            DefineInstrument(**terms, price_decimals=19),  # type: ignore[arg-type]
            DefineInstrument(**terms, quantity_decimals=255),  # type: ignore[arg-type]
            DefineInstrument(**terms, instrument_flags=8),  # type: ignore[arg-type]
            DefineInstrument(**{**terms, "symbol": b""}),  # type: ignore[arg-type]
            DefineInstrument(**{**terms, "symbol": b"A B"}),  # type: ignore[arg-type]
            DefineInstrument(**{**terms, "symbol": b"A\0B"}),  # type: ignore[arg-type]
            DefineInstrument(**{**terms, "symbol": b"I1"}),  # type: ignore[arg-type]
            DefineInstrument(**terms, reserved=1),  # type: ignore[arg-type]
            DefineSession(session=0, participant=1, participant_name=b"FIRM1", session_number=99),
            DefineSession(session=self.limits.session_count_max + 1, participant=1, participant_name=b"FIRM1", session_number=99),
            DefineSession(session=sessions + 1, participant=2, participant_name=b"FIRM1", session_number=99),
            DefineSession(session=sessions + 1, participant=1, participant_name=b"NEW", session_number=0),
            DefineSession(session=sessions + 1, participant=0, participant_name=b"NEW", session_number=0),
            DefineSession(session=sessions + 1, participant=self.limits.session_count_max + 1, participant_name=b"NEW", session_number=0),
            DefineSession(session=sessions + 1, participant=1, participant_name=b"FIRM1", session_number=0),
            DefineSession(session=sessions + 1, participant=self._participants + 1, participant_name=b"\x7f", session_number=0),
            DefineSession(session=sessions + 1, participant=1, participant_name=b"FIRM1", session_number=99, session_flags=4),
            *(
                DefineAccount(account=account, participant_name=name)
                for account in (0, 10, 11, 21, 31, 99, 2**32 - 1)
                for name in (b"FIRM1", b"FIRM2", b"NEW0", b"A B", b"")
            ),
            *(
                dataclasses.replace(session_definition(number, self._participants), session_flags=flags)
                for number in range(1, sessions + 1)
                for flags in (1, 3, 4)
            ),
        )
        return record_bytes(encode_commands([self._random.choice(wrong)]))

    def _plan_crowd(self) -> None:
        """Plans orders whose quantities add up to the most that a side may hold and beyond, far from the middle, and their end.

        With every rule, now and then a stop that finds its side full when it triggers.
        """
        terrain = self._random.choice(self._terrains)
        side = self._random.choice((BUY, SELL))
        participant = 1 + int(self._roll() * self._participants)
        price = (terrain.home + (3_000 if side == SELL else -3_000)) * terrain.tick
        first = self._next_client_id + 1
        self._next_client_id += 7
        who = (participant, 0, terrain.number)
        order = {"price": price, "quantity": 2**60, "side": side, "time_in_force": GTC}
        ends = []
        if self._has_rules and self._roll() < 0.7:
            stop = self._fields(NEW, first + 6, *who, **order, order_type=STOP_LIMIT)
            self._script.append(self._with_terms(stop, [(Term.STOP_PRICE, price)]))
            last = self._fields(SET_LAST, 0, 0, 0, terrain.number, price=terrain.middle * terrain.tick)
            ends += [self._fields(SET_LAST, 0, 0, 0, terrain.number, price=price), last, self._fields(CANCEL, first + 6, *who)]
        for client_order_id in range(first, first + 6):
            order["quantity"] = self._random.choice((2**60, 2**60, 2**60 - 1, 2**60 + 1))
            self._script.append([self._fields(NEW, client_order_id, *who, **order, order_type=LIMIT)])
            ends.append(self._fields(REDUCE, client_order_id, *who, quantity=2**60))
        grown = self._fields(AMEND, first, participant, 0, 0, price=NULL_VALUE, quantity=2**60, flags=OPEN_QUANTITY)
        self._script.append([grown])
        self._script.extend([end] for end in ends)

    def _plan_takeover(self) -> None:
        """Plans that somebody else takes the number of a session, sends an order by it, and gives it back: refused while orders are alive.

        The somebody has a name of its own, with a number that may be free, or is another participant. Now and then nothing of the session
        is alive when it begins, or nothing of its whole participant. The order may also come by session 0: then it keeps the number of
        whoever it is of from a third.
        """
        session = 1 + int(self._roll() * self._session_count)
        owner = (session - 1) % self._participants + 1
        if self._roll() < 0.5:
            target, name, number = owner % self._participants + 1, b"FIRM%d" % (owner % self._participants + 1), 90 + session
        else:
            target = self._participants + 1 + int(self._roll() * 2) if self._roll() < 0.8 else 1 + int(self._roll() * self._participants)
            name, number = b"NEW%d" % int(self._roll() * 2), 0
        back = self._session_definition(session, owner, b"FIRM%d" % owner, (session - 1) // self._participants)
        if self._roll() < 0.7:
            flags = BY_SESSION if self._roll() < 0.5 else 0
            self._script.append([self._fields(MASS_CANCEL, 0, owner, 0, 0, price=session, flags=flags)])
        self._next_client_id += 1
        terrain = self._random.choice(self._terrains)
        price = (terrain.home - 2_000) * terrain.tick  # it rests until it is cancelled, where the terrain goes as low
        order = {"price": price, "quantity": 1, "side": BUY, "order_type": LIMIT, "time_in_force": GTC}
        self._script.append([self._session_definition(session, target, name, number)])
        sender = session if self._roll() < 0.6 else 0
        self._script.append([self._fields(NEW, self._next_client_id, target, sender, terrain.number, **order)])
        self._script.append([back.copy()])
        self._script.append([self._session_definition(session, target, b"NEW2", 0)])
        self._script.append([self._fields(CANCEL, self._next_client_id, target, sender, 0)])
        self._script.append([back])

    def _session_definition(self, session: int, participant: int, name: bytes, session_number: int) -> Fields:
        """A DefineSession: its name has two words where an order has its reference and price, its number the place of a sequence."""
        fields = self._fields(DEFINE_SESSION, int.from_bytes(name, "little"), participant, session, 0)
        fields[_SESSION_SEQUENCE] = session_number
        return fields


def _is_id(mine: Mine) -> bool:
    """Whether the order has a client order id, and one that a term can say: terms are signed."""
    return 0 < mine.client_order_id < 2**63


def _rounded(time_ns: int) -> int:
    return time_ns // _TIME_STEP_NS * _TIME_STEP_NS


def _terrain(number: int) -> Terrain:
    terms = INSTRUMENT_TERMS[(number - 1) % len(INSTRUMENT_TERMS)]
    home = 0 if terms.flags & SIGNED else 10_000
    return Terrain(number, terms.tick, home, home)


def record_of(**values: int) -> bytes:
    """A record with these of FIELDS, the others zero."""
    return _COMMAND.pack(*(values.get(name, 0) for name in FIELDS))


def terms_records(head: Mapping[str, int], terms: Terms, places: int = 3) -> bytes:
    """The OrderTerms records that follow a command, with so many terms in each."""
    records = b""
    for start in range(0, len(terms), places):
        (term_1, value_1), (term_2, value_2), (term_3, value_3), *_ = terms[start : start + places] + [(0, 0)] * 3
        records += record_of(
            timestamp_ns=head["timestamp_ns"],
            participant=head["participant"],
            session=head["session"],
            kind=TERMS_OF_ORDER,
            client_order_id=value_1 & _WORD,
            price=value_2,
            quantity=value_3,
            side=term_1,
            order_type=term_2,
            time_in_force=term_3,
            flags=CONTINUED if start + places < len(terms) else 0,
        )
    return records


def _split(data: bytes) -> Iterator[bytes]:
    return (data[start : start + RECORD_SIZE] for start in range(0, len(data), RECORD_SIZE))


def flow(
    seed: int,
    count: int,
    *,
    instruments: int = 4,
    participants: int = 3,
    limits: Limits | None = None,
    depth: int = 300,
    bad_share: float = 0.06,
    mix: Mix = Mix.EVERY_RULE,
    apply: Callable[[Records], Records] | None = None,
) -> Records:
    """`count` records of dtype COMMAND, the same for the same arguments.

    `limits` are those of the engine that will take them. `depth` is about how many orders rest, `bad_share` the share of commands with
    something wrong. With `apply`, a fresh engine's `apply_records`, each chunk is applied and its events heard. Small limits want that:
    they are then reached often and left again, while a flow that hears nothing soon stays at them.
    """
    source = Flow(seed, instruments=instruments, participants=participants, limits=limits, depth=depth, bad_share=bad_share, mix=mix)
    if apply is None:
        return source.take(count)
    chunks = []
    step = min(CHUNK, max(1, source.depth // 4))
    for start in range(0, count, step):
        chunks.append(source.take(min(step, count - start)))
        source.hear(apply(chunks[-1]))
    return join_records(chunks, COMMAND)
