"""A client that trades and keeps ledgers, in a process of its own: it may be stopped, killed and begun again, and goes on.

It has one or more sessions, and trades at random on `go` until a word comes in; or drop copies, and listens. Its words, beside `go`, are
answered:

- `settle`: waits until every command is answered.
- `leave`: logs out.
- `return`: logs on again, and waits for the last report that the venue says there is.
- `end`: listens until the venue is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from ledgers import Ledger, SessionName
from processes import ClientProcess, is_asked

from ome.client import AsyncOrderEntry, DropCopy, OrderEntry, SessionLost, TimedOut
from ome.codec import Records, amend_order, cancel_order, encode_commands, mass_cancel, reduce_order
from ome.enums import EventKind, OrderType, SelfTradePrevention, SelfTradeScope, Side, Term, TimeInForce
from ome.errors import OmeError
from ome.messages import NULL_VALUE, Command, NewOrder
from ome.transport import EndpointError

HEARTBEAT_S: Final = 0.25
BOUND_S: Final = 60.0
"""No wait is longer; it is many times what the slowest takes."""
INSTRUMENTS: Final = {1: (1, 100), 2: (5, 200), 3: (1, 50)}  # by number: its tick, and the price around which orders come
_PENDING_MAX: Final = 200
_PAUSES_S: Final = (0.0, 0.005, 0.01, 0.02, 0.05)
_TURN_S: Final = 0.005
_SPREAD_TICKS: Final = 8
_ABOUT_NO_ORDER: Final = (EventKind.REJECTED, EventKind.COMPLETED, EventKind.ATTRIBUTES)


class Flow:
    """The random commands of a session, mostly about orders that it has."""

    def __init__(self, generator: random.Random, first_id: int) -> None:
        self._random = generator
        self._next_id = first_id
        self._orders: dict[int, tuple[int, int]] = {}  # by order id: client order id and instrument
        self.session = 0

    def note(self, reports: npt.NDArray[np.void]) -> None:
        """What became of its orders."""
        names = ("kind", "order_id", "client_order_id", "instrument", "leaves_quantity")
        for kind, order_id, client_order_id, instrument, leaves in zip(*(reports[name].tolist() for name in names), strict=True):
            if kind in _ABOUT_NO_ORDER:
                continue
            if leaves:
                self._orders[order_id] = (client_order_id, instrument)
            else:
                self._orders.pop(order_id, None)

    def commands(self) -> list[Command]:
        """Some."""
        return [self._command() for _ in range(self._random.choice((1, 1, 2, 3, 8, 20)))]

    def _command(self) -> Command:
        roll = self._random.random()
        if roll < 0.02:
            return self._mass_cancel()
        return self._change() if roll < 0.35 and self._orders else self._new_order()

    def _own_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def _price(self, instrument: int) -> int:
        tick, middle = INSTRUMENTS[instrument]
        return middle + tick * self._random.randint(-_SPREAD_TICKS, _SPREAD_TICKS)

    def _mass_cancel(self) -> Command:
        draw = self._random
        return mass_cancel(
            instrument=draw.choice((0, *INSTRUMENTS)),
            side=draw.choice((None, Side.BUY, Side.SELL)),
            account=draw.choice((None, None, 1)),
            session=draw.choice((None, self.session)),
            client_order_id=self._own_id(),
        )

    def _change(self) -> Command:
        """A cancel, a reduction, an amend or a cancel-replace, by either id."""
        draw = self._random
        order_id = draw.choice(list(self._orders))
        client_order_id, instrument = self._orders[order_id]
        by_order_id = draw.random() < 0.5
        number = order_id if by_order_id else client_order_id
        roll = draw.random()
        if roll < 0.5:
            return cancel_order(number, by_order_id=by_order_id)
        if roll < 0.7:
            return reduce_order(number, draw.randint(1, 12), by_order_id=by_order_id)
        return amend_order(
            number,
            price=draw.choice((NULL_VALUE, self._price(instrument))),
            lots=draw.choice((NULL_VALUE, draw.randint(1, 30))),
            is_open_quantity=draw.random() < 0.3,
            new_client_order_id=self._own_id() if draw.random() < 0.3 else None,
            by_order_id=by_order_id,
        )

    def _new_order(self) -> Command:
        draw = self._random
        instrument = draw.choice(list(INSTRUMENTS))
        tick = INSTRUMENTS[instrument][0]
        order_type = draw.choices(list(OrderType), (70, 8, 6, 6, 5, 5))[0]
        time_in_force = draw.choices(list(TimeInForce), (70, 10, 5, 5, 10))[0]
        prevention = draw.choice(list(SelfTradePrevention)) if draw.random() < 0.2 else SelfTradePrevention.NONE
        terms: list[tuple[Term, int]] = []
        if order_type in (OrderType.STOP, OrderType.STOP_LIMIT):
            terms.append((Term.STOP_PRICE, self._price(instrument)))
        if order_type in (OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT):
            terms.append((Term.TRAIL_AMOUNT, tick * draw.randint(1, 4)))
        if time_in_force is TimeInForce.GTD:
            terms.append((Term.EXPIRE_TIME, time.time_ns() + draw.randint(-(10**8), 10**9)))
        for term, highest in ((Term.DISPLAY_QUANTITY, 8), (Term.MINIMUM_QUANTITY, 8), (Term.CAPACITY, 3), (Term.ALGO_ID, 99)):
            if draw.random() < 0.06:
                terms.append((term, draw.randint(1, highest)))
        has_distance = order_type is OrderType.TRAILING_STOP_LIMIT
        return NewOrder(
            instrument=instrument if draw.random() < 0.99 else 9,
            client_order_id=self._own_id(),
            side=draw.choice((Side.BUY, Side.SELL)),
            price=tick * draw.randint(-2, 2) if has_distance else self._price(instrument),
            quantity=draw.choice((0, *range(1, 30))),
            account=draw.randint(0, 2),
            order_type=order_type,
            time_in_force=time_in_force,
            post_only=draw.random() < 0.05,
            hidden=draw.random() < 0.05,
            self_trade_prevention=prevention,
            self_trade_scope=SelfTradeScope.PARTICIPANT if prevention and draw.random() < 0.5 else SelfTradeScope.ACCOUNT,
            terms=tuple(terms),
        )


class Trader:
    """One session: what both kinds of order entry share. Its ledger says where it was."""

    def __init__(self, given: argparse.Namespace, session: str, index: int) -> None:
        self.name = SessionName.of(session)
        self.ledger = Ledger(given.directory, self.name)
        past = self.ledger.open()
        self.random = random.Random(f"{given.seed} {session} {self.ledger.commands_sent}")
        self.flow = Flow(self.random, index << 32 | self.ledger.commands_sent << 8)
        self.flow.note(past)
        self._due = 0.0  # when it sends again
        self._options: dict[str, Any] = {
            "endpoint": given.orders,
            "participant": self.name.participant,
            "session_number": self.name.number,
            "timeout": BOUND_S / 2,
            "liveness": 2.0,
            "heartbeat": HEARTBEAT_S,
            "cancel_on_disconnect": session.split(":")[2],
        }

    def options(self, *, returns: bool = True) -> dict[str, Any]:
        """Of an order entry that goes on where the ledger ends. The last one only listens, and may be late without any harm."""
        own = {"reconnect": BOUND_S} if returns else {"reconnect": None, "heartbeat": None, "cancel_on_disconnect": "never"}
        return self._options | {"next_report": self.ledger.last + 1} | own

    def log_on(self, *, returns: bool) -> OrderEntry:
        """An order entry that waits for what it does."""
        return OrderEntry(**self.options(returns=returns))

    def begin(self, entry: OrderEntry | AsyncOrderEntry) -> None:
        """The first logon was answered."""
        self.flow.session = entry.logon.session
        self.ledger.begin_sending(entry.logon.command_sequence)

    def take(self, reports: npt.NDArray[np.void]) -> None:
        """Writes down what was received, before anything is done with it."""
        self.ledger.take(reports)
        self.flow.note(reports)

    def commands(self, entry: OrderEntry | AsyncOrderEntry) -> Records | None:
        """What to send now, written down; or None. Seldom while there is no connection: the call waits for it."""
        is_moment = entry.pending < _PENDING_MAX and (entry.is_connected or self.random.random() < 0.01)
        if not is_moment or time.monotonic() < self._due:
            return None
        self._due = time.monotonic() + self.random.choice(_PAUSES_S)
        commands = encode_commands(self.flow.commands())
        self.ledger.note_sent(commands)
        return commands

    def pause(self) -> float:
        """Seconds until the next commands, but few: a client has other sessions, too."""
        return min(max(0.0, self._due - time.monotonic()), _TURN_S)

    def messages_per_frame(self) -> int | None:
        """None: as many as there can be."""
        return self.random.choice((None, None, 5))

    def counted(self, entry: OrderEntry | AsyncOrderEntry) -> dict[str, int]:
        """What the session was."""
        return {"logons": entry.logon_count, "commands": self.ledger.commands_sent, "reports": self.ledger.last}


class Listener:
    """One drop copy, in the place of a trader."""

    def __init__(self, given: argparse.Namespace, copy: str) -> None:
        self.name = SessionName.of(copy)
        self.ledger = Ledger(given.directory, self.name)
        self.ledger.open()
        self._options: dict[str, Any] = {
            "endpoint": given.orders,
            "participant": self.name.participant,
            "timeout": BOUND_S / 2,
            "liveness": 2.0,
            "heartbeat": HEARTBEAT_S,
        }

    def log_on(self, *, returns: bool) -> DropCopy:
        """Goes on where the ledger ends; an empty one begins with the first report that there ever was."""
        own = {"reconnect": BOUND_S} if returns else {"reconnect": None, "heartbeat": None}
        return DropCopy(**(self._options | {"next_report": self.ledger.last + 1} | own))

    def take(self, reports: npt.NDArray[np.void]) -> None:
        """Writes down what was received."""
        self.ledger.take(reports)


class Due:
    """A wait that is bounded."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._end = time.monotonic() + BOUND_S

    def check(self, state: str) -> None:
        """Raises TimedOut where it has lasted too long."""
        if time.monotonic() > self._end:
            raise TimedOut(self._what, found=state, allowed=f"it within {BOUND_S} s")


