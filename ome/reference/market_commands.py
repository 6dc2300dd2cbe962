"""Commands about many orders, or none: MassCancel, ExpireOrders, SetLastPrice; and orders that expire by themselves.

Source: docs/RULES.md, A7, T2, T7, S1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ome.enums import CommandFlags, Reason, TimeInForce
from ome.reference.market import Market
from ome.reference.orders import Order
from ome.reference.prices import why_price_refused
from ome.reference.records import Row, cutoff_of, target_session_of
from ome.reference.triggers import look_at_stops

__all__ = ["expire_by_time", "expire_orders", "mass_cancel", "set_last_price"]

BY_ACCOUNT, BY_SESSION, ANY_PARTICIPANT, ON_DISCONNECT = (
    int(flag) for flag in (CommandFlags.BY_ACCOUNT, CommandFlags.BY_SESSION, CommandFlags.ANY_PARTICIPANT, CommandFlags.ON_DISCONNECT)
)
END_OF_DAY, SET_TIME = int(CommandFlags.END_OF_DAY), int(CommandFlags.SET_TIME)
DAY: Final = int(TimeInForce.DAY)


def expire_by_time(market: Market) -> None:
    """T2, T7: before every record, what is over by now is cancelled: by rising deadline, at one deadline by rising order id."""
    while market.deadlines and market.deadlines[0][0] <= market.time_ns:
        market.cancel(market.live[market.deadlines[0][1]], Reason.EXPIRED)


def mass_cancel(market: Market, command: Row) -> None:
    """A7: every live order that matches all that is given is cancelled, by rising order id; then their number."""
    reason = _why_mass_cancel_refused(market, command)
    if reason is not None:
        market.events.reject(command, reason)
        return

    def is_meant(order: Order) -> bool:
        return (
            (command.flags & ANY_PARTICIPANT != 0 or order.participant == command.participant)
            and command.instrument in (0, order.instrument)
            and command.side in (0, order.side)
            and (not command.flags & BY_ACCOUNT or order.account == command.account)
            and (not command.flags & BY_SESSION or order.session == target_session_of(command))
        )

    _cancel_all(market, command, is_meant, Reason.DISCONNECTED if command.flags & ON_DISCONNECT else Reason.MASS_CANCELLED)


def _why_mass_cancel_refused(market: Market, command: Row) -> Reason | None:
    if not market.is_session_known(command):
        return Reason.UNKNOWN_SESSION
    if command.instrument and not market.is_instrument(command.instrument):
        return Reason.UNKNOWN_INSTRUMENT
    if command.side not in (0, 1, 2):
        return Reason.BAD_SIDE
    known = BY_ACCOUNT | BY_SESSION | ANY_PARTICIPANT | (ON_DISCONNECT if market.has_sessions else 0)
    if command.flags & ~known or (command.flags & ANY_PARTICIPANT and command.session):
        return Reason.BAD_FLAGS
    if command.flags & ON_DISCONNECT and command.session_sequence:
        return Reason.BAD_FLAGS
    return None


def expire_orders(market: Market, command: Row) -> None:
    """T7: orders whose deadline is at or before the cutoff, and with END_OF_DAY all DAY orders, are cancelled; then their number.

    T8: with SET_TIME the engine's time becomes the command's first, even where it was later.
    """
    if command.instrument and not market.is_instrument(command.instrument):
        market.events.reject(command, Reason.UNKNOWN_INSTRUMENT)
        return
    if command.flags & ~(END_OF_DAY | SET_TIME):
        market.events.reject(command, Reason.BAD_FLAGS)
        return
    if command.flags & SET_TIME:
        market.time_ns = command.timestamp_ns

    def is_over(order: Order) -> bool:
        is_past_cutoff = 0 < order.deadline_ns <= cutoff_of(command)
        is_of_the_day = order.time_in_force == DAY and command.flags & END_OF_DAY != 0
        return command.instrument in (0, order.instrument) and (is_past_cutoff or is_of_the_day)

    _cancel_all(market, command, is_over, Reason.EXPIRED)


def _cancel_all(market: Market, command: Row, is_meant: Callable[[Order], bool], reason: Reason) -> None:
    """A7: one cancel for each order that is meant, in the order of their ids, and a total."""
    meant = [order for _, order in sorted(market.live.items()) if is_meant(order)]
    for order in meant:
        market.cancel(order, reason)
    market.events.say_completed(command, quantity=len(meant))


def set_last_price(market: Market, command: Row) -> None:
    """S1: a last trade price from outside; stops are looked at as after a trade."""
    if not market.is_instrument(command.instrument):
        market.events.reject(command, Reason.UNKNOWN_INSTRUMENT)
        return
    book = market.books[command.instrument - 1]
    reason = why_price_refused(book.definition, command.price)
    if reason is not None:
        market.events.reject(command, reason)
        return
    market.events.say_completed(command)
    look_at_stops(market, book, [command.price])
