"""A running server as a market for conformance runs: commands go over order entry, events come back as reports, books from the feed.

Reports do not say when they are complete, and the feed publishes nothing for a command that changes no level. So each
call ends with an order and its cancel in an instrument of its own, SYNC_INSTRUMENT: when their reports and level
updates have arrived, everything before them has too.

Commands that a client may not send (last prices, expiries, mass cancels of everybody's orders) use the operator's way
in, which the server has in its process. Their own events (COMPLETED) are in no report and do not come back; nor do
events for the feed only (DISPLAYED), nor those of prevented matches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ome.client import MarketData, OrderEntry
from ome.client.reports import Reports
from ome.codec import EVENT, Records, cancel_order, encode_commands
from ome.enums import CommandFlags, CommandKind, EventKind, OrderType, Reason, Side, TimeInForce
from ome.errors import OmeError
from ome.instruments import Instrument
from ome.marketdata import Channel
from ome.messages import NewOrder

__all__ = ["SYNC_INSTRUMENT", "WireMarket", "events_of_reports"]

SYNC_INSTRUMENT: Final = Instrument("~SYNC", tick=1, price_decimals=0)
"""Must be the server's last instrument."""

_TIMEOUT_S: Final = 30.0
_SYNC_ORDER: Final = 2**64 - 1  # its client order id
_STEPS_PER_CALL: Final = 256


class WireMarket:
    """Speaks to a server as participants 1, 2, 3..., each with a session of its own. `close` it.

    The server is fresh: its instruments are those that the run asked for, in the same order, then SYNC_INSTRUMENT. `operator` puts commands
    into its ring, and returns 0 where it did.

    Raises OmeError where it did not, reports or market data do not come within 30 s, or a session ends.
    """

    steps_per_call = _STEPS_PER_CALL

    def __init__(self, orders_endpoint: str, feed_endpoint: str, operator: Callable[[Records], int]) -> None:
        self._orders_endpoint = orders_endpoint
        self._operator = operator
        self._sessions: dict[int, OrderEntry] = {}
        directory = self._session(1).instruments
        self._sync_number = directory.number(SYNC_INSTRUMENT.symbol)
        self._feed = MarketData(feed_endpoint, directory)
        self._feed.subscribe(*directory, channels=(Channel.LEVELS,))
        self._feed.synchronize()
        self._kept: dict[int, list[Reports]] = {}
        self._seek_to = 0

    def close(self) -> None:
        """Logs out and closes."""
        for session in self._sessions.values():
            session.close()
        self._feed.close()

    def apply_records(self, commands: Records) -> Records:
        """Sends the commands and returns their events, made from the reports of all sessions."""
        senders = np.where(_is_for_operator(commands), 0, commands["participant"].astype(np.int64))
        start = 0
        for end in (*(np.flatnonzero(np.diff(senders)) + 1).tolist(), len(commands)):
            if start:
                self._synchronize(max(1, int(senders[start - 1])))
            if senders[start]:
                self._session(int(senders[start])).send(commands[start:end])
            elif status := self._operator(commands[start:end]):
                raise OmeError("operator's command", where=self._orders_endpoint, found=f"status {status}", allowed="a ring with room")
            start = end
        for participant in list(self._sessions):
            self._synchronize(participant)
        reports = [np.concatenate(parts) for parts in self._kept.values()]
        self._kept = {}
        events = events_of_reports(reports, self._sync_number)
        self._seek_to = int(events["sequence"].max(initial=0))
        return events

    def seek(self, sequence: int) -> None:
        """Sets the books to how they were after command `sequence`, which has been applied."""
        self._seek_to = sequence

    def levels(self, instrument: int, side: Side, depth: int | None) -> Sequence[tuple[int, int, int]]:
        """The feed's book after the last command applied, or where `seek` has set it."""
        self._feed.apply_until(self._seek_to)
        return self._feed.levels(instrument, side, depth)

    def _session(self, participant: int) -> OrderEntry:
        while participant not in self._sessions:
            number = len(self._sessions) + 1
            session = OrderEntry(self._orders_endpoint, f"P{number}", timeout=_TIMEOUT_S, reconnect=None)
            self._sessions[number] = session
            if session.logon.participant != number:
                raise OmeError(
                    "participant", where=self._orders_endpoint, found=session.logon.participant, allowed=f"{number}: a fresh server"
                )
        return self._sessions[participant]

    def _synchronize(self, participant: int) -> None:
        """Waits until the session has all its reports, and the feed has published all of their commands."""
        session = self._sessions[participant]
        order = NewOrder(
            client_order_id=_SYNC_ORDER,
            price=participant,
            quantity=1,
            instrument=self._sync_number,
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
        )
        cancel = cancel_order(_SYNC_ORDER, instrument=self._sync_number)
        session.send(encode_commands([order, cancel]))
        parts = self._kept.setdefault(participant, [])
        cancelled_at = 0
        while not cancelled_at:
            reports = session.receive(_TIMEOUT_S)
            if not len(reports):
                raise OmeError("reports", where=self._orders_endpoint, found="none", allowed=f"one within {_TIMEOUT_S} s")
            parts.append(reports)
            mine = reports[(reports["client_order_id"] == _SYNC_ORDER) & (reports["kind"] == EventKind.CANCELLED)]
            cancelled_at = int(mine["engine_sequence"][-1]) if len(mine) else 0
        while not self._is_published(cancelled_at):
            pass

    def _is_published(self, sequence: int) -> bool:
        updates = self._feed.poll(_TIMEOUT_S, apply=False)
        if not updates:
            raise OmeError("market data", where=self._orders_endpoint, found="none", allowed=f"an update within {_TIMEOUT_S} s")
        return any(
            update.instrument == self._sync_number and int(update.messages["engine_sequence"][-1]) >= sequence
            for update in updates
            if len(update.messages)
        )