class SyncClient:
    """Sessions of OrderEntry, in turn."""

    def __init__(self, traders: list[Any]) -> None:
        self._traders = traders
        self._entries: dict[Any, Any] = {}

    def _log_on(self, trader: Any, *, returns: bool = True) -> Any:
        due = Due(f"first logon of {trader.name}")
        while True:
            try:
                entry = self._entries[trader] = trader.log_on(returns=returns)
            except (SessionLost, TimedOut, EndpointError) as error:
                due.check(str(error))
                time.sleep(0.05)
            else:
                return entry

    def go(self) -> None:
        """Trades until a word comes in."""
        for trader in self._traders:
            trader.begin(self._log_on(trader))
        while not is_asked():
            for trader, entry in self._entries.items():
                commands = trader.commands(entry)
                if commands is not None:
                    entry.send(commands, trader.messages_per_frame())
                trader.take(entry.receive(trader.pause()))

    def settle(self) -> dict[str, Any]:
        """Waits for the answers, of all sessions in turn, so that none is silent meanwhile."""
        due = Due("answers")
        while any(entry.pending for entry in self._entries.values()):
            for trader, entry in self._entries.items():
                trader.take(entry.receive(0.02))
                due.check(f"{trader.name} has {entry.pending} commands without one")
        return {str(trader.name): trader.counted(entry) for trader, entry in self._entries.items()}

    def leave(self) -> dict[str, Any]:
        """Logs out, and takes what came until then."""
        for trader, entry in self._entries.items():
            entry.close()
            with contextlib.suppress(SessionLost):
                while len(reports := entry.receive(0.0)):
                    trader.take(reports)
        return {}

    def come_back(self) -> dict[str, Any]:
        """A new logon, and what the answer says that there is."""
        for trader in self._traders:
            entry = self._log_on(trader, returns=False)
            due = Due(f"{trader.name}: report {entry.logon.report_sequence}")
            while trader.ledger.last < entry.logon.report_sequence:
                trader.take(entry.receive(0.2))
                due.check(f"report {trader.ledger.last}")
        return {}

    def end(self) -> dict[str, Any]:
        """Listens until the venue is gone."""
        due = Due("the end of the venue")
        for trader, entry in self._entries.items():
            with contextlib.suppress(SessionLost):
                while True:
                    trader.take(entry.receive(0.1))
                    due.check("it is there")
        return {}


