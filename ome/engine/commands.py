"""From what people write to the commands of an embedded engine: symbols and names become numbers, decimals units of a live order."""

from __future__ import annotations

from ome.codec import OrderOptions, SideName, amend_order, cancel_order, mass_cancel, new_order, reduce_order
from ome.engine.accounts import Accounts
from ome.engine.instruments import EngineInstruments
from ome.engine.orders import OpenOrder, OpenOrders
from ome.engine.reports import Report
from ome.enums import Side
from ome.errors import InvalidValueError
from ome.messages import AmendOrder, CancelOrder, MassCancel, NewOrder, ReduceOrder
from ome.units import Integer, Number, decimal_of, integer_of

__all__ = ["Commands"]


class Commands:
    """Makes the commands about orders, each with the time `clock_ns`. An order that has no client order id is counted, from 1 on."""

    def __init__(self, instruments: EngineInstruments, accounts: Accounts, orders: OpenOrders) -> None:
        self._instruments = instruments
        self._accounts = accounts
        self._orders = orders
        self._next_client_order_id = 1
        self.clock_ns = 0

    def new(
        self,
        side: Side,
        symbol: str | Integer,
        quantity: Number,
        at: Number | None,
        options: OrderOptions,
        account: str | Integer,
        participant: Integer,
        client_order_id: Integer | None,
    ) -> NewOrder:
        """A new order. One that is refused here uses up neither the number of a new account nor a client order id."""
        number = self._instruments.number(symbol)
        command = new_order(
            self._instruments.by_number[number],
            side,
            quantity,
            at,
            options,
            timestamp_ns=self.clock_ns,
            client_order_id=self._next_client_order_id if client_order_id is None else client_order_id,
            account=self._accounts.number(account),
            participant=participant,
            instrument=number,
        )
        self._accounts.remember(account, command.account)
        self._next_client_order_id += client_order_id is None
        return command

    def cancel(self, order: Report | OpenOrder | Integer, participant: Integer) -> CancelOrder:
        """Cancels an order, given as its report, as an open order, or by its order id, as in all of these."""
        return cancel_order(_order_id(order), by_order_id=True, participant=participant, timestamp_ns=self.clock_ns)

    def reduce(self, order: Report | OpenOrder | Integer, quantity: Number, participant: Integer) -> ReduceOrder:
        """Takes `quantity` off an order."""
        order_id = _order_id(order)
        decimal_of(quantity, "quantity")
        (lots,) = self._orders.units(order_id, quantity=quantity)
        lots = 0 if lots is None else lots
        return reduce_order(order_id, lots, by_order_id=True, participant=participant, timestamp_ns=self.clock_ns)

    def amend(
        self,
        order: Report | OpenOrder | Integer,
        at: Number | None,
        quantity: Number | None,
        open_quantity: Number | None,
        stop: Number | None,
        limit_offset: Number | None,
        client_order_id: Integer | None,
        participant: Integer,
    ) -> AmendOrder:
        """Gives an order what is not None."""
        for name, one, other in (("quantity", quantity, open_quantity), ("at", at, limit_offset)):
            if one is not None and other is not None:
                allowed = "quantity or open_quantity, not both" if name == "quantity" else "at or limit_offset, not both"
                raise InvalidValueError(name, where="amend", found=one, allowed=allowed)
        order_id = _order_id(order)
        limit, distance, trigger, total, rest = self._orders.units(
            order_id, at=at, limit_offset=limit_offset, stop=stop, quantity=quantity, open_quantity=open_quantity
        )
        return amend_order(
            order_id,
            price=distance if limit is None else limit,
            lots=rest if total is None else total,
            is_open_quantity=open_quantity is not None,
            stop_price=trigger,
            new_client_order_id=client_order_id,
            by_order_id=True,
            participant=participant,
            timestamp_ns=self.clock_ns,
        )

    def mass_cancel(
        self,
        symbol: str | Integer | None,
        side: SideName | Side | None,
        account: str | Integer | None,
        session: Integer | None,
        participant: Integer | None,
    ) -> MassCancel:
        """Cancels every order of the participant (None: of everybody) that is all of what is given."""
        command = mass_cancel(
            instrument=0 if symbol is None else self._instruments.number(symbol),
            side=side,
            account=None if account is None else self._accounts.number(account),
            session=session,
            participant=participant,
            timestamp_ns=self.clock_ns,
        )
        if account is not None:
            self._accounts.remember(account, command.account)
        return command


def _order_id(order: Report | OpenOrder | Integer) -> int:
    return order.order_id if isinstance(order, Report | OpenOrder) else integer_of(order, "order_id")
