"""Commands and events as values. Fields and their meaning are those of ome/codec/schema.xml.

All are frozen, keyword-only and hold integers (and bytes for names), not enumerations, so that whatever a record can hold can be said.
Prices are in price units, quantities in lots, time in nanoseconds since 1970. `kind` is set by the class.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ome.enums import CommandKind, EventKind
from ome.errors import InvalidTypeError, InvalidValueError

__all__ = [
    "COMMAND_TYPES",
    "EVENT_TYPES",
    "NULL_VALUE",
    "Accepted",
    "AmendOrder",
    "Amended",
    "CancelOrder",
    "Cancelled",
    "Command",
    "DefineInstrument",
    "DefineLimits",
    "DefineSession",
    "Defined",
    "Event",
    "Limits",
    "NewOrder",
    "OrderEvent",
    "ReduceOrder",
    "Reduced",
    "Rejected",
    "Rested",
    "Trade",
    "UnknownCommand",
]

NULL_VALUE = -(2**63)  # of an amend's price or quantity: unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an engine is made with; its memory follows from it and never grows.

    `order_count_max`: orders at rest at once, 1 to 2^30. `level_count_max`: price levels at once over all instruments, 1 to 2^28.
    `instrument_count_max`: 1 to 2^20. `session_count_max`: 1 to 65,535. Raises InvalidTypeError or InvalidValueError outside these.
    """

    order_count_max: int = 1_048_576
    level_count_max: int = 262_144
    instrument_count_max: int = 4_096
    session_count_max: int = 4_096

    def __post_init__(self) -> None:
        for name, most in (
            ("order_count_max", 2**30),
            ("level_count_max", 2**28),
            ("instrument_count_max", 2**20),
            ("session_count_max", 65_535),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise InvalidTypeError(name, where="limits", found=value, allowed="int")
            if not 1 <= value <= most:
                raise InvalidValueError(name, where="limits", found=value, allowed=f"1 to {most:,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What every command has. `reserved` is its last two bytes, which must be zero."""

    timestamp_ns: int = 0
    participant: int = 0
    session: int = 0
    instrument: int = 0
    kind: int = field(default=0, init=False)
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder(Command):
    """Enter an order."""

    client_order_id: int = 0
    price: int = 0
    quantity: int
    account: int = 0
    session_sequence: int = 0
    kind: int = field(default=CommandKind.NEW_ORDER, init=False)
    side: int
    order_type: int = 1
    time_in_force: int = 1
    flags: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder(Command):
    """Cancel what is left of an order. `client_order_id` is its order id where `flags` has BY_ORDER_ID."""

    client_order_id: int
    account: int = 0
    session_sequence: int = 0
    kind: int = field(default=CommandKind.CANCEL_ORDER, init=False)
    flags: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceOrder(Command):
    """Take `quantity` lots off an order; it keeps its place. `client_order_id` is its order id where `flags` has BY_ORDER_ID."""

    client_order_id: int
    quantity: int
    account: int = 0
    session_sequence: int = 0
    kind: int = field(default=CommandKind.REDUCE_ORDER, init=False)
    flags: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendOrder(Command):
    """Give an order a new price, a new quantity, or both; NULL_VALUE keeps what is there.

    `quantity` is the new total, or with OPEN_QUANTITY in `flags` the new open quantity. `client_order_id` is its order id where `flags` has
    BY_ORDER_ID.
    """

    client_order_id: int
    price: int = NULL_VALUE
    quantity: int = NULL_VALUE
    account: int = 0
    session_sequence: int = 0
    kind: int = field(default=CommandKind.AMEND_ORDER, init=False)
    flags: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineLimits(Command):
    """Sizes of the engine; only as the first command."""

    order_count_max: int
    level_count_max: int
    instrument_count_max: int
    session_count_max: int
    kind: int = field(default=CommandKind.DEFINE_LIMITS, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineInstrument(Command):
    """Open `instrument` for trading. `symbol` is ASCII, without its padding."""

    symbol: bytes
    tick: int = 1
    kind: int = field(default=CommandKind.DEFINE_INSTRUMENT, init=False)
    price_decimals: int = 0
    quantity_decimals: int = 0
    instrument_flags: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineSession(Command):
    """Give `session` of `participant` its numbers. `participant_name` is ASCII, without its padding."""

    participant_name: bytes
    session_number: int = 0
    kind: int = field(default=CommandKind.DEFINE_SESSION, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownCommand(Command):
    """A record whose kind is none of the above; its other bytes are not kept."""

    kind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event has. `sequence` is that of the command that caused it, `kind` an EventKind, `reason` a Reason."""

    sequence: int
    instrument: int
    kind: int = field(default=0, init=False)
    side: int
    reason: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent(Event):
    """What happened to one order. `flags` are EventFlags."""

    order_id: int
    client_order_id: int
    price: int
    quantity: int
    timestamp_ns: int
    account: int
    participant: int
    session: int
    flags: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(OrderEvent):
    """An order was taken; with RESTS, it joined the book whole."""

    kind: int = field(default=EventKind.ACCEPTED, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(OrderEvent):
    """What was left of an order, `quantity`, is gone."""

    kind: int = field(default=EventKind.CANCELLED, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced(OrderEvent):
    """An order lost `quantity` and kept its place."""

    kind: int = field(default=EventKind.REDUCED, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amended(OrderEvent):
    """An order has this `price` and open `quantity` now."""

    kind: int = field(default=EventKind.AMENDED, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rested(OrderEvent):
    """What an aggressor left unfilled, `quantity`, joined the book."""

    kind: int = field(default=EventKind.RESTED, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Event):
    """A command was refused and changed nothing. Fields are those of the command."""

    order_id: int
    client_order_id: int
    price: int
    quantity: int
    timestamp_ns: int
    account: int
    participant: int
    session: int
    command_kind: int
    kind: int = field(default=EventKind.REJECTED, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade(Event):
    """An aggressor (`order_id`, `side`) met a resting order, at the resting order's price."""

    order_id: int
    client_order_id: int
    price: int
    quantity: int
    resting_order_id: int
    resting_client_order_id: int
    flags: int
    kind: int = field(default=EventKind.TRADE, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defined(Event):
    """A definition took effect."""

    timestamp_ns: int
    account: int = 0
    participant: int
    session: int
    command_kind: int
    kind: int = field(default=EventKind.DEFINED, init=False)


COMMAND_TYPES: dict[int, type[Command]] = {
    CommandKind.NEW_ORDER: NewOrder,
    CommandKind.CANCEL_ORDER: CancelOrder,
    CommandKind.REDUCE_ORDER: ReduceOrder,
    CommandKind.AMEND_ORDER: AmendOrder,
    CommandKind.DEFINE_LIMITS: DefineLimits,
    CommandKind.DEFINE_INSTRUMENT: DefineInstrument,
    CommandKind.DEFINE_SESSION: DefineSession,
}
EVENT_TYPES: dict[int, type[Event]] = {
    EventKind.ACCEPTED: Accepted,
    EventKind.REJECTED: Rejected,
    EventKind.TRADE: Trade,
    EventKind.CANCELLED: Cancelled,
    EventKind.REDUCED: Reduced,
    EventKind.AMENDED: Amended,
    EventKind.RESTED: Rested,
    EventKind.DEFINED: Defined,
}