class CopyClient(SyncClient):
    """Drop copies, each a Listener."""

    def go(self) -> None:
        """Listens until a word comes in."""
        for listener in self._traders:
            self._log_on(listener)
        while not is_asked():
            for listener, copy in self._entries.items():
                listener.take(copy.receive(_TURN_S))

    def settle(self) -> dict[str, Any]:
        """It waits for no answers."""
        return {str(one.name): {"logons": copy.logon_count, "reports": one.ledger.last} for one, copy in self._entries.items()}


class AsyncClient:
    """Sessions of AsyncOrderEntry, each with a task of its own. The loop keeps them alive, whatever they do."""

    def __init__(self, traders: list[Trader]) -> None:
        self._traders = traders
        self._entries: dict[Trader, AsyncOrderEntry] = {}
        self._loop = asyncio.new_event_loop()

    def go(self) -> None:
        """Trades until a word comes in."""
        self._run(self._trade)

    def settle(self) -> dict[str, Any]:
        """Waits for the answers."""
        self._run(self._settle)
        return {str(trader.name): trader.counted(entry) for trader, entry in self._entries.items()}

    def leave(self) -> dict[str, Any]:
        """Logs out, and takes what came until then."""
        self._run(self._leave)
        return {}

    def come_back(self) -> dict[str, Any]:
        """A new logon, and what the answer says that there is."""
        self._run(self._return)
        return {}

    def end(self) -> dict[str, Any]:
        """Listens until the venue is gone."""
        self._run(self._end)
        return {}

    def _run(self, act: Any) -> None:
        """Does the same for all sessions, side by side."""

        async def run() -> None:
            await asyncio.gather(*(act(trader) for trader in self._traders))

        self._loop.run_until_complete(run())

    async def _log_on(self, trader: Trader, *, returns: bool = True) -> AsyncOrderEntry:
        due = Due(f"first logon of {trader.name}")
        while True:
            entry = self._entries[trader] = AsyncOrderEntry(**trader.options(returns=returns))
            try:
                await entry.open()
            except (SessionLost, TimedOut, EndpointError) as error:
                due.check(str(error))
                await asyncio.sleep(0.05)
            else:
                return entry

    async def _trade(self, trader: Trader) -> None:
        entry = await self._log_on(trader)
        trader.begin(entry)
        while not is_asked():
            commands = trader.commands(entry)
            if commands is not None:
                await entry.send(commands, trader.messages_per_frame())
            trader.take(await entry.receive(trader.pause()))
            await asyncio.sleep(0)

    async def _settle(self, trader: Trader) -> None:
        entry, due = self._entries[trader], Due("answers")
        while entry.pending:
            trader.take(await entry.receive(0.1))
            due.check(f"{trader.name} has {entry.pending} commands without one")

    async def _leave(self, trader: Trader) -> None:
        entry = self._entries[trader]
        await entry.close()
        with contextlib.suppress(SessionLost):
            while len(reports := await entry.receive(0.0)):
                trader.take(reports)

    async def _return(self, trader: Trader) -> None:
        entry = await self._log_on(trader, returns=False)
        due = Due(f"{trader.name}: report {entry.logon.report_sequence}")
        while trader.ledger.last < entry.logon.report_sequence:
            trader.take(await entry.receive(0.2))
            due.check(f"report {trader.ledger.last}")

    async def _end(self, trader: Trader) -> None:
        due = Due("the end of the venue")
        with contextlib.suppress(SessionLost):
            while True:
                trader.take(await self._entries[trader].receive(0.1))
                due.check("it is there")


