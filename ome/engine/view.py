"""What can be read of a C engine, whoever owns it: an embedded one, a replay's, a venue's that has stopped."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from ome._native import CData, ffi, lib
from ome.codec import SideName, side_of
from ome.engine.accounts import Accounts
from ome.engine.book import Book, book_of, levels_of
from ome.engine.calls import Handle, one_call
from ome.engine.instruments import EngineInstruments
from ome.engine.orders import OpenOrder, OpenOrders
from ome.engine.state import AccountState, EngineState, SessionState, accounts_of, limits_in, sessions_of, state_of
from ome.enums import Side
from ome.errors import InvariantError, NotCopyable, OmeError
from ome.instruments import Instrument
from ome.messages import NULL_VALUE, Limits
from ome.units import Integer, integer_of

__all__ = ["EngineView"]

_REPR_SYMBOLS: Final = 5  # symbols that the text of an engine shows
_UINT16_MAX: Final = 2**16 - 1


class EngineView(NotCopyable):
    """What can be read of a C engine, whoever owns it. An instrument is given by symbol or by number.

    The market: `book`, which everybody may see, and `levels`, the same as integers. The orders: `open_orders`, `orders`, `waiting`,
    `order`, `client_order`. The rest: `instruments`, `last_price`, `sessions`, `account_owners`, `state`, `limits`, `state_hash`, `check`.

    One call at a time: another thread's raises ConcurrentUseError. In a fork of the process every call raises EngineClosedError.
    """

    _use_instead = "the commands, kept as arrays and applied to a new Engine; of a venue its journal or snapshots (ome.recovery.Replay)"

    def __init__(self, pointer: CData) -> None:
        self._handle = Handle(pointer)
        self._holder = self._handle.holder  # for one_call
        self._accounts = Accounts()
        self._instruments = EngineInstruments(self._handle)
        self._orders = OpenOrders(self._handle, self._instruments, self._accounts)

    def __repr__(self) -> str:
        kind = type(self).__name__
        try:
            state, symbols = self.state, list(self.instruments)
        except OmeError as error:
            return f"<{kind}: {error.found}>"
        more = ", ..." if len(symbols) > _REPR_SYMBOLS else ""
        listed = f" ({', '.join(symbols[:_REPR_SYMBOLS])}{more})" if symbols else ""
        return (
            f"<{kind}: {state.instrument_count} instruments{listed}, sequence {state.sequence}, {state.trade_count} trades, "
            f"{state.level_count} levels>"
        )

    @property
    @one_call
    def state(self) -> EngineState:
        """All counts at once."""
        return state_of(self._handle.engine)

    @property
    @one_call
    def limits(self) -> Limits:
        """What the engine was made with."""
        return limits_in(self._handle.engine)

    @property
    def sequence(self) -> int:
        """Records applied: of a command of several records, all of them."""
        return self.state.sequence

    @property
    def trade_count(self) -> int:
        """Trades so far; also the last trade's id."""
        return self.state.trade_count

    @property
    @one_call
    def state_hash(self) -> int:
        """Hash of the whole state, 64 bits; the same on every machine after the same commands. Source: docs/RULES.md, Hashes."""
        return int(lib.ome_engine_state_hash(self._handle.engine))

    @one_call
    def book(self, instrument: str | Integer, depth: Integer | None = None) -> Book:
        """The best `depth` levels (None: all) of both sides, as the market sees them."""
        number = self._instruments.number(instrument)
        return book_of(self._handle.engine, number, self._instruments.by_number[number], depth)

    @one_call
    def levels(self, instrument: str | Integer, side: SideName | Side, depth: Integer | None = None) -> list[tuple[int, int, int]]:
        """The best `depth` levels (None: all) of a side, best first, as integers: price units, lots displayed, orders that display them."""
        number, which = self._instruments.number(instrument), side_of(side)
        return levels_of(self._handle.engine, number, which, depth)

    @one_call
    def open_orders(self, instrument: str | Integer) -> list[OpenOrder]:
        """All orders of an instrument that live: bids and asks as they would trade, then waiting buys and sells as they would trigger."""
        number = self._instruments.number(instrument)
        return [order for find in (self._orders.resting, self._orders.waiting) for side in Side for order in find(number, side)]

    @one_call
    def orders(self, instrument: str | Integer, side: SideName | Side) -> list[OpenOrder]:
        """All orders at rest on a side as they would trade: best price first; at a price the displayed, then the hidden, as they queue."""
        return self._orders.resting(self._instruments.number(instrument), side_of(side))

    @one_call
    def waiting(self, instrument: str | Integer, side: SideName | Side) -> list[OpenOrder]:
        """All orders of a side that wait for their stop price as they would trigger: buys by rising stop price, sells by falling."""
        return self._orders.waiting(self._instruments.number(instrument), side_of(side))

    @one_call
    def order(self, order_id: Integer) -> OpenOrder | None:
        """The order that lives and has this id, or None."""
        return self._orders.by_id(integer_of(order_id, "order_id"))

    @one_call
    def client_order(self, client_order_id: Integer, *, participant: Integer = 0) -> OpenOrder | None:
        """The participant's order that lives and has this client order id, or None."""
        wanted = integer_of(client_order_id, "client_order_id")
        owner = integer_of(participant, "participant", 0, _UINT16_MAX)
        return self._orders.by_client_order_id(owner, wanted)

    @property
    @one_call
    def instruments(self) -> Mapping[str, tuple[int, Instrument]]:
        """Every instrument by symbol, with its number, as they are defined now."""
        return self._instruments.all()

    @one_call
    def last_price(self, instrument: str | Integer) -> Decimal | None:
        """The last trade price of an instrument; None before the first."""
        number = self._instruments.number(instrument)
        found = ffi.new("ome_instrument_view_t *")
        lib.ome_engine_instrument(self._handle.engine, number, found)
        return None if found.last_trade_price == NULL_VALUE else self._instruments.by_number[number].price(int(found.last_trade_price))

    @property
    @one_call
    def sessions(self) -> list[SessionState]:
        """Every session that is defined, by rising number. There may be gaps."""
        return sessions_of(self._handle.engine)

    @one_call
    def participant_reports(self, participant: int) -> int:
        """How many reports all sessions of a participant got since its number was given to its name; 0 for one without sessions."""
        return int(lib.ome_engine_participant_reports(self._handle.engine, participant))

    @property
    @one_call
    def account_owners(self) -> list[AccountState]:
        """Every account that was ever said to belong to a participant, in the order in which that came."""
        return accounts_of(self._handle.engine)

    @one_call
    def check(self) -> None:
        """Walks the whole engine; raises InvariantError when anything in it does not hold. Slow; for tests."""
        wrong = lib.ome_engine_check(self._handle.engine)
        if wrong != ffi.NULL:
            raise InvariantError("engine", found=ffi.string(wrong).decode("ascii"), allowed="every invariant holds")
