"""A venue that is killed under load, again and again: what it said is true, and what it took is there.

Two clients trade over ZeroMQ; the process gets SIGKILL at a random moment. After each kill the journal is read and given to the reference;
from its events follow the reports that each session had to get. Then must hold:

- What a client heard is, report by report, the beginning of what it had to hear: nothing that was said is lost, changed or out of order.
  After the restart it gets the rest, under the numbers that follow.
- What the journal holds of a client is, command by command, the beginning of what it sent: nothing twice, nothing invented.
- The client's own ledger, kept from the reports alone and continued with those that the kill swallowed, is the book: every order that it
  was told of is at rest with exactly those leaves.
- No order id and no trade id is used twice; replay, restarted server and reference have the same state hash.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from venues import LIMITS, VenueProcess, config_file, journal_commands

from ome.client import FrameRejected, OrderEntry, OrdersRefused, SessionLost
from ome.codec import Records, amend_order, cancel_order, decode_events, encode_commands, record_bytes, reduce_order
from ome.engine import OpenOrder
from ome.enums import CommandKind, EventFlags, EventKind, OrderType, Reason, Side, TimeInForce
from ome.errors import OmeError
from ome.instruments import Instrument
from ome.messages import NULL_VALUE, Command, Defined, NewOrder, OrderEvent, Rejected, Trade
from ome.recovery import Replay
from ome.reference import ReferenceEngine
from ome.units import units_of

INSTRUMENTS = (1, 2)
TICKS = {1: 1, 2: 5}
PENDING_MAX = 400
SECONDS = 0.6
MOMENT_S = 0.5  # many times the 10 ms within which `async` writes


class Lost(AssertionError):  # noqa: N818
    """Something that a client was told is not so."""


def must(condition: bool, what: str) -> None:
    """Raises Lost unless the condition holds."""
    if not condition:
        raise Lost(what)


class Said(NamedTuple):
    """An execution report, as far as it can be foretold."""

    report_sequence: int
    engine_sequence: int
    timestamp_ns: int
    kind: int
    order_id: int
    client_order_id: int
    price: int
    last_quantity: int
    leaves_quantity: int
    cumulative_quantity: int
    trade_id: int
    instrument: int
    account: int
    side: int
    reason: int
    is_aggressor: int


class Resting(NamedTuple):
    """An order at rest."""

    price: int
    leaves_quantity: int
    cumulative_quantity: int
    side: int
    client_order_id: int


def _resting(order: OpenOrder, instrument: Instrument) -> Resting:
    """In price units and lots, as in reports on the wire."""
    assert order.price is not None, "an order at rest has a limit"
    leaves, cumulative = (units_of(value, instrument.quantity_decimals) for value in (order.leaves_quantity, order.cumulative_quantity))
    return Resting(instrument.price_units(order.price), leaves, cumulative, order.side, order.client_order_id)


class Ledger:
    """What a client knows of its orders, from its reports alone."""

    def __init__(self) -> None:
        self.orders: dict[int, Resting] = {}

    def hear(self, said: Said) -> None:
        """One report more."""
        if said.kind == EventKind.REJECTED:
            return
        known = self.orders.get(said.order_id)
        price = known.price if said.kind == EventKind.TRADE and known is not None else said.price
        self.orders[said.order_id] = Resting(price, said.leaves_quantity, said.cumulative_quantity, said.side, said.client_order_id)
        if said.leaves_quantity == 0:
            del self.orders[said.order_id]


class Trader:
    """A client: sends random commands, and keeps all that it sent and heard. Outlives the connections that it makes."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.ledger = Ledger()
        self.heard: list[Said] = []  # in this epoch
        self.sent: list[Records] = []  # in this epoch
        self.refused: set[int] = set()  # in this epoch: client order ids of orders that were not sequenced, since storage was low
        self.missed: list[Said] = []  # what it had to hear of the last epoch, and did not
        self.taken = 0  # of its commands, in the journal
        self.accepted_ids: Counter[int] = Counter()  # in all epochs
        self.trades: dict[int, list[tuple[int, int, int]]] = defaultdict(list)  # by trade id: engine sequence, price, quantity
        self._random = random.Random(seed)
        self._next_id = seed << 32
        self._entry: OrderEntry | None = None
        self._last_heard = 0
        self.session = 0
        self.participant = 0

    @property
    def entry(self) -> OrderEntry:
        """The connection."""
        assert self._entry is not None, "it is connected"
        return self._entry

    def connect(self, endpoint: str, *, reconnect: float | None = None) -> None:
        """A new epoch, in which it first gets what it has missed."""
        self._entry = OrderEntry(endpoint, self.name, timeout=20.0, reconnect=reconnect, next_report=self._last_heard + 1)
        logon = self.entry.logon
        self.session, self.participant = logon.session, logon.participant
        must(logon.command_sequence == self.taken, f"{self.name}: {self.taken} commands are in the journal, the logon says {logon}")
        must(
            logon.report_sequence == self._last_heard + len(self.missed),
            f"{self.name} has heard {self._last_heard} reports and missed {len(self.missed)}, the logon says {logon}",
        )
        self.heard = []
        while len(self.heard) < len(self.missed):
            self._hear(5.0)
        must(self.heard == self.missed, f"{self.name}: what it missed came otherwise")
        self.heard, self.sent, self.refused, self.missed = [], [], set(), []

    def send(self, commands: list[Command]) -> None:
        """Sends commands, and keeps them."""
        records = encode_commands(commands)
        self.sent.append(records)
        while True:
            try:
                self.entry.send(records)
            except OrdersRefused as error:  # others, before these were sent
                self.refused.update(error.client_order_ids)
            else:
                return

    def listen(self, timeout: float = 0.0) -> None:
        """Takes the reports that have come."""
        try:
            new = self._hear(timeout)
        except OrdersRefused as error:
            self.refused.update(error.client_order_ids)
            return
        for said in new:
            self.ledger.hear(said)
            if said.kind == EventKind.ACCEPTED:
                self.accepted_ids[said.order_id] += 1
            if said.kind == EventKind.TRADE:
                self.trades[said.trade_id].append((said.engine_sequence, said.price, said.last_quantity))

    def _hear(self, timeout: float) -> list[Said]:
        rows = self.entry.receive(timeout)
        new = list(map(Said._make, zip(*(rows[name].tolist() for name in Said._fields), strict=True)))
        self.heard += new
        self._last_heard = new[-1].report_sequence if new else self._last_heard
        return new

    def trade(self) -> None:
        """Some random commands, and what has come since."""
        if self.entry.pending < PENDING_MAX:
            self.send_many(self._random.randint(1, 40))
        self.listen(0.001)

    def send_many(self, count: int) -> None:
        """So many random commands, in one frame where it has room for them."""
        self.send([self._command() for _ in range(count)])

    def settle(self) -> None:
        """Listens until every command has its answer."""
        while self.entry.pending:
            self.listen(5.0)

    def listen_to_the_end(self) -> None:
        """All that came before the connection was lost."""
        while self._entry is not None:
            try:
                self.listen(5.0)
            except FrameRejected as rejected:
                must(rejected.reason == Reason.ENGINE_STOPPED, str(rejected))
            except SessionLost:
                self.entry.close()
                self._entry = None

    def leave(self) -> None:
        """All is heard: it logs out."""
        self.entry.close()
        self._entry = None

    def reconcile(self) -> None:
        """Cancels a few orders that the ledger has: the venue must know them, with the same leaves."""
        orders = sorted(self.ledger.orders.items())
        for order_id, order in self._random.sample(orders, min(5, len(orders))):
            self.send([cancel_order(order_id, by_order_id=True)])
            count = len(self.heard)
            while len(self.heard) == count:
                self.listen(5.0)
            said = self.heard[-1]
            found = (said.order_id, said.kind, said.last_quantity, said.cumulative_quantity, said.client_order_id)
            expected = (order_id, EventKind.CANCELLED, order.leaves_quantity, order.cumulative_quantity, order.client_order_id)
            must(found == expected, f"{self.name}: the order {order} is {said}")

    def _command(self) -> Command:
        roll = self._random.random()
        if roll < 0.3 and self.ledger.orders:
            order_id = self._random.choice(list(self.ledger.orders))
            quantity = self._random.randint(1, 30)
            if roll < 0.15:
                return cancel_order(order_id, by_order_id=True)
            if roll < 0.22:
                return reduce_order(order_id, quantity, by_order_id=True)
            price = self._random.choice((NULL_VALUE, 5 * self._random.randint(18, 22)))
            return amend_order(order_id, price=price, lots=quantity, by_order_id=True)
        self._next_id += 1
        instrument = self._random.choice(INSTRUMENTS)
        return NewOrder(
            instrument=instrument,
            client_order_id=self._next_id,
            side=self._random.choice((Side.BUY, Side.SELL)),
            price=self._random.randint(90 // TICKS[instrument], 110 // TICKS[instrument]) * TICKS[instrument],
            quantity=self._random.choice((0, *range(1, 30))),
            account=self._random.randint(0, 3),
            order_type=OrderType.MARKET if roll > 0.97 else OrderType.LIMIT,
            time_in_force=TimeInForce.IOC if roll > 0.9 else TimeInForce.GTC,
        )


class Auditor:
    """Reads the journal after each kill, and holds the clients' words against it."""

    def __init__(self) -> None:
        self.reference = ReferenceEngine(LIMITS)
        self.commands = encode_commands([])
        self._orders: dict[int, tuple[int, int, int, int]] = {}  # by order id: leaves, cumulative, session, account
        self._report_counts: Counter[int] = Counter()  # by session
        self._trade_count = 0
        self.used_snapshots = 0
        self.logged_events = 0  # that the event log had, as the journal gives them
        self.unlogged_events = 0  # that it had not yet, before each start

    @property
    def sequence(self) -> int:
        """Commands read so far."""
        return len(self.commands)

    def audit(self, journal: Path, traders: list[Trader]) -> None:
        """Reads what the journal has more than last time. Raises Lost."""
        with Replay(journal, from_snapshot=True) as short:
            short.run()
            self.used_snapshots += short.report.snapshot_sequence > 0
            hashes = (short.view.state_hash if short.view else 0, short.report.event_hash)
        with Replay(journal, checks_events=True) as replay:
            replay.run()
            self.logged_events = replay.report.events_checked
            self.unlogged_events += replay.report.events_missing
            view = replay.view
            must(hashes == (view.state_hash if view else 0, replay.report.event_hash), "replays from snapshot and beginning differ")
            heard = max((said.engine_sequence for trader in traders for said in trader.heard), default=0)
            last = 0 if view is None else view.sequence
            must(last >= heard, f"command {heard} was reported, the journal ends at {last}")
            assert view is not None, "a venue that was started has its definitions in the journal"
            start = self.sequence
            due = self._read(journal, last)
            must(view.state_hash == self.reference.state_hash, "replay and reference differ")
            must(replay.report.event_hash == self.reference.event_hash, "events of replay and reference differ")
            for trader in traders:
                self._audit_words(trader, due[trader.session])
                self._audit_sent(trader, start)
                trader.missed = due[trader.session][len(trader.heard) :]
                for said in trader.missed:
                    trader.ledger.hear(said)
                book = {
                    order.order_id: _resting(order, view.instruments[order.symbol][1])
                    for instrument in INSTRUMENTS
                    for side in Side
                    for order in view.orders(instrument, side)
                    if order.participant == trader.participant
                }
                must(book == trader.ledger.orders, f"{trader.name}: its ledger is not the book")
        _audit_ids(traders)

    def _read(self, journal: Path, last: int) -> dict[int, list[Said]]:
        """Gives the reference the commands that are new; returns the reports due to each session."""
        commands = journal_commands(journal, last)
        start = self.sequence
        must(record_bytes(commands[:start]) == record_bytes(self.commands), "the journal's past has changed")
        self.commands = commands
        due: dict[int, list[Said]] = defaultdict(list)
        for session, said in self._reports(self.reference.apply_records(commands[start:])):
            self._report_counts[session] += 1
            due[session].append(said._replace(report_sequence=self._report_counts[session]))
        return due

    def _reports(self, events: Records) -> Iterator[tuple[int, Said]]:
        """Who must hear what, event by event. Source: ome/codec/schema.xml, ExecutionReport."""
        now_ns = 0
        for event in decode_events(events):
            if isinstance(event, Trade):
                self._trade_count += 1
                yield self._trade_report(event, now_ns, is_aggressor=True)
                yield self._trade_report(event, now_ns, is_aggressor=False)
            elif isinstance(event, Rejected):
                now_ns = event.timestamp_ns
                yield event.session, _report(event, now_ns, event.price, 0, 0, 0, event.account)
            elif isinstance(event, OrderEvent):
                now_ns = event.timestamp_ns
                yield self._order_report(event)
            else:
                assert isinstance(event, Defined), event

    def _order_report(self, event: OrderEvent) -> tuple[int, Said]:
        leaves, cumulative, session, account = self._orders.get(event.order_id, (0, 0, event.session, event.account))
        changed = event.quantity if event.kind in (EventKind.CANCELLED, EventKind.REDUCED) else 0
        leaves = leaves - changed if changed else event.quantity
        self._orders[event.order_id] = (leaves, cumulative, session, account)
        return session, _report(event, event.timestamp_ns, event.price, changed, leaves, cumulative, account)

    def _trade_report(self, event: Trade, now_ns: int, *, is_aggressor: bool) -> tuple[int, Said]:
        order_id = event.order_id if is_aggressor else event.resting_order_id
        leaves, cumulative, session, account = self._orders[order_id]
        leaves, cumulative = leaves - event.quantity, cumulative + event.quantity
        self._orders[order_id] = (leaves, cumulative, session, account)
        filled = EventFlags.AGGRESSOR_FILLED if is_aggressor else EventFlags.RESTING_FILLED
        assert bool(event.flags & filled) == (leaves == 0), event
        said = _report(event, now_ns, event.price, event.quantity, leaves, cumulative, account)
        if is_aggressor:
            return session, said._replace(trade_id=self._trade_count, is_aggressor=1)
        client_order_id, side = event.resting_client_order_id, Side.BUY + Side.SELL - event.side
        return session, said._replace(order_id=order_id, client_order_id=client_order_id, side=side, trade_id=self._trade_count)

    def _audit_words(self, trader: Trader, due: list[Said]) -> None:
        for heard, expected in zip(trader.heard, due, strict=False):
            must(heard == expected, f"{trader.name} heard {heard}, the journal says {expected}")
        must(len(trader.heard) <= len(due), f"{trader.name} heard {len(trader.heard)} reports, the journal has {len(due)}")

    def _audit_sent(self, trader: Trader, start: int) -> None:
        new = self.commands[start:]
        taken = new[(new["session"] == trader.session) & (new["kind"] < 32)]
        sent = np.concatenate(trader.sent) if trader.sent else taken[:0]
        sent = sent[(sent["kind"] != CommandKind.NEW_ORDER) | ~np.isin(sent["client_order_id"], list(trader.refused))]
        first = trader.taken + 1
        trader.taken += len(taken)
        must(len(taken) <= len(sent), f"{trader.name} sent {len(sent)} commands, the journal has {len(taken)}")
        must(
            taken["session_sequence"].tolist() == [*range(first, trader.taken + 1)], f"{trader.name}: a command twice, or in another order"
        )
        for name in ("kind", "client_order_id", "instrument", "price", "quantity", "account", "flags"):
            must((taken[name] == sent[name][: len(taken)]).all(), f"{trader.name}: {name} is not as it was sent")


def _report(event: Any, now_ns: int, price: int, changed: int, leaves: int, cumulative: int, account: int) -> Said:
    return Said(
        report_sequence=0,
        engine_sequence=event.sequence,
        timestamp_ns=now_ns,
        kind=event.kind,
        order_id=event.order_id,
        client_order_id=event.client_order_id,
        price=price,
        last_quantity=changed,
        leaves_quantity=leaves,
        cumulative_quantity=cumulative,
        trade_id=0,
        instrument=event.instrument,
        account=account,
        side=event.side,
        reason=event.reason,
        is_aggressor=0,
    )


def _audit_ids(traders: list[Trader]) -> None:
    accepted = sum((trader.accepted_ids for trader in traders), Counter())
    must(max(accepted.values(), default=0) <= 1, "an order id was given twice")
    told: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for trader in traders:
        for trade_id, sides in trader.trades.items():
            told[trade_id] += sides
    must(all(len(sides) <= 2 and len(set(sides)) == 1 for sides in told.values()), "a trade id stands for two trades")


def trade_until_the_end(traders: list[Trader]) -> None:
    """The clients trade until the venue is gone."""
    try:
        while True:
            for trader in traders:
                trader.trade()
    except (SessionLost, FrameRejected):
        pass
    for trader in traders:
        trader.listen_to_the_end()


def trade_until_killed(venue: VenueProcess, traders: list[Trader], seconds: float) -> None:
    """The clients trade; after `seconds` the venue is killed, whatever it does at that moment."""
    killer = threading.Timer(seconds, venue.kill)
    killer.start()
    trade_until_the_end(traders)
    killer.join()


def trade_and_settle(venue: VenueProcess, traders: list[Trader], seconds: float) -> None:
    """The clients trade for so long, and the venue is killed a moment later: what `async` promises is all but the last moment."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for trader in traders:
            trader.trade()
    time.sleep(MOMENT_S)
    venue.kill()
    for trader in traders:
        trader.listen_to_the_end()


def kill_again_and_again(directory: Path, seed: int, kill_count: int, policy: str) -> tuple[int, int]:
    """Trades, kills, audits and starts again. Returns the commands of the journal, and the reports that kills swallowed."""
    print(f"seed {seed}, policy {policy}, {kill_count} kills", flush=True)
    generator = random.Random(seed)
    traders = [Trader("FIRM1", seed * 2 + 1), Trader("FIRM2", seed * 2 + 2)]
    auditor = Auditor()
    journal = directory / "journal"
    swallowed = 0
    for epoch in range(1, kill_count + 2):
        with VenueProcess(config_file(directory, policy=policy)) as venue:
            summary = venue.start()
            assert (summary["recovered_commands"], summary["starts"]) == (auditor.sequence, epoch)
            for trader in traders:
                trader.connect(venue.orders_endpoint)
            for trader in traders:
                trader.reconcile()
            if epoch <= kill_count:
                trade = trade_until_killed if policy == "commit" else trade_and_settle
                trade(venue, traders, generator.random() * SECONDS)
            else:
                stopped = venue.stop()
                for trader in traders:
                    trader.listen_to_the_end()
        before = auditor.sequence
        auditor.audit(journal, traders)
        orders = int(np.count_nonzero(auditor.commands["kind"][before:] < 32))
        swallowed += orders - sum(len({said.engine_sequence for said in trader.heard if not _is_passive(said)}) for trader in traders)
    assert auditor.used_snapshots > 0 or auditor.sequence < 1_000
    assert auditor.logged_events > auditor.sequence // 2, "the event log is not complete after a clean stop"
    assert auditor.unlogged_events > 0 or policy != "commit", "the event log never lagged: completing it was never needed"
    assert stopped["state_hash"] == f"{auditor.reference.state_hash:016x}"
    assert stopped["sequence"] == auditor.sequence
    return auditor.sequence, swallowed


class GatewayKiller(threading.Thread):
    """Kills the process of a venue's gateway at random moments, each time when the one before has been replaced.

    `seconds` has how long each time nobody could connect.
    """

    def __init__(self, venue: VenueProcess, generator: random.Random, kill_count: int) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self._venue = venue
        self._generator = generator
        self._left = kill_count

    def run(self) -> None:
        """Until all are done."""
        while self._left > 0:
            time.sleep(self._generator.random() * SECONDS)
            killed = gateway_of(self._venue.pid)
            os.kill(killed, signal.SIGKILL)
            begun = time.monotonic()
            while not _answers(self._venue.orders_endpoint):
                if time.monotonic() > begun + 30:
                    return
                time.sleep(0.01)
            self.seconds.append(time.monotonic() - begun)
            self._left -= 1


def _answers(endpoint: str) -> bool:
    """Whether somebody can log on."""
    try:
        OrderEntry(endpoint, "PROBE", timeout=1.0, reconnect=None).close()
    except OmeError:
        return False
    return True


def gateway_of(venue: int) -> int:
    """The process of a venue's gateway; fails where it has none."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == venue and b"ome.gateway.process" in (path / "cmdline").read_bytes():
                    return int(path.name)
        time.sleep(0.01)
    raise AssertionError(f"process {venue} has no gateway")


def kill_gateways(directory: Path, seed: int, kill_count: int) -> tuple[int, list[float]]:
    """Trades while the venue's gateway is killed again and again; then nothing may be missing, and nothing be there twice.

    Returns the commands of the journal, and how long nobody could connect after each kill.
    """
    print(f"seed {seed}, {kill_count} kills of the gateway", flush=True)
    generator = random.Random(seed)
    traders = [Trader("FIRM1", seed * 2 + 1), Trader("FIRM2", seed * 2 + 2)]
    auditor = Auditor()
    with VenueProcess(config_file(directory)) as venue:
        venue.start()
        for trader in traders:
            trader.connect(venue.orders_endpoint, reconnect=60.0)
        killer = GatewayKiller(venue, generator, kill_count)
        killer.start()
        while killer.is_alive():
            for trader in traders:
                trader.trade()
        for trader in traders:
            trader.settle()
        for trader in traders:  # by now all have traded; the answer to this comes behind all that is due
            trader.send([cancel_order(1)])
            trader.settle()
        must(len(killer.seconds) == kill_count, f"after kill {len(killer.seconds) + 1} nobody could log on")
        for trader in traders:
            trader.leave()
        stopped = venue.stop()
    auditor.audit(directory / "journal", traders)
    for trader in traders:
        must(not trader.missed, f"{trader.name} has not heard its last {len(trader.missed)} reports")
        sent = sum(map(len, trader.sent)) - len(trader.refused)
        must(trader.taken == sent, f"{trader.name} has sent {sent} commands, the journal has {trader.taken}")
    must(stopped["state_hash"] == f"{auditor.reference.state_hash:016x}", "the venue and the reference differ")
    return auditor.sequence, killer.seconds


def _is_passive(said: Said) -> bool:
    return said.kind == EventKind.TRADE and not said.is_aggressor