def trader_process(kind: str, endpoint: str, directory: Path, seed: str, sessions: list[str], first: int) -> ClientProcess:
    """Such a client in a process of its own. A session is PARTICIPANT:NUMBER:CHOICE, the choice that of cancel on disconnect;
    a drop copy PARTICIPANT:WORD.

    `first` is the number of its first session among all: their client order ids must differ.
    """
    options = [kind, endpoint, str(directory), "--seed", seed, "--first", str(first), *sessions]
    return ClientProcess(f"the client of {', '.join(sessions)}", [sys.executable, __file__, *options])


def _client(given: argparse.Namespace) -> SyncClient | AsyncClient:
    if given.kind == "copy":
        return CopyClient([Listener(given, copy) for copy in given.sessions])
    traders = [Trader(given, session, given.first + index) for index, session in enumerate(given.sessions)]
    return SyncClient(traders) if given.kind == "sync" else AsyncClient(traders)


def main() -> int:
    """One client, asked on standard input."""
    parser = argparse.ArgumentParser(description="One client that keeps ledgers.")
    parser.add_argument("kind", choices=("sync", "async", "copy"))
    parser.add_argument("orders")
    parser.add_argument("directory", type=Path)
    parser.add_argument("sessions", nargs="+")
    parser.add_argument("--seed", required=True)
    parser.add_argument("--first", type=int, required=True)
    given = parser.parse_args()
    try:
        client = _client(given)
        words = {"settle": client.settle, "leave": client.leave, "return": client.come_back, "end": client.end}
        print(json.dumps({"ready": True}), flush=True)
        with open(0, "rb", buffering=0, closefd=False) as asked:  # not buffered: select must see what is not read yet
            for word in iter(asked.readline, b""):
                if word.strip() == b"go":
                    client.go()
                else:
                    print(json.dumps(words[word.decode().strip()]()), flush=True)
    except OmeError as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
