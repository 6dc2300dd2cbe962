"""The orders of a session: from what people write to the commands that ask for it, and what an order is known by afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar, Unpack

from ome.attributes import AttributeOptions
from ome.client.directory import InstrumentDirectory
from ome.client.reports import OrderId
from ome.codec.requests import OrderOptions, amend_order, cancel_order, mass_cancel, new_order, reduce_order
from ome.codec.words import SelfTradeName, SelfTradeScopeName, SideName, Time, TimeInForceName
from ome.enums import SelfTradePrevention, SelfTradeScope, Side, TimeInForce
from ome.errors import InvalidTypeError, InvalidValueError, one_of
from ome.instruments import Instrument
from ome.messages import AmendOrder, CancelOrder, MassCancel, NewOrder, ReduceOrder
from ome.units import Integer, Number, integer_of, units_of

__all__ = ["Named", "Order", "Orders", "client_order_id_of"]


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


Named = TypeVar("Named", Order, OrderId, int)
"""An order: as an object, by the engine's order id, or by its client order id."""


class Orders:
    """Makes the commands about orders of these instruments, each with what its sender gets for it.

    New orders and mass cancels are numbered from `next_client_order_id` on where none is given.
    """

    def __init__(self, instruments: InstrumentDirectory) -> None:
        self._instruments = instruments
        self.next_client_order_id = 1

    def new(
        self,
        side: Side,
        symbol: str | Integer,
        quantity: Number,
        at: Number | None = None,
        *,
        tif: TimeInForceName | TimeInForce | None = None,
        expires: Time | None = None,
        post_only: bool = False,
        hidden: bool = False,
        display: Number | None = None,
        minimum: Number | None = None,
        budget: Number | None = None,
        collar_ticks: Integer | None = None,
        stop: Number | None = None,
        trail: Number | None = None,
        trail_percent: Number | None = None,
        limit_offset: Number | None = None,
        self_trade: SelfTradeName | SelfTradePrevention | None = None,
        self_trade_scope: SelfTradeScopeName | SelfTradeScope | None = None,
        self_trade_group: Integer | None = None,
        account: Integer = 0,
        client_order_id: Integer | None = None,
        **attributes: Unpack[AttributeOptions],
    ) -> tuple[NewOrder, Order]:
        """Sends an order to buy or to sell `quantity` at the limit `at`, or at any price (a market order) where that is None.

        `symbol` may be an instrument number. Numbers are Decimal, str, int or integers of numpy.

        How long it lives:
        - `tif`: "gtc" (until cancelled; the default), "day", "gtd" (until `expires`; the default with it), "ioc" (what does not trade at
          once is cancelled), "fok" (all of it at once, or nothing).
        - `expires`: deadline of a "gtd" order, nanoseconds since 1970 or a datetime with a time zone.

        What it does in the book:
        - `post_only`: never takes. `hidden`: not displayed. `display`: an iceberg, which displays so much at a time.
        - `minimum`: so much trades at once, or the order is cancelled whole.
        - `budget`: of a "fok", the highest cost of a buy or the lowest proceeds of a sell, price times quantity.
        - `collar_ticks`: how far from the best opposite price an order without limit may trade, in ticks.

        When it enters the market:
        - `stop`: when the last trade is at this price or past it. Then it is a market order, or with a limit a limit order.
        - `trail`, `trail_percent`: a stop that follows the last trade at this distance, a price or a percentage ("0.01" to "100"). `stop`
          says where it starts, `limit_offset` (a signed price) how far from its stop price its limit will be.

        What happens where it would trade with its own:
        - `self_trade`: "none", "cancel_newest", "cancel_oldest", "cancel_both" or "decrement".
        - `self_trade_scope`: what its own is: "account" (the default), "participant", or "group" (the default with `self_trade_group`, 1 to
          2^32 - 1).

        What the venue must know about it: order attributes such as `capacity` ("agency", "principal", "riskless_principal"), those of
        `ome.attributes.AttributeOptions`. The market keeps and reports them, and does not use them.

        Who it is: `account` is a number; `client_order_id` is made where none is given.

        Raises InvalidTypeError for a float or a bool, InvalidValueError where a value is not allowed.
        """
        number = self._instruments.number(symbol)
        instrument = self._instruments.by_number[number]
        instrument.lots(quantity)
        if at is not None:
            instrument.price_units(at)
        options = OrderOptions(
            tif=tif,
            expires=expires,
            post_only=post_only,
            hidden=hidden,
            display=display,
            minimum=minimum,
            budget=budget,
            collar_ticks=collar_ticks,
            stop=stop,
            trail=trail,
            trail_percent=trail_percent,
            limit_offset=limit_offset,
            self_trade=self_trade,
            self_trade_scope=self_trade_scope,
            self_trade_group=self_trade_group,
            **attributes,
        )
        command = new_order(
            instrument,
            side,
            quantity,
            at,
            options,
            instrument=number,
            account=account,
            client_order_id=self._own_id(client_order_id),
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

    def cancel(self, order: Order | OrderId | Integer, *, symbol: str | Integer | None = None) -> tuple[CancelOrder, None]:
        """Asks to cancel what is left of an order.

        The order is one that `buy`, `sell` or `amend` returned, a client order id, or an OrderId, as reports have it; so it is for `reduce`
        and `amend`. With an id, `symbol` may say which instrument it must be of. Raises InvalidTypeError for anything else.
        """
        number, is_by_order_id, instrument = self._find(order, symbol)
        return cancel_order(number, by_order_id=is_by_order_id, instrument=instrument), None

    def reduce(
        self, order: Order | OrderId | Integer, quantity: Number, *, symbol: str | Integer | None = None
    ) -> tuple[ReduceOrder, None]:
        """Asks to take `quantity` off an order, which keeps its place in the queue. An order given by an id needs its `symbol`."""
        number, is_by_order_id, instrument = self._find(order, symbol)
        lots = self._instrument(instrument).lots(quantity)
        return reduce_order(number, lots, by_order_id=is_by_order_id, instrument=instrument), None

    def amend(
        self,
        order: Named,
        at: Number | None = None,
        quantity: Number | None = None,
        open_quantity: Number | None = None,
        *,
        stop: Number | None = None,
        limit_offset: Number | None = None,
        client_order_id: Integer | None = None,
        symbol: str | Integer | None = None,
    ) -> tuple[AmendOrder, Named]:
        """Asks for a new price, and for a new total `quantity` (with what has traded) or a new `open_quantity`. None leaves it as it is.

        While it waits, a stop takes a new price `stop`, and a trailing stop with a limit a new `limit_offset`. `client_order_id` is the id
        that the order has from then on (cancel-replace): what is returned has it. An order given by an id needs its `symbol`.
        Raises InvalidValueError where two exclude each other, else as `buy`.
        """
        if quantity is not None and open_quantity is not None:
            raise InvalidValueError("quantity and open_quantity", where="amend", found=(quantity, open_quantity), allowed="one of them")
        if at is not None and limit_offset is not None:
            raise InvalidValueError("at and limit_offset", where="amend", found=(at, limit_offset), allowed="one of them")
        number, is_by_order_id, instrument_number = self._find(order, symbol)
        instrument = self._instrument(instrument_number)
        wanted = quantity if open_quantity is None else open_quantity
        price = None if at is None else instrument.price_units(at)
        if limit_offset is not None:
            price = units_of(limit_offset, instrument.price_decimals, "limit_offset")
        command = amend_order(
            number,
            price=price,
            lots=None if wanted is None else instrument.lots(wanted),
            is_open_quantity=open_quantity is not None,
            stop_price=None if stop is None else instrument.price_units(stop),
            new_client_order_id=client_order_id,
            by_order_id=is_by_order_id,
            instrument=instrument_number,
        )
        if client_order_id is None or isinstance(order, OrderId):
            return command, order
        if isinstance(order, Order):
            return command, replace(order, client_order_id=int(client_order_id))
        return command, int(client_order_id)

    def mass_cancel(
        self,
        symbol: str | Integer | None = None,
        side: SideName | Side | None = None,
        *,
        account: Integer | None = None,
        session: Integer | None = None,
        client_order_id: Integer | None = None,
    ) -> tuple[MassCancel, int]:
        """Asks to cancel all orders of the participant, waiting ones included: those of an instrument, a side, an account where given.

        `session` means those that came by that one of its sessions, by the number in its `logon`. Each order is reported to its session,
        and at the end COMPLETED with their number. COMPLETED has the client order id that is returned: the one given, or one that is made.
        """
        number = 0 if symbol is None else self._instruments.number(symbol)
        own_id = self._own_id(client_order_id)
        return mass_cancel(instrument=number, side=side, account=account, session=session, client_order_id=own_id), int(own_id)

    def _own_id(self, client_order_id: Integer | None) -> Integer:
        if client_order_id is not None:
            return client_order_id
        self.next_client_order_id += 1
        return self.next_client_order_id - 1

    def _find(self, order: object, symbol: str | Integer | None) -> tuple[int, bool, int]:
        """The id of an order, whether it is the engine's, and the number of its instrument, 0 where that is not known."""
        number = 0 if symbol is None else self._instruments.number(symbol)
        if not isinstance(order, Order):
            return _id_of(order), isinstance(order, OrderId), number
        own = self._instruments.number(order.symbol)
        if number not in (0, own):
            raise InvalidValueError("symbol", where=f"order of {order.symbol}", found=symbol, allowed=f"{order.symbol}, or None")
        return order.client_order_id, False, own

    def _instrument(self, number: int) -> Instrument:
        if number == 0:
            allowed = f"{one_of(self._instruments, 'none is defined')}: an order given by an id needs it"
            raise InvalidValueError("symbol", found=None, allowed=allowed)
        return self._instruments.by_number[number]


def client_order_id_of(order: object) -> int:
    """The client order id of an order given itself or by that id. Raises InvalidTypeError for anything else, also for an OrderId."""
    if isinstance(order, OrderId):
        raise InvalidTypeError("order", found=order, allowed="an Order or a client order id: reports are found by these")
    return order.client_order_id if isinstance(order, Order) else _id_of(order)


def _id_of(order: object) -> int:
    """An id as it is given."""
    try:
        return integer_of(order, "order")  # type: ignore[arg-type]
    except InvalidTypeError:
        allowed = "an Order, as `buy` and `sell` return it, a client order id, or an OrderId"
        raise InvalidTypeError("order", found=order, allowed=allowed) from None
