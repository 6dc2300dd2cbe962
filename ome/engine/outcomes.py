"""From the events of a command to what became of it: the report of its order, or its completion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ome._native import ffi, lib
from ome.engine.accounts import Accounts
from ome.engine.calls import Handle
from ome.engine.instruments import EngineInstruments
from ome.engine.reports import Completion, Prevented, Report, Trade
from ome.enums import Reason, Side
from ome.messages import (
    Cancelled,
    Completed,
    Displayed,
    Event,
    OrderEvent,
    Prevented as PreventedEvent,
    Rejected,
    Trade as TradeEvent,
    Triggered,
)
from ome.units import number_of

__all__ = ["Outcomes"]


class Outcomes:
    """Reads the events of the last command, and asks its engine what the order has become and whose the other one is."""

    def __init__(self, handle: Handle, instruments: EngineInstruments, accounts: Accounts) -> None:
        self._handle = handle
        self._instruments = instruments
        self._accounts = accounts

    def report(self, events: Sequence[Event]) -> Report:
        """Of the last command, which was about one order and gave these events."""
        start = next(index for index, event in enumerate(events) if _is_about_the_command(event))
        first, ours = events[start], events[start:]
        assert isinstance(first, OrderEvent | Rejected), "the first event of an order command is about its order"
        return self._told(first, ours, self._triggered(ours), events)

    def completion(self, events: Sequence[Event]) -> Completion:
        """Of the last command, which was about many orders, or none, and gave these events."""
        place, last = next(
            (index, event) for index, event in enumerate(events) if isinstance(event, Completed | Rejected) and _is_about_the_command(event)
        )
        cancelled = [event for event in events[:place] if isinstance(event, Cancelled)]
        # Before those that it names stand those whose deadline had passed anyway.
        cancelled = cancelled[len(cancelled) - last.quantity :] if isinstance(last, Completed) else []
        return Completion(
            accepted=isinstance(last, Completed),
            reason=Reason(last.reason),
            order_ids=tuple(event.order_id for event in cancelled),
            cancelled=self._sum(cancelled),
            triggered=self._triggered(events[place:]),
            events=tuple(events),
        )

    def _sum(self, events: Sequence[Cancelled]) -> Decimal:
        """The quantities together, also of instruments with different decimals."""
        quantities = [(event.quantity, self._decimals(event.instrument)) for event in events]
        most = max((decimals for _, decimals in quantities), default=0)
        return number_of(sum(lots * 10 ** (most - decimals) for lots, decimals in quantities), most)

    def _decimals(self, number: int) -> int:
        instrument = self._instruments.find(number)
        return 0 if instrument is None else instrument.quantity_decimals

    def _triggered(self, events: Sequence[Event]) -> tuple[Report, ...]:
        return tuple(self._told(event, events[index:], (), events) for index, event in enumerate(events) if isinstance(event, Triggered))

    def _told(
        self, first: OrderEvent | Rejected, events: Sequence[Event], triggered: tuple[Report, ...], everything: Sequence[Event]
    ) -> Report:
        """What these events say of the order that the first is about."""
        order_id = first.order_id
        trades, prevented, cancelled_lots, reason = [], [], 0, Reason(first.reason)
        accounts: dict[int, int] = {}  # of orders that events told of
        for event in events:
            if isinstance(event, OrderEvent):
                accounts[event.order_id] = event.account
            if isinstance(event, TradeEvent) and order_id in (event.order_id, event.resting_order_id):
                trades.append(Trade(**self._pair(event, accounts)))
            elif isinstance(event, PreventedEvent) and order_id in (event.order_id, event.resting_order_id):
                prevented.append(Prevented(**self._pair(event, accounts)))
            elif isinstance(event, Cancelled) and event.order_id == order_id:
                cancelled_lots += event.quantity
                reason = Reason(event.reason)
        live = ffi.new("ome_order_view_t *")  # all zeros where the order does not live
        lib.ome_engine_order(self._handle.engine, order_id, live)
        instrument = self._instruments.find(first.instrument) if first.instrument else None  # a refused command may have named none
        decimals = 0 if instrument is None else instrument.quantity_decimals
        return Report(
            order_id=order_id,
            client_order_id=first.client_order_id,
            symbol="" if instrument is None else instrument.symbol,
            accepted=not isinstance(first, Rejected),
            reason=reason,
            trades=tuple(trades),
            prevented=tuple(prevented),
            cancelled=number_of(cancelled_lots, decimals),
            resting=number_of(0 if live.is_waiting else live.leaves_quantity, decimals),
            displayed=number_of(live.displayed_quantity, decimals),
            waiting=number_of(live.leaves_quantity if live.is_waiting else 0, decimals),
            triggered=triggered,
            events=tuple(everything),
        )

    def _pair(self, event: TradeEvent | PreventedEvent, accounts: Mapping[int, int]) -> dict[str, Any]:
        """The fields of a Trade or Prevented. `accounts` has the aggressor's, which an event of the same command told."""
        instrument = self._instruments.by_number[event.instrument]
        resting = ffi.new("uint32_t *")
        status = lib.ome_engine_account(self._handle.engine, event.resting_order_id, resting)
        assert status == lib.OME_OK, "no order came after the last command"
        return {
            "symbol": instrument.symbol,
            "side": Side(event.side),
            "price": instrument.price(event.price),
            "quantity": instrument.quantity(event.quantity),
            "order_id": event.order_id,
            "client_order_id": event.client_order_id,
            "account": self._accounts.name(accounts[event.order_id]),
            "resting_order_id": event.resting_order_id,
            "resting_client_order_id": event.resting_client_order_id,
            "resting_account": self._accounts.name(resting[0]),
        }


def _is_about_the_command(event: Event) -> bool:
    """False for what happens before every command: orders whose time is over, and a command whose terms never came."""
    if isinstance(event, Displayed):  # comes before what it is about
        return False
    if isinstance(event, Cancelled):
        return event.reason != Reason.EXPIRED
    return not (isinstance(event, Rejected) and event.reason == Reason.INCOMPLETE_COMMAND)
