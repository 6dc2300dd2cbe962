"""The market as it was after a command: books, orders in priority, and the hashes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from ome.engine import EngineView
from ome.enums import Side
from ome.errors import InvalidValueError, one_of
from ome.recovery.names import Names
from ome.recovery.snapshots import replay_from_beginning
from ome.recovery.wording import Described, describe_account, describe_order, describe_session

__all__ = ["InstrumentState", "LevelState", "MarketState", "instrument_state", "market_state"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelState:
    """A price level as the market saw it: what is displayed, and by how many orders."""

    price: Decimal
    quantity: Decimal
    order_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentState:
    """An instrument: its levels, best first, and where they were asked for its orders.

    `orders` are those at rest as they would trade, buys then sells, and `waiting` those that wait for a stop price as they would trigger.
    """

    number: int
    symbol: str
    last_price: Decimal | None
    bids: tuple[LevelState, ...]
    asks: tuple[LevelState, ...]
    orders: tuple[Described, ...]
    waiting: tuple[Described, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketState:
    """Everything after command `sequence`; `time_ns` is the latest timestamp so far. `state_hash` and `rules_version` are None before the
    first command. `sessions` are by number, those of every instrument; `accounts` are in the order of their first definitions.

    What came before `begins_behind` is from a snapshot, 0 where all is from the journal.
    """

    begins_behind: int
    sequence: int
    time_ns: int
    trade_count: int
    state_hash: int | None
    event_hash: int
    rules_version: int | None
    sessions: tuple[Described, ...]
    accounts: tuple[Described, ...]
    instruments: tuple[InstrumentState, ...]


def market_state(
    directory: Path,
    *,
    at: int | None = None,
    symbol: str | None = None,
    with_orders: bool = False,
    live: bool = False,
    progress: Callable[[int], None] | None = None,
) -> MarketState:
    """The market after command `at` (None: the last one), of one instrument or of all.

    Raises JournalError, JournalIntegrityError, and InvalidValueError where there is no such command or no such symbol.
    """
    with replay_from_beginning(directory, live=live) as replay:
        replay.run(to=at, progress=progress)
        view = replay.view
        sequence = 0 if view is None else view.sequence
        begin = replay.report.snapshot_sequence
        if at is not None and at != sequence:
            raise InvalidValueError("sequence", where=str(directory), found=at, allowed=f"{begin:,} to {sequence:,}, the last one")
        known = {} if view is None else view.instruments
        if symbol is not None and symbol not in known:
            raise InvalidValueError("instrument", found=symbol, allowed=one_of(known, "none: no instrument is defined"))
        event_hash = replay.report.event_hash
        if view is None:
            return MarketState(
                begins_behind=0,
                sequence=0,
                time_ns=0,
                trade_count=0,
                state_hash=None,
                event_hash=event_hash,
                rules_version=None,
                sessions=(),
                accounts=(),
                instruments=(),
            )
        names, state = Names.of(view), view.state
        chosen = [number for name, (number, _) in known.items() if symbol in (None, name)]
        return MarketState(
            begins_behind=begin,
            sequence=sequence,
            time_ns=state.time_ns,
            trade_count=state.trade_count,
            state_hash=view.state_hash,
            event_hash=event_hash,
            rules_version=view.limits.rules_version,
            sessions=tuple(describe_session(session) for session in view.sessions),
            accounts=tuple(describe_account(account) for account in view.account_owners),
            instruments=tuple(instrument_state(view, number, names, with_orders=with_orders) for number in chosen),
        )


def instrument_state(
    view: EngineView, number: int, names: Names, *, with_orders: bool = False, depth: int | None = None
) -> InstrumentState:
    """One instrument that is defined, with the best `depth` levels of each side (None: all)."""
    instrument = names.instruments[number]

    def levels(side: Side) -> tuple[LevelState, ...]:
        return tuple(
            LevelState(price=instrument.price(price), quantity=instrument.quantity(lots), order_count=count)
            for price, lots, count in view.levels(number, side, depth)
        )

    orders = view.open_orders(number) if with_orders else []
    return InstrumentState(
        number=number,
        symbol=instrument.symbol,
        last_price=view.last_price(number),
        bids=levels(Side.BUY),
        asks=levels(Side.SELL),
        orders=tuple(describe_order(order, names) for order in orders if not order.is_waiting),
        waiting=tuple(describe_order(order, names) for order in orders if order.is_waiting),
    )
