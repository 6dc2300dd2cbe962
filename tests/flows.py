"""Random flows of commands: markets that trade much, reject a little, and now and then say everything that a record can hold.

`flow(seed, count)` depends on its arguments alone. `Flow` is the same thing step by step; what it hears of the events makes its picture
of live orders exact, so that it can name them by order id: with `flow(..., apply=engine.apply_records)` nearly every reference is good.
Without that it knows its own client order ids, guesses which orders have traded by where the price has gone, and guesses order ids.

The building blocks for single commands (`QUANTITIES`, `PRICES`, `SPOILS`) are also those of the strategies in tests/strategies.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from ome.codec import COMMAND, RECORD_SIZE, Records, command_structure, decode_events, encode_commands, join_records, records_of
from ome.enums import CommandFlags, CommandKind, EventFlags, EventKind, OrderType, Side, TimeInForce
from ome.messages import (
    NULL_VALUE,
    Amended,
    Cancelled,
    Command,
    DefineInstrument,
    DefineLimits,
    DefineSession,
    Limits,
    OrderEvent,
    Trade,
)

START_NS: Final = 1_700_000_000_000_000_000
CHUNK: Final = 128  # most commands between two looks at the events

NEW, CANCEL, REDUCE, AMEND = (
    int(kind) for kind in (CommandKind.NEW_ORDER, CommandKind.CANCEL_ORDER, CommandKind.REDUCE_ORDER, CommandKind.AMEND_ORDER)
)
BUY, SELL = int(Side.BUY), int(Side.SELL)
LIMIT, MARKET = int(OrderType.LIMIT), int(OrderType.MARKET)
GTC, IOC, FOK = int(TimeInForce.GTC), int(TimeInForce.IOC), int(TimeInForce.FOK)
BY_ORDER_ID, OPEN_QUANTITY = int(CommandFlags.BY_ORDER_ID), int(CommandFlags.OPEN_QUANTITY)
TERMS: Final = ((1, 0), (5, 0), (25, 1), (100, 0))  # tick and flags of instruments, in turn; a signed one trades around zero

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
    "kind": (0, 1, 2, 3, 4, 5, 31, 35, 64, 65, 255),
    "side": (0, 3, 255),
    "order_type": (0, 3, 255),
    "time_in_force": (0, 4, 255),
    "flags": (1, 2, 3, 4, 0x8000, 0xFFFF),
    "reserved": (1, 0x100, 0xFFFF),
}
# The fields of a record of this kind in the order of its structure; every command of orders has the same.
FIELDS: Final = (
    "timestamp_ns", "client_order_id", "price", "quantity", "account", "participant", "session", "session_sequence",
    "instrument", "kind", "side", "order_type", "time_in_force", "flags", "reserved",
)  # fmt: skip
_PLACE: Final = {name: index for index, name in enumerate(FIELDS)}
_STRUCTURE: Final = command_structure(NEW)


@dataclass(slots=True)
class Mine:
    """An order that the flow believes to be live. `order_id` is 0 until it is heard."""

    participant: int
    session: int
    instrument: int
    side: int
    price: int
    quantity: int
    client_order_id: int
    order_id: int = 0
    is_live: bool = True


@dataclass(slots=True)
class Terrain:
    """One instrument: its tick, and the price (in ticks) around which orders come, which wanders about its home."""

    number: int
    tick: int
    home: int
    middle: int


def definitions(instruments: int, participants: int, sessions_per_participant: int, limits: Limits) -> list[Command]:
    """What opens every flow: the limits, the instruments and the sessions. Session s belongs to participant (s - 1) % participants + 1."""
    commands: list[Command] = [
        DefineLimits(
            timestamp_ns=START_NS,
            order_count_max=limits.order_count_max,
            level_count_max=limits.level_count_max,
            instrument_count_max=limits.instrument_count_max,
            session_count_max=limits.session_count_max,
        )
    ]
    commands += [instrument_definition(number) for number in range(1, instruments + 1)]
    commands += [session_definition(number, participants) for number in range(1, participants * sessions_per_participant + 1)]
    return commands


def instrument_definition(number: int) -> DefineInstrument:
    """The definition of an instrument of a flow; its terms follow from its number."""
    tick, flags = TERMS[(number - 1) % len(TERMS)]
    return DefineInstrument(
        timestamp_ns=START_NS,
        instrument=number,
        symbol=b"I%d" % number,
        tick=tick,
        price_decimals=number % 5,
        quantity_decimals=number % 3,
        instrument_flags=flags,
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
    """A flow, step by step: `take` gives the next commands, `hear` (optional) tells it the events of those taken so far."""

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
    ) -> None:
        self.limits = limits or Limits()
        self._random = Random(seed)
        self._roll = self._random.random
        self._participants = participants
        self._session_count = participants * sessions_per_participant
        self.depth = min(depth, 1 + self.limits.order_count_max * 5 // 4, 4 * self.limits.level_count_max)
        self._spread_ticks = min(30, max(2, self.limits.level_count_max // instruments))
        self._bad_share = bad_share
        self._terrains = [self._terrain(number) for number in range(1, instruments + 1)]
        self._orders: list[Mine] = []  # live ones, and dead ones that were not met since
        self._live_count = 0
        self._new: list[Mine] = []  # not heard of yet
        self._leaving: list[Mine] = []  # cancels of these were sent and not heard of yet
        self._by_client_id: dict[tuple[int, int], Mine] = {}
        self._by_order_id: dict[int, Mine] = {}
        self._dead_client_ids: deque[tuple[int, int]] = deque(maxlen=64)
        self._next_client_id = 1
        self._script: deque[list[int]] = deque()
        self._now_ns = START_NS
        self._taken = 0
        self._hears = False
        self._out = bytearray()
        self._opening = encode_commands(definitions(instruments, participants, sessions_per_participant, self.limits))

    def take(self, count: int) -> Records:
        """The next `count` commands, of dtype COMMAND; the definitions come first."""
        opening = self._opening[self._taken : self._taken + count]
        self._out = bytearray()
        for _ in range(count - len(opening)):
            self._add_command()
        self._taken += count
        return join_records([opening, records_of(self._out, COMMAND)], COMMAND)

    def hear(self, events: Records) -> None:
        """Makes the picture of live orders exact. The events are those of all commands taken since the last time."""
        self._hears = True
        for event in decode_events(events):
            if isinstance(event, Trade):
                if event.flags & EventFlags.AGGRESSOR_FILLED:
                    self._bury(event.order_id)
                if event.flags & EventFlags.RESTING_FILLED:
                    self._bury(event.resting_order_id)
            elif isinstance(event, Cancelled):
                self._bury(event.order_id)
            elif isinstance(event, OrderEvent) and event.kind == EventKind.ACCEPTED:
                self._christen(event)
            elif isinstance(event, Amended) and (mine := self._by_order_id.get(event.order_id)) is not None:
                mine.price, mine.quantity = event.price, event.quantity
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

    # The picture

    def _christen(self, event: OrderEvent) -> None:
        mine = self._by_client_id.get((event.participant, event.client_order_id))
        if mine is None or not event.client_order_id or mine.order_id:
            terms = (event.participant, event.session, event.instrument, event.side, event.price, event.quantity, event.client_order_id)
            mine = Mine(*terms)
            self._know(mine)
        mine.order_id = event.order_id
        self._by_order_id[event.order_id] = mine

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

    def _pick(self) -> Mine | None:
        """Any order believed to be live."""
        orders = self._orders
        while orders:
            place = int(self._roll() * len(orders))
            mine = orders[place]
            if mine.is_live and not self._hears and self._has_probably_traded(mine):
                self._forget(mine)
            if mine.is_live:
                return mine
            orders[place] = orders[-1]
            orders.pop()
        return None

    def _has_probably_traded(self, mine: Mine) -> bool:
        if mine.instrument > len(self._terrains):
            return True
        terrain = self._terrains[mine.instrument - 1]
        away = terrain.middle - mine.price // terrain.tick
        return (away if mine.side == BUY else -away) < 3 and self._roll() < 0.6

    def _terrain(self, number: int) -> Terrain:
        tick, flags = TERMS[(number - 1) % len(TERMS)]
        home = 0 if flags else 10_000
        return Terrain(number, tick, home, home)

    # One command

    def _add_command(self) -> None:
        self._now_ns += int(self._roll() * 2_000)
        if self._script and self._roll() < 0.5:
            self._write(self._script.popleft())
            return
        roll = self._roll()
        if roll < self._bad_share:
            self._add_bad_command()
        elif roll < self._bad_share + 0.001:
            self._plan_crowd()
            self._write(self._new_order())
        else:
            self._write(self._good_command())

    def _good_command(self) -> list[int]:
        mine = self._pick()
        crowding = self._live_count / self.depth
        if mine is None or self._roll() > 0.3 + 0.25 * min(crowding, 2):
            return self._new_order()
        roll = self._roll()
        if roll < 0.5 or crowding > 2:
            return self._cancel(mine)
        return self._reduce(mine) if roll < 0.65 else self._amend(mine)

    def _write(self, fields: list[int]) -> None:
        fields[0] = self._now_ns if self._roll() > 0.002 else self._now_ns - 1_000_000
        self._out += _STRUCTURE.pack(*fields)
        kind, quantity = fields[_PLACE["kind"]], fields[_PLACE["quantity"]]
        if quantity > 2**50 and kind in (NEW, AMEND):
            # Left alone, it would trade with everything that comes.
            flags = fields[_PLACE["flags"]] & BY_ORDER_ID if kind == AMEND else 0
            self._script.append(self._fields(CANCEL, fields[1], fields[_PLACE["participant"]], fields[_PLACE["session"]], 0, flags=flags))

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
    ) -> list[int]:
        account = participant * 10
        return [
            0,
            reference,
            price,
            quantity,
            account,
            participant,
            session,
            self._taken,
            instrument,
            kind,
            side,
            order_type,
            time_in_force,
            flags,
            0,
        ]

    def _new_order(self) -> list[int]:
        terrain = self._terrains[int(self._roll() * len(self._terrains))]
        session = 1 + int(self._roll() * self._session_count)
        participant = (session - 1) % self._participants + 1
        if self._roll() < 0.03:
            session = 0
        side = BUY if self._roll() < 0.5 else SELL
        price = self._price(terrain, side)
        quantity = self._quantity()
        roll = self._roll()
        order_type = MARKET if roll < 0.05 else LIMIT
        roll = self._roll()
        time_in_force = GTC if roll < 0.82 else IOC if roll < 0.92 else FOK
        client_order_id = self._client_order_id(participant)
        may_rest = order_type == LIMIT and time_in_force == GTC
        if may_rest and client_order_id and (participant, client_order_id) not in self._by_client_id:
            mine = Mine(participant, session, terrain.number, side, price, quantity, client_order_id)
            self._know(mine)
            self._new.append(mine)
        return self._fields(
            NEW,
            client_order_id,
            participant,
            session,
            terrain.number,
            price=price,
            quantity=quantity,
            side=side,
            order_type=order_type,
            time_in_force=time_in_force,
        )

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
        roll = self._roll()
        if roll < 0.9:
            return 1 + int(self._roll() * 100)
        return 1 if roll < 0.95 else 1 + int(self._roll() * 2_000)

    def _reference(self, mine: Mine) -> tuple[int, int]:
        """What names the order, and the flags that say which kind of name it is."""
        if mine.order_id and (not mine.client_order_id or self._roll() < 0.5):
            return mine.order_id, BY_ORDER_ID
        if not self._hears and self._roll() < 0.05:
            slot = 1 + int(self._roll() * (len(self._orders) + 2))
            return (1 + int(self._roll() * self._roll() * 4)) << 32 | slot, BY_ORDER_ID
        return mine.client_order_id, 0

    def _about(self, kind: int, mine: Mine, *, price: int = 0, quantity: int = 0, flags: int = 0) -> list[int]:
        reference, reference_flags = self._reference(mine)
        instrument = mine.instrument if self._roll() < 0.7 else 0
        session = mine.session if self._roll() < 0.9 else 0
        fields = self._fields(
            kind, reference, mine.participant, session, instrument, price=price, quantity=quantity, flags=flags | reference_flags
        )
        if self._roll() < 0.02:  # what such a command does not use may hold anything
            fields[_PLACE["side"]], fields[_PLACE["order_type"]], fields[_PLACE["time_in_force"]] = 9, 8, 7
        return fields

    def _cancel(self, mine: Mine) -> list[int]:
        fields = self._about(CANCEL, mine)
        if not self._hears:
            self._forget(mine)
        elif mine.is_live:
            mine.is_live = False
            self._live_count -= 1
            self._leaving.append(mine)
        return fields

    def _reduce(self, mine: Mine) -> list[int]:
        quantity = max(1, mine.quantity // 2 if self._roll() < 0.8 else mine.quantity + int(self._roll() * 2))
        mine.quantity = max(1, mine.quantity - quantity)
        return self._about(REDUCE, mine, quantity=quantity)

    def _amend(self, mine: Mine) -> list[int]:
        terrain = self._terrains[mine.instrument - 1]
        price = quantity = NULL_VALUE
        if self._roll() < 0.6:
            price = mine.price if self._roll() < 0.2 else self._price(terrain, mine.side)
        if self._roll() < 0.6:
            quantity = (mine.quantity, mine.quantity + 5, max(1, mine.quantity - 3), max(1, mine.quantity // 2), 0)[
                min(4, int(self._roll() * 4.2))
            ]
        if not self._hears:
            mine.price = mine.price if price == NULL_VALUE else price
            mine.quantity = mine.quantity if quantity == NULL_VALUE else quantity
        return self._about(AMEND, mine, price=price, quantity=quantity, flags=OPEN_QUANTITY if self._roll() < 0.5 else 0)

    # What is not good

    def _add_bad_command(self) -> None:
        roll = self._roll()
        if roll < 0.04:
            self._out += self._bad_definition()
        elif roll < 0.06:
            self._out += self._noise()
        else:
            fields = self._good_command()
            for _ in range(1 if roll < 0.9 else 2):
                self._spoil(fields)
            if not fields[1] and fields[_PLACE["quantity"]] > 2**50:
                fields[1] = 1  # it can be cancelled
            self._write(fields)

    def _spoil(self, fields: list[int]) -> None:
        roll = self._roll()
        if roll < 0.1:
            fields[_PLACE["price"]] = min(fields[_PLACE["price"]] + 1, 2**63 - 1)  # off the tick
        elif roll < 0.2 and (other := self._pick()) is not None:
            fields[1] = other.client_order_id  # a duplicate, or another participant's
        elif roll < 0.3 and (other := self._pick()) is not None and fields[_PLACE["kind"]] != NEW:
            fields[1] = other.order_id or 2**32 | 1
            fields[_PLACE["flags"]] = BY_ORDER_ID
        elif roll < 0.35:
            fields[1] = self._next_client_id + 1_000_000  # never used
        else:
            name = self._random.choice(list(SPOILS))
            fields[_PLACE[name]] = self._random.choice(SPOILS[name])

    def _noise(self) -> bytes:
        """Random bytes; half of the time under a kind that exists."""
        record = bytearray(self._random.randbytes(RECORD_SIZE))
        if self._roll() < 0.5:
            record[56] = self._random.choice((NEW, CANCEL, REDUCE, AMEND, 32, 33, 34))
            record[62:64] = b"\0\0"
        return bytes(record)

    def _bad_definition(self) -> bytes:
        """A definition with at least one thing wrong, or (seldom) one that is good."""
        instruments, sessions = len(self._terrains), self._session_count
        good = instrument_definition(instruments + 1)
        if self._roll() < 0.1 and instruments < min(self.limits.instrument_count_max, 12):
            self._terrains.append(self._terrain(instruments + 1))
            return encode_commands([good]).tobytes()
        terms = {"timestamp_ns": self._now_ns, "instrument": instruments + 1, "symbol": b"NEXT"}
        wrong: Sequence[Command] = (
            definitions(0, 0, 0, self.limits)[0],
            instrument_definition(1),
            DefineInstrument(**{**terms, "instrument": instruments + 2}),  # type: ignore[arg-type]
            DefineInstrument(**terms, tick=0),  # type: ignore[arg-type]
            DefineInstrument(**terms, tick=2**62 + 1),  # type: ignore[arg-type]
            DefineInstrument(**terms, price_decimals=19),  # type: ignore[arg-type]
            DefineInstrument(**terms, quantity_decimals=255),  # type: ignore[arg-type]
            DefineInstrument(**terms, instrument_flags=2),  # type: ignore[arg-type]
            DefineInstrument(**{**terms, "symbol": b""}),  # type: ignore[arg-type]
            DefineInstrument(**{**terms, "symbol": b"A B"}),  # type: ignore[arg-type]
            DefineInstrument(**{**terms, "symbol": b"A\0B"}),  # type: ignore[arg-type]
            DefineInstrument(**{**terms, "symbol": b"I1"}),  # type: ignore[arg-type]
            DefineInstrument(**terms, reserved=1),  # type: ignore[arg-type]
            DefineSession(session=sessions + 2, participant=1, participant_name=b"FIRM1", session_number=99),
            DefineSession(session=sessions + 1, participant=2, participant_name=b"FIRM1", session_number=99),
            DefineSession(session=sessions + 1, participant=self._participants + 2, participant_name=b"NEW", session_number=0),
            DefineSession(session=sessions + 1, participant=1, participant_name=b"FIRM1", session_number=0),
            DefineSession(session=sessions + 1, participant=self._participants + 1, participant_name=b"\x7f", session_number=0),
        )
        return encode_commands([self._random.choice(wrong)]).tobytes()

    def _plan_crowd(self) -> None:
        """Plans orders whose quantities add up to the most that a side may hold and beyond, far from the middle, and their end."""
        terrain = self._random.choice(self._terrains)
        side = self._random.choice((BUY, SELL))
        participant = 1 + int(self._roll() * self._participants)
        price = (terrain.home + (3_000 if side == SELL else -3_000)) * terrain.tick
        first = self._next_client_id + 1
        self._next_client_id += 6
        ends = []
        for client_order_id in range(first, first + 6):
            quantity = self._random.choice((2**60, 2**60, 2**60 - 1, 2**60 + 1))
            terms = (client_order_id, participant, 0, terrain.number)
            self._script.append(self._fields(NEW, *terms, price=price, quantity=quantity, side=side, order_type=LIMIT, time_in_force=GTC))
            ends.append(self._fields(REDUCE, *terms, quantity=2**60))
        grown = self._fields(AMEND, first, participant, 0, 0, price=NULL_VALUE, quantity=2**60, flags=OPEN_QUANTITY)
        self._script.append(grown)
        self._script.extend(ends)


def flow(
    seed: int,
    count: int,
    *,
    instruments: int = 4,
    participants: int = 3,
    limits: Limits | None = None,
    depth: int = 300,
    bad_share: float = 0.06,
    apply: Callable[[Records], Records] | None = None,
) -> Records:
    """`count` commands of dtype COMMAND, the same for the same arguments.

    `limits` are those of the engine that will take them. `depth` is about how many orders rest, `bad_share` the share of commands with
    something wrong. With `apply`, a fresh engine's `apply_records`, each chunk is applied and its events heard. Small limits want that:
    they are then reached often and left again, while a flow that hears nothing soon stays at them.
    """
    source = Flow(seed, instruments=instruments, participants=participants, limits=limits, depth=depth, bad_share=bad_share)
    if apply is None:
        return source.take(count)
    chunks = []
    step = min(CHUNK, max(1, source.depth // 4))
    for start in range(0, count, step):
        chunks.append(source.take(min(step, count - start)))
        source.hear(apply(chunks[-1]))
    return join_records(chunks, COMMAND)