def _is_for_operator(commands: Records) -> npt.NDArray[np.bool_]:
    """Which of the commands no client may send."""
    kinds = commands["kind"]
    is_everybodys = (kinds == CommandKind.MASS_CANCEL) & (commands["flags"] & int(CommandFlags.ANY_PARTICIPANT) != 0)
    return np.asarray(np.isin(kinds, (CommandKind.SET_LAST_PRICE, CommandKind.EXPIRE_ORDERS)) | is_everybodys)


def _order(said: Reports, last_trades: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
    """The order in which the engine published these. `last_trades` is the last trade that the same session had received
    before each.

    In one command what has expired goes first; then orders are taken, changed or triggered; then they trade; then what is left of them
    rests or is cancelled, after the last of their trades. Orders that one command cancels go by their ids.
    """
    kind, reason = said["kind"], said["reason"]
    is_by_id = np.isin(reason, (Reason.MASS_CANCELLED, Reason.EXPIRED))
    is_remainder = np.isin(kind, (EventKind.CANCELLED, EventKind.REDUCED, EventKind.RESTED))
    phase = np.where(is_by_id, 0, np.where(kind == EventKind.TRADE, 2, np.where(is_remainder, 3, 1)))
    within = np.where(is_by_id, said["order_id"], np.where(phase == 2, said["trade_id"], np.where(phase == 3, last_trades, 0)))
    return np.lexsort((within, phase, said["engine_sequence"]))


def events_of_reports(sessions: Sequence[Reports], sync_number: int) -> Records:
    """The events that these reports, an array for each session, tell of, in the order of the engine."""
    last_trades = np.concatenate([np.maximum.accumulate(reports["trade_id"]) for reports in sessions])
    reports = np.concatenate(sessions)
    kept = (reports["instrument"] != sync_number) & (reports["kind"] != EventKind.PREVENTED)
    reports, last_trades = reports[kept], last_trades[kept]
    is_resting = (reports["kind"] == EventKind.TRADE) & (reports["is_aggressor"] == 0)
    resting = reports[is_resting]
    said = reports[~is_resting]
    said = said[_order(said, last_trades[~is_resting])]
    events = np.zeros(len(said), dtype=EVENT)
    names = {"sequence": "engine_sequence", "reason": "reason"} | {
        name: name for name in ("order_id", "client_order_id", "price", "instrument", "kind", "side", "timestamp_ns", "account")
    }
    for target, source in names.items():
        events[target] = said[source]
    trades = np.flatnonzero(said["kind"] == EventKind.TRADE)
    order = np.argsort(resting["trade_id"])
    found = order[np.searchsorted(resting["trade_id"][order], said["trade_id"][trades])]
    is_about_leaves = np.isin(said["kind"], (EventKind.ACCEPTED, EventKind.AMENDED, EventKind.RESTED))
    events["quantity"] = np.where(is_about_leaves, said["leaves_quantity"], said["last_quantity"])
    # These share their bytes with a trade's timestamp and account, which it does not have.
    for target, source in (("resting_order_id", "order_id"), ("resting_client_order_id", "client_order_id")):
        column = events[target].copy()
        column[trades] = resting[source][found]
        events[target] = column
    return events
