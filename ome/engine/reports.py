"""What became of a command, as values: reports of orders, with their trades, and completions of commands about many orders."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from ome.enums import Reason, Side
from ome.errors import OmeError
from ome.messages import Event

__all__ = ["Completion", "OrderRejectedError", "Prevented", "Report", "Trade"]


class OrderRejectedError(OmeError):
    """A command was refused; `reason` says why. Raised only where asked for: `Report.raise_for_rejection`."""

    def __init__(self, reason: Reason, **context: str) -> None:
        self.reason = reason
        super().__init__(f"command refused: {reason.name}", **context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One trade, at the resting order's price. Without `resting_` the ids and the account are the aggressor's, as `side` is.

    An account is the name that it was given by, or its number.
    """

    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    order_id: int
    client_order_id: int
    account: str | int
    resting_order_id: int
    resting_client_order_id: int
    resting_account: str | int

    @property
    def buyer(self) -> str | int:
        """The account that bought."""
        return self.account if self.side is Side.BUY else self.resting_account

    @property
    def seller(self) -> str | int:
        """The account that sold."""
        return self.resting_account if self.side is Side.BUY else self.account


@dataclass(frozen=True, slots=True, kw_only=True)
class Prevented:
    """A trade that self-trade prevention kept from happening. Fields as of a Trade."""

    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    order_id: int
    client_order_id: int
    account: str | int
    resting_order_id: int
    resting_client_order_id: int
    resting_account: str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one command did to its order; all quantities in units of the instrument.

    `order_id` is the order's, 0 where the command was refused and had none; `symbol` is empty where a refused command named no instrument.
    `reason` is NONE, or why something was refused or cancelled. `trades` are the order's, in the order in which they happened; `prevented`
    what would have been trades with its own group; `cancelled` what was cancelled of it. Where the order is now: `resting` in the book, of
    which `displayed` is seen, or `waiting` for a stop price.

    `triggered` are the reports of the stops that the command set off, in the order in which they entered the market, its own order among
    them where it is a stop that triggered at once. `events` are all events of the command, other orders' too, as messages (price units and
    lots); in the report of a stop, those from its triggering on.
    """

    order_id: int
    client_order_id: int
    symbol: str
    accepted: bool
    reason: Reason
    trades: tuple[Trade, ...]
    prevented: tuple[Prevented, ...]
    cancelled: Decimal
    resting: Decimal
    displayed: Decimal
    waiting: Decimal
    triggered: tuple[Report, ...]
    events: tuple[Event, ...] = field(repr=False)

    def raise_for_rejection(self) -> Report:
        """Returns itself, or raises OrderRejectedError."""
        if not self.accepted:
            raise OrderRejectedError(self.reason)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a command did that is about many orders: a mass cancel, an expiry, a last price from outside.

    `order_ids` are the orders that it cancelled, in that order, and `cancelled` the sum of their quantities. `triggered` are the reports
    of the stops that it set off. `reason` is NONE, or why the command was refused. `events` are all events, as messages.
    """

    accepted: bool
    reason: Reason
    order_ids: tuple[int, ...]
    cancelled: Decimal
    triggered: tuple[Report, ...]
    events: tuple[Event, ...] = field(repr=False)

    def raise_for_rejection(self) -> Completion:
        """Returns itself, or raises OrderRejectedError."""
        if not self.accepted:
            raise OrderRejectedError(self.reason)
        return self
