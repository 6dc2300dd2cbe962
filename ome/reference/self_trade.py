"""Self-trade prevention: what happens when an aggressor meets an order of its own group. Source: docs/RULES.md, X1 to X4."""

from __future__ import annotations

from ome.enums import EventKind, Reason, SelfTradePrevention, SelfTradeScope
from ome.reference.market import Market
from ome.reference.orders import Order

__all__ = ["NONE", "is_own_group", "prevent"]

NONE = int(SelfTradePrevention.NONE)


def is_own_group(aggressor: Order, resting: Order) -> bool:
    """X1, X2: whether the two must not trade: there is an instruction, and the resting order is of the aggressor's group."""
    if aggressor.instruction == NONE or aggressor.participant != resting.participant:
        return False
    match aggressor.scope:
        case SelfTradeScope.ACCOUNT:
            return aggressor.account == resting.account
        case SelfTradeScope.GROUP:
            return aggressor.group == resting.group
        case _:
            return True


def prevent(market: Market, aggressor: Order, resting: Order) -> bool:
    """X1, X3, X4: the two met and do not trade: the aggressor's instruction decides. Returns whether the aggressor goes on."""
    quantity = min(aggressor.leaves, resting.leaves)
    market.events.say_prevented(aggressor, resting, quantity)
    match aggressor.instruction:
        case SelfTradePrevention.CANCEL_NEWEST:
            market.cancel_aggressor(aggressor, Reason.SELF_TRADE_PREVENTION)
            return False
        case SelfTradePrevention.CANCEL_OLDEST:
            market.cancel(resting, Reason.SELF_TRADE_PREVENTION)
            return True
        case SelfTradePrevention.CANCEL_BOTH:
            market.cancel(resting, Reason.SELF_TRADE_PREVENTION)
            market.cancel_aggressor(aggressor, Reason.SELF_TRADE_PREVENTION)
            return False
        case _:
            return _decrement(market, aggressor, resting, quantity)


def _decrement(market: Market, aggressor: Order, resting: Order, quantity: int) -> bool:
    """X3: both shrink by the smaller quantity; what reaches zero is cancelled. Returns whether the aggressor goes on."""
    if quantity == resting.leaves:
        market.cancel(resting, Reason.SELF_TRADE_PREVENTION)
    else:
        market.reduce(resting, quantity, Reason.SELF_TRADE_PREVENTION)
    if quantity == aggressor.leaves:
        market.cancel_aggressor(aggressor, Reason.SELF_TRADE_PREVENTION)
        return False
    aggressor.leaves -= quantity
    market.events.say(EventKind.REDUCED, aggressor, quantity, reason=Reason.SELF_TRADE_PREVENTION)
    return True
