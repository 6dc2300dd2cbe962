"""Orders that live in an engine: each with all that it has, in units of its instrument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias

from ome._native import CData, ffi, lib
from ome.attributes import Attributes
from ome.engine.accounts import Accounts
from ome.engine.calls import Handle
from ome.engine.instruments import EngineInstruments
from ome.enums import OrderType, SelfTradePrevention, SelfTradeScope, Side, TimeInForce
from ome.units import Number, decimal_of, units_of

__all__ = ["OpenOrder", "OpenOrders"]

_ORDER_COUNT_FIRST: Final = 256  # how many orders are asked for, before more
_Query: TypeAlias = Callable[[CData, int, int, int, CData], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that lives: at rest in the book, or waiting for its stop price. What it does not have is None.

    `leaves_quantity` is all that is open; at rest, `displayed_quantity` of it is what the market sees. `price` is the limit, of a waiting
    TRAILING_STOP_LIMIT the distance of its limit. `stop_price`, `trail_amount` and `trail_basis_points` are those of an order that waits.
    `account` is a number, or where an `Engine` was given a name for it that name. `deadline_ns` is nanoseconds since 1970.
    """

    order_id: int
    client_order_id: int
    symbol: str
    instrument: int
    side: Side
    price: Decimal | None
    leaves_quantity: Decimal
    cumulative_quantity: Decimal
    displayed_quantity: Decimal
    peak_quantity: Decimal | None
    stop_price: Decimal | None
    trail_amount: Decimal | None
    trail_basis_points: int | None
    deadline_ns: int | None
    account: str | int
    participant: int
    session: int
    order_type: OrderType
    time_in_force: TimeInForce
    is_waiting: bool
    is_hidden: bool
    is_post_only: bool
    self_trade_prevention: SelfTradePrevention
    self_trade_scope: SelfTradeScope
    self_trade_group: int | None
    attributes: Attributes


class OpenOrders:
    """Finds the orders of an engine, and gives each as an OpenOrder."""

    def __init__(self, handle: Handle, instruments: EngineInstruments, accounts: Accounts) -> None:
        self._handle = handle
        self._instruments = instruments
        self._accounts = accounts

    def resting(self, number: int, side: Side) -> list[OpenOrder]:
        """All orders of the instrument of this number at rest on a side, as they would trade."""
        return self._all(lib.ome_engine_orders, number, side)

    def waiting(self, number: int, side: Side) -> list[OpenOrder]:
        """All orders of a side that wait for their stop price, as they would trigger."""
        return self._all(lib.ome_engine_waiting_orders, number, side)

    def by_id(self, order_id: int) -> OpenOrder | None:
        """The order that has this id, or None."""
        found = ffi.new("ome_order_view_t *")
        status = lib.ome_engine_order(self._handle.engine, order_id, found)
        return self._order(found) if status == lib.OME_OK else None

    def by_client_order_id(self, participant: int, client_order_id: int) -> OpenOrder | None:
        """The participant's order that has this client order id, or None."""
        found = ffi.new("ome_order_view_t *")
        status = lib.ome_engine_client_order(self._handle.engine, participant, client_order_id, found)
        return self._order(found) if status == lib.OME_OK else None

    def units(self, order_id: int, **values: Number | None) -> tuple[int | None, ...]:
        """Prices and quantities of an order in price units and lots. None where it does not live: the market will refuse the command."""
        live = self.by_id(order_id)
        instrument = None if live is None else self._instruments.by_number[live.instrument]
        found: list[int | None] = []
        for name, value in values.items():
            if value is not None:
                decimal_of(value, name)
            if value is None or instrument is None:
                found.append(None)
            else:
                is_quantity = name in ("quantity", "open_quantity")
                found.append(units_of(value, instrument.quantity_decimals if is_quantity else instrument.price_decimals, name))
        return tuple(found)

    def _all(self, query: _Query, number: int, side: Side) -> list[OpenOrder]:
        capacity = _ORDER_COUNT_FIRST
        while True:
            found = ffi.new("ome_order_view_t[]", capacity)
            count = query(self._handle.engine, number, side, capacity, found)
            if count < capacity:
                return [self._order(found[i]) for i in range(count)]
            capacity *= 2

    def _order(self, view: CData) -> OpenOrder:
        instrument = self._instruments.find(view.instrument)
        assert instrument is not None, "an order that lives is of an instrument that was defined"
        order_type = OrderType(view.order_type)
        has_limit = order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP_LIMIT)
        return OpenOrder(
            order_id=view.order_id,
            client_order_id=view.client_order_id,
            symbol=instrument.symbol,
            instrument=view.instrument,
            side=Side(view.side),
            price=instrument.price(view.price) if has_limit else None,
            leaves_quantity=instrument.quantity(view.leaves_quantity),
            cumulative_quantity=instrument.quantity(view.cumulative_quantity),
            displayed_quantity=instrument.quantity(view.displayed_quantity),
            peak_quantity=instrument.quantity(view.peak_quantity) if view.peak_quantity else None,
            stop_price=instrument.price(view.stop_price) if view.is_waiting else None,
            trail_amount=instrument.price(view.trail_amount) if view.trail_amount else None,
            trail_basis_points=view.trail_basis_points or None,
            deadline_ns=view.deadline_ns or None,
            account=self._accounts.name(view.account),
            participant=view.participant,
            session=view.session,
            order_type=order_type,
            time_in_force=TimeInForce(view.time_in_force),
            is_waiting=bool(view.is_waiting),
            is_hidden=bool(view.is_hidden),
            is_post_only=bool(view.is_post_only),
            self_trade_prevention=SelfTradePrevention(view.self_trade_prevention),
            self_trade_scope=SelfTradeScope(view.self_trade_scope),
            self_trade_group=view.self_trade_group or None,
            attributes=Attributes.of(view.attributes),
        )
