"""Steps of a case as commands: its ids, accounts and symbols become numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ome.codec import amend_order, cancel_order, mass_cancel, reduce_order
from ome.conformance.case_files import Json, order_type_of, symbol_of
from ome.enums import OrderType, SelfTradePrevention, Side, Term, TimeInForce
from ome.messages import (
    Accepted,
    Command,
    MassCancel,
    NewOrder,
    SetLastPrice,
    Terms,
)

__all__ = ["CaseCommands"]

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_TYPES: Final = {
    "limit": OrderType.LIMIT,
    "market": OrderType.MARKET,
    "stop": OrderType.STOP,
    "stop_limit": OrderType.STOP_LIMIT,
}
_WITHOUT_LIMIT: Final = {OrderType.LIMIT: OrderType.MARKET, OrderType.STOP_LIMIT: OrderType.STOP}
_TIMES_IN_FORCE: Final = {
    "gtc": TimeInForce.GTC,
    "day": TimeInForce.DAY,
    "gtd": TimeInForce.GTD,
    "ioc": TimeInForce.IOC,
    "fok": TimeInForce.FOK,
    "fok_budget": TimeInForce.FOK,
}
_TERMS: Final = {
    "stop_price": Term.STOP_PRICE,
    "display_qty": Term.DISPLAY_QUANTITY,
    "min_qty": Term.MINIMUM_QUANTITY,
    "slippage": Term.COLLAR_TICKS,
    "budget": Term.BUDGET,
    "expire_time": Term.EXPIRE_TIME,
}
_FAR_FUTURE: Final = 2**63 - 1


class CaseCommands:
    """What one case calls its orders and accounts, and the commands that its steps mean.

    `instruments` are the numbers of the case's symbols, of which None is that of a case that names none.
    """

    def __init__(self, instruments: Mapping[str | None, int]) -> None:
        self._instruments = instruments
        self._numbers: dict[Json, int] = {}  # client order id by the case's id
        self._names: dict[int, Json] = {}
        self._participants: dict[Json, int] = {None: 1}  # by account
        self._owners: dict[int, int] = {}  # participant by client order id
        self._order_ids: dict[tuple[int, int], int] = {}  # by participant and client order id

    def of_step(self, step: Json) -> list[Command]:
        """The commands, in order, that the step says."""
        match step["op"]:
            case "new":
                return [self._new_order(step)]
            case "mass_cancel":
                return [self._mass_cancel(step)]
            case "set_last":
                given = [self._instruments[symbol_of(step)]] if "symbol" in step else list(self._instruments.values())
                return [SetLastPrice(instrument=instrument, price=step["price"]) for instrument in given]
        return [self._about_order(step)]

    def take(self, command: Command, accepted: Accepted) -> None:
        """Notes whose the order is that the command has made, and its order id."""
        self._owners[accepted.client_order_id] = command.participant
        self._order_ids[command.participant, accepted.client_order_id] = accepted.order_id

    def name_of(self, client_order_id: int) -> Json:
        """What the case calls an order."""
        return self._names[client_order_id]

    def _new_order(self, step: Json) -> NewOrder:
        order_type, time_in_force = _TYPES[order_type_of(step)], step.get("tif", "gtc")
        if time_in_force == "fok_budget":
            order_type = _WITHOUT_LIMIT.get(order_type, order_type)
        terms: Terms = tuple((term, step[key]) for key, term in _TERMS.items() if key in step)
        if time_in_force == "gtd" and "expire_time" not in step:
            terms += ((Term.EXPIRE_TIME, _FAR_FUTURE),)
        return NewOrder(
            participant=self._participant(step.get("acct")),
            instrument=self._instruments[symbol_of(step)],
            client_order_id=self._number(step),
            side=_SIDES[step["side"]],
            order_type=order_type,
            time_in_force=_TIMES_IN_FORCE[time_in_force],
            quantity=step["qty"],
            price=step.get("price", 0),
            post_only=step.get("post_only", False),
            hidden=step.get("hidden", False),
            self_trade_prevention=SelfTradePrevention[step.get("stp", "none").upper()],
            terms=terms,
        )

    def _mass_cancel(self, step: Json) -> MassCancel:
        return mass_cancel(
            participant=self._participant(step["acct"]) if "acct" in step else None,
            instrument=self._instruments[symbol_of(step)] if "symbol" in step else 0,
            side=_SIDES[step["side"]] if "side" in step else None,
        )

    def _about_order(self, step: Json) -> Command:
        """A cancel, a reduce or an amend."""
        number = self._number(step)
        instrument = self._instruments[symbol_of(step)] if "symbol" in step else 0
        participant = self._participant(step["acct"]) if "acct" in step else self._owners.get(number, 1)
        by_order_id = number in self._owners and (participant, number) not in self._order_ids
        if by_order_id:
            number = self._order_ids[self._owners[number], number]
        if step["op"] == "cancel":
            return cancel_order(number, by_order_id=by_order_id, participant=participant, instrument=instrument)
        if step["op"] == "reduce":
            return reduce_order(number, step["qty"], by_order_id=by_order_id, participant=participant, instrument=instrument)
        return amend_order(
            number,
            price=step.get("price"),
            lots=step.get("qty", step.get("total_qty")),
            is_open_quantity="qty" in step,
            stop_price=step.get("stop_price"),
            by_order_id=by_order_id,
            participant=participant,
            instrument=instrument,
        )

    def _number(self, step: Json) -> int:
        number = self._numbers.setdefault(step["id"], len(self._numbers) + 1)
        self._names[number] = step["id"]
        return number

    def _participant(self, account: Json) -> int:
        return self._participants.setdefault(account, len(self._participants) + 1)
