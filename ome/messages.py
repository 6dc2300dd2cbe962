"""Commands and events as values. Fields and their meaning are those of ome/codec/schema.xml.

All are frozen, keyword-only and hold integers (and bytes for names), not enumerations, so that they can express
everything that a record can hold. Prices are in price units, quantities in lots, time in nanoseconds since 1970. `kind`
is set by the class.

A command is one record, except a NewOrder or AmendOrder with `terms`, which is 1 + ceil(terms / 3) consecutive records.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ome.attributes import AttributeFields
from ome.enums import CommandFlags, CommandKind, EventKind, LimitFlags, Term
from ome.units import integer_of

__all__ = [
    "COMMAND_TYPES",
    "EVENT_TYPES",
    "NULL_VALUE",
    "RULES_VERSION",
    "Accepted",
    "AmendOrder",
    "Amended",
    "AttributesOf",
    "CancelOrder",
    "Cancelled",
    "Command",
    "Completed",
    "DefineAccount",
    "DefineInstrument",
    "DefineLimits",
    "DefineSession",
    "Defined",
    "Displayed",
    "Event",
    "ExpireOrders",
    "Limits",
    "MassCancel",
    "NewOrder",
    "OrderEvent",
    "OrderTerms",
    "Prevented",
    "ReduceOrder",
    "Reduced",
    "Rejected",
    "Rested",
    "SetLastPrice",
    "StopSet",
    "Terms",
    "Trade",
    "Triggered",
    "UnknownCommand",
]

RULES_VERSION = 2
"""The newest version of docs/RULES.md; 0 is the first."""

NULL_VALUE = -(2**63)  # of an amend's price or quantity: unchanged

_POST_ONLY = int(CommandFlags.POST_ONLY)
_HIDDEN = int(CommandFlags.HIDDEN)
_OWN_FIELDS = _POST_ONLY | _HIDDEN
_RULES_WITH_ACCOUNTS = 2

Terms = tuple[tuple[Term, int], ...]
"""Terms of an order beyond the fields of its command: docs/RULES.md, Commands of more than one record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an engine is made with, or moved to; its memory follows from it.

    `order_count_max`: orders that live at once, 1 to 2^30. `level_count_max`: price levels at once over all instruments, 1 to 2^24 - 1.
    `instrument_count_max`: 1 to 2^20. `session_count_max`: 1 to 65,535. `special_count_max`: orders at once that wait for a stop price, or
    have a peak, a deadline, a self-trade group or an attribute, 0 to 2^30. `rules_version`: which version of the rules it follows, 0 to
    RULES_VERSION, the newest. `account_count_max`: accounts that belong, or belonged, to a participant, 0 to 2^24. `limit_flags`:
    LimitFlags. The last two are 0 before version 2 of the rules. Raises InvalidTypeError or InvalidValueError outside these.
    """

    order_count_max: int = 1_048_576
    level_count_max: int = 262_144
    instrument_count_max: int = 4_096
    session_count_max: int = 4_096
    special_count_max: int = 65_536
    rules_version: int = RULES_VERSION
    account_count_max: int = 65_536
    limit_flags: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("order_count_max", 1, 2**30),
            ("level_count_max", 1, 2**24 - 1),
            ("instrument_count_max", 1, 2**20),
            ("session_count_max", 1, 65_535),
            ("special_count_max", 0, 2**30),
            ("rules_version", 0, RULES_VERSION),
            ("account_count_max", 0, 2**24),
            ("limit_flags", 0, int(sum(LimitFlags))),
        ):
            object.__setattr__(self, name, integer_of(getattr(self, name), name, least, most, where="limits"))
        if self.rules_version < _RULES_WITH_ACCOUNTS:
            object.__setattr__(self, "account_count_max", 0)
            object.__setattr__(self, "limit_flags", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What every command has."""

    timestamp_ns: int = 0
    participant: int = 0
    session: int = 0
    instrument: int = 0
    kind: int = field(default=0, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder(Command):
    """Enter an order.

    `price` is its limit, of a TRAILING_STOP_LIMIT the distance of its limit from its stop price. `flags` are the CommandFlags but for
    POST_ONLY and HIDDEN, which are fields of their own wherever they were given. Without `terms` it is one record, with CONTINUED in
    `flags` one that waits for the OrderTerms that follow.
    """

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
    post_only: bool = False
    hidden: bool = False
    self_trade_prevention: int = 0
    self_trade_scope: int = 0
    terms: Terms = ()

    def __post_init__(self) -> None:
        if isinstance(self.flags, int) and self.flags & _OWN_FIELDS:
            object.__setattr__(self, "post_only", self.post_only or bool(self.flags & _POST_ONLY))
            object.__setattr__(self, "hidden", self.hidden or bool(self.flags & _HIDDEN))
            object.__setattr__(self, "flags", int(self.flags) & ~_OWN_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder(Command):
    """Cancel what is left of an order. `client_order_id` is its order id where `flags` has BY_ORDER_ID."""

    client_order_id: int
    account: int = 0
    session_sequence: int = 0
    kind: int = field(default=CommandKind.CANCEL_ORDER, init=False)
    flags: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceOrder(Command):
    """Take `quantity` lots off an order; it keeps its place. `client_order_id` is its order id where `flags` has BY_ORDER_ID."""

    client_order_id: int
    quantity: int
    account: int = 0
    session_sequence: int = 0
    kind: int = field(default=CommandKind.REDUCE_ORDER, init=False)
    flags: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendOrder(Command):
    """Give an order a new price, a new quantity, or both; NULL_VALUE keeps what is there.

    `quantity` is the new total, or with OPEN_QUANTITY in `flags` the new open quantity. `client_order_id` is its order id where `flags` has
    BY_ORDER_ID. `terms` give it a new stop price or another client order id.
    """

    client_order_id: int
    price: int = NULL_VALUE
    quantity: int = NULL_VALUE
    account: int = 0
    session_sequence: int = 0
    kind: int = field(default=CommandKind.AMEND_ORDER, init=False)
    flags: int = 0
    reserved: int = 0
    terms: Terms = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerms(Command):
    """Three more terms of the NewOrder or AmendOrder right before it: one record of those that `terms` become."""

    session_sequence: int = 0
    kind: int = field(default=CommandKind.ORDER_TERMS, init=False)
    value_1: int = 0
    value_2: int = 0
    value_3: int = 0
    term_1: int = 0
    term_2: int = 0
    term_3: int = 0
    flags: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MassCancel(Command):
    """Cancel every order of the participant that matches: `instrument` and `side` if they are not 0, and what `flags` add."""

    client_order_id: int = 0
    target_session: int = 0
    account: int = 0
    session_sequence: int = 0
    kind: int = field(default=CommandKind.MASS_CANCEL, init=False)
    side: int = 0
    flags: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineLimits(Command):
    """Sizes of the engine: the first command of a journal, and later a change of them."""

    order_count_max: int
    level_count_max: int
    instrument_count_max: int
    session_count_max: int
    special_count_max: int = 0
    rules_version: int = 0
    account_count_max: int = 0
    limit_flags: int = 0
    kind: int = field(default=CommandKind.DEFINE_LIMITS, init=False)
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineInstrument(Command):
    """Open `instrument` for trading. `symbol` is ASCII, without its padding; `collar_ticks` 0 is no collar."""

    symbol: bytes
    tick: int = 1
    collar_ticks: int = 0
    kind: int = field(default=CommandKind.DEFINE_INSTRUMENT, init=False)
    price_decimals: int = 0
    quantity_decimals: int = 0
    instrument_flags: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineSession(Command):
    """Give `session` and `participant` their numbers, each 1 to the limit. `participant_name` is ASCII, without its padding.

    A number that is in use is used again where nothing lives that came under it: docs/RULES.md, Definitions.
    """

    participant_name: bytes
    session_number: int = 0
    session_flags: int = 0
    kind: int = field(default=CommandKind.DEFINE_SESSION, init=False)
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineAccount(Command):
    """Say which participant an account belongs to. `participant_name` is ASCII, without its padding; without one it belongs to nobody.

    Its own fields `participant`, `session` and `instrument` mean nothing.
    """

    account: int
    participant_name: bytes = b""
    kind: int = field(default=CommandKind.DEFINE_ACCOUNT, init=False)
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireOrders(Command):
    """Cancel what is due at `cutoff_ns`, and with END_OF_DAY in `flags` all DAY orders; of one `instrument`, or of all where it is 0."""

    cutoff_ns: int = 0
    kind: int = field(default=CommandKind.EXPIRE_ORDERS, init=False)
    flags: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLastPrice(Command):
    """Give an instrument a last trade price from outside."""

    price: int
    kind: int = field(default=CommandKind.SET_LAST_PRICE, init=False)
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownCommand(Command):
    """A record whose kind is none of the above; its other bytes are not kept."""

    kind: int
    reserved: int = 0


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
class Triggered(OrderEvent):
    """A stop reached its stop price, `price`: it is an aggressor now."""

    kind: int = field(default=EventKind.TRIGGERED, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Displayed(OrderEvent):
    """An order with a peak displays `quantity` lots more at the back of its level, or where it is below zero so many fewer."""

    kind: int = field(default=EventKind.DISPLAYED, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributesOf(Event, AttributeFields):
    """The attributes of the order that was accepted right before. 0 is none."""

    order_id: int
    client_order_id: int
    timestamp_ns: int
    account: int
    participant: int
    session: int
    flags: int = 0
    kind: int = field(default=EventKind.ATTRIBUTES, init=False)


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
class Prevented(Event):
    """An aggressor met a resting order of its own group and did not trade; what became of both follows."""

    order_id: int
    client_order_id: int
    price: int
    quantity: int
    resting_order_id: int
    resting_client_order_id: int
    flags: int = 0
    kind: int = field(default=EventKind.PREVENTED, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defined(Event):
    """A definition took effect. `quantity`: of a session, the reports of its participant so far (docs/RULES.md, D10); otherwise 0."""

    quantity: int = 0
    timestamp_ns: int
    account: int = 0
    participant: int
    session: int
    command_kind: int
    kind: int = field(default=EventKind.DEFINED, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed(Event):
    """A mass cancel or an expiry that cancelled `quantity` orders, or a last price that was set to `price`, is done."""

    order_id: int = 0
    client_order_id: int = 0
    price: int = 0
    quantity: int = 0
    timestamp_ns: int
    account: int = 0
    participant: int
    session: int
    command_kind: int
    kind: int = field(default=EventKind.COMPLETED, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSet(Event):
    """The stop `price` of the waiting order that was accepted or amended right before; `quantity` is open."""

    order_id: int
    client_order_id: int
    price: int
    quantity: int
    timestamp_ns: int
    account: int
    participant: int
    session: int
    order_type: int
    kind: int = field(default=EventKind.STOP_SET, init=False)


COMMAND_TYPES: dict[int, type[Command]] = {
    CommandKind.NEW_ORDER: NewOrder,
    CommandKind.CANCEL_ORDER: CancelOrder,
    CommandKind.REDUCE_ORDER: ReduceOrder,
    CommandKind.AMEND_ORDER: AmendOrder,
    CommandKind.ORDER_TERMS: OrderTerms,
    CommandKind.MASS_CANCEL: MassCancel,
    CommandKind.DEFINE_LIMITS: DefineLimits,
    CommandKind.DEFINE_INSTRUMENT: DefineInstrument,
    CommandKind.DEFINE_SESSION: DefineSession,
    CommandKind.DEFINE_ACCOUNT: DefineAccount,
    CommandKind.EXPIRE_ORDERS: ExpireOrders,
    CommandKind.SET_LAST_PRICE: SetLastPrice,
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
    EventKind.TRIGGERED: Triggered,
    EventKind.DISPLAYED: Displayed,
    EventKind.PREVENTED: Prevented,
    EventKind.COMPLETED: Completed,
    EventKind.ATTRIBUTES: AttributesOf,
    EventKind.STOP_SET: StopSet,
}
