"""The orders of a session: from what people write to the commands that ask for it, and what an order is known by afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from ome.client.directory import InstrumentDirectory
from ome.codec.requests import OrderOptions, amend_order, cancel_order, mass_cancel, new_order, reduce_order
from ome.codec.words import SideName
from ome.enums import Side, TimeInForce
from ome.errors import InvalidTypeError, InvalidValueError
from ome.messages import AmendOrder, CancelOrder, MassCancel, NewOrder, ReduceOrder
from ome.units import Integer, Number, units_of

__all__ = ["Order", "Orders"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as it was entered. `price` is None for a market order."""

    client_order_id: int
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    account: int


class Orders:
    """Makes the commands about orders of these instruments. New orders are numbered from `next_client_order_id` on where none is given."""

    def __init__(self, instruments: InstrumentDirectory, next_client_order_id: int) -> None:
        self._instruments = instruments
        self._next_client_order_id = next_client_order_id

    def new(
        self,
        side: Side,
        symbol: str | Integer,
        quantity: Number,
        at: Number | None,
        options: OrderOptions,
        account: Integer,
        client_order_id: Integer | None,
    ) -> tuple[NewOrder, Order]:
        """The command that enters an order, and the order. Quantity and limit are what the instrument can have."""
        number = self._instruments.number(symbol)
        instrument = self._instruments.by_number[number]
        instrument.lots(quantity)
        if at is not None:
            instrument.price_units(at)
        if client_order_id is None:
            client_order_id = self._next_client_order_id
            self._next_client_order_id += 1
        command = new_order(
            instrument,
            side,
            quantity,
            at,
            options,
            instrument=number,
            account=account,
            client_order_id=client_order_id,
        )
        order = Order(
            client_order_id=command.client_order_id,
            symbol=instrument.symbol,
            side=side,
            quantity=instrument.quantity(command.quantity),
            price=None if at is None else instrument.price(command.price),
            time_in_force=TimeInForce(command.time_in_force),
            account=command.account,
        )
        return command, order

    def cancel(self, order: Order) -> CancelOrder:
        """The command that cancels an order."""
        return cancel_order(_order(order).client_order_id, instrument=self._instruments.number(order.symbol))

    def reduce(self, order: Order, quantity: Number) -> ReduceOrder:
        """The command that takes `quantity` off an order."""
        lots = self._instruments[_order(order).symbol].lots(quantity)
        return reduce_order(order.client_order_id, lots, instrument=self._instruments.number(order.symbol))

    def amend(
        self,
        order: Order,
        at: Number | None,
        quantity: Number | None,
        open_quantity: Number | None,
        stop: Number | None,
        limit_offset: Number | None,
        client_order_id: Integer | None,
    ) -> tuple[AmendOrder, Order]:
        """The command that gives an order what is not None, and the order by the client order id that it has then."""
        if quantity is not None and open_quantity is not None:
            raise InvalidValueError("quantity and open_quantity", where="amend", found=(quantity, open_quantity), allowed="one of them")
        if at is not None and limit_offset is not None:
            raise InvalidValueError("at and limit_offset", where="amend", found=(at, limit_offset), allowed="one of them")
        instrument = self._instruments[_order(order).symbol]
        wanted = quantity if open_quantity is None else open_quantity
        price = None if at is None else instrument.price_units(at)
        if limit_offset is not None:
            price = units_of(limit_offset, instrument.price_decimals, "limit_offset")
        command = amend_order(
            order.client_order_id,
            price=price,
            lots=None if wanted is None else instrument.lots(wanted),
            is_open_quantity=open_quantity is not None,
            stop_price=None if stop is None else instrument.price_units(stop),
            new_client_order_id=client_order_id,
            instrument=self._instruments.number(order.symbol),
        )
        return command, order if client_order_id is None else replace(order, client_order_id=int(client_order_id))

    def mass_cancel(
        self, symbol: str | Integer | None, side: SideName | Side | None, account: Integer | None, session: Integer | None
    ) -> MassCancel:
        """The command that cancels all orders of the participant that are all of what is given."""
        number = 0 if symbol is None else self._instruments.number(symbol)
        return mass_cancel(instrument=number, side=side, account=account, session=session)


def _order(order: Order) -> Order:
    if not isinstance(order, Order):
        raise InvalidTypeError("order", found=order, allowed="an Order, as `buy` and `sell` return it")
    return order
