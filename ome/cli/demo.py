"""The demonstration: a server process, a client process that sends order flow over ZeroMQ, the live book, a replay that must agree.

[ this process: live book, progress ] <--- market data --- [ server process: `ome run` ] <--- orders, reports ---> [ client process ]
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from ome.cli.ladder import Screen, book_lines, top_line
from ome.cli.terminal import progress_bar
from ome.client import MarketData, OrderEntry
from ome.codec import Records
from ome.conformance import commands_of, lobster_tape
from ome.enums import CommandKind, EventKind, Policy
from ome.errors import OmeError
from ome.metrics import Counters
from ome.orderflow import order_flow
from ome.recovery import Replay

__all__ = ["DemoResult", "run_demo"]

_FRAME_MESSAGES = 32
_WINDOW_MESSAGES = 1_024  # sent and not answered, by each session
_PICTURE_S = 0.25
_DEPTH = 6
_QUIET_S = 30.0  # without a report, after which the client gives up
_SYMBOLS = ("AAPL", "AMZN", "MSFT")
_SESSIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What came of it.

    Latencies are a client's, from sending an order to its acknowledgement, at full load. `expected_trades_held` is None without a real day.
    """

    orders: int
    commands: int
    trades: int
    rejects: int
    seconds: float
    commands_per_second: float
    p50_us: float
    p99_us: float
    p999_us: float
    policy: str
    replayed: int
    replay_seconds: float
    state_hash: str
    replay_equal: bool
    expected_trades_held: bool | None

    @property
    def is_good(self) -> bool:
        """Whether all that must agree does."""
        return self.replay_equal and self.expected_trades_held is not False

    def text(self) -> str:
        """The summary that a person reads."""
        day = (
            ""
            if self.expected_trades_held is None
            else f"real day: every trade {'as it happened' if self.expected_trades_held else 'NOT as it happened'}\n"
        )
        rate = self.replayed / self.replay_seconds if self.replay_seconds else 0.0
        return (
            f"orders {self.orders:,}  commands {self.commands:,}  trades {self.trades:,}  rejects {self.rejects:,}  policy {self.policy}\n"
            f"rate {self.commands_per_second:,.0f} commands/s over {self.seconds:.1f} s\n"
            f"latency at full load, client to client: p50 {self.p50_us:,.0f} us  p99 {self.p99_us:,.0f} us  p99.9 {self.p999_us:,.0f} us\n"
            f"{day}"
            f"replay: {self.replayed:,} commands in {self.replay_seconds:.2f} s ({rate:,.0f}/s)  state {self.state_hash}\n"
            f"replay: state hash {'equal' if self.replay_equal else 'DIFFERENT'}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What the client process is to do."""

    endpoint: str
    order_count: int
    seed: int
    lobster: Path | None


def run_demo(*, order_count: int, seed: int, policy: Policy, lobster: Path | None, directory: Path | None, quiet: bool) -> DemoResult:
    """Runs it all; shows progress unless `quiet`.

    Raises OmeError where server or client fail, or the directory is not empty.
    """
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ome-demo-")))
        elif directory.exists() and any(directory.iterdir()):
            raise OmeError("directory", where=str(directory), found="files in it", allowed="an empty or a new directory")
        directory.mkdir(parents=True, exist_ok=True)
        symbols = (lobster.name.split("_")[2] if lobster.name.startswith("LOBSTER") else "STOCK",) if lobster is not None else _SYMBOLS
        journal = directory / "journal"
        server = stack.enter_context(_server(directory, journal, policy, symbols))
        ready = json.loads(server.stdout.readline() or "{}")
        if "orders" not in ready:
            raise OmeError("server", found=f"it ended with code {server.wait()}", allowed="a server that starts")
        _say(quiet, f"server: orders {ready['orders']}, market data {ready['feed']}, journal {journal}")
        work = _Work(endpoint=ready["orders"], order_count=order_count, seed=seed, lobster=lobster)
        told = _run_client(work, ready["feed"], journal, symbols[0], quiet)
        server.terminate()
        stopped = json.loads(server.stdout.readline() or "{}")
        server.wait()
        return _replay(journal, told, stopped, policy, quiet)


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        click.echo(text)


@contextlib.contextmanager
def _server(directory: Path, journal: Path, policy: Policy, symbols: tuple[str, ...]) -> Iterator[Any]:
    config = directory / "demo.toml"
    lines = [
        '[server]\norders = "tcp://127.0.0.1:0"\nfeed = "tcp://127.0.0.1:0"\nrequests = ""\n',
        f'[journal]\npolicy = "{policy.name.lower()}"\n',
    ]
    lines += [f'[[instruments]]\nsymbol = "{symbol}"\ntick = "0.01"\nprice_decimals = 4\n' for symbol in symbols]
    config.write_text("".join(lines), encoding="utf-8")
    command = [sys.executable, "-m", "ome.cli.main", "run", "--json", "--config", str(config), "--directory", str(journal)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _run_client(work: _Work, feed: str, journal: Path, symbol: str, quiet: bool) -> dict[str, Any]:
    """Starts the client process and shows the book until it is done. Returns what it told."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    client = context.Process(target=_client, args=(work, there), daemon=True)
    client.start()
    there.close()
    try:
        total = int(_receive(here, client)["commands"])
        with OrderEntry(work.endpoint, "WATCHER", reconnect=None) as session:
            instruments = session.instruments
        with MarketData(feed, instruments) as market, Counters(journal) as counters:
            market.subscribe(symbol)
            _show(market, counters, here, total, symbol, quiet)
        told = _receive(here, client)
    finally:
        client.join(_QUIET_S)
        if client.is_alive():
            client.kill()
    if "error" in told:
        raise OmeError("client", found=told["error"], allowed="a session that goes through")
    return told


def _receive(pipe: Any, client: Any) -> dict[str, Any]:
    try:
        told: dict[str, Any] = pipe.recv()
    except EOFError:
        client.join()
        raise OmeError("client process", found=f"it ended with code {client.exitcode}", allowed="one that tells what it did") from None
    if "error" in told:
        raise OmeError("client", found=told["error"], allowed="a session that goes through")
    return told


def _show(market: MarketData, counters: Counters, pipe: Any, total: int, symbol: str, quiet: bool) -> None:
    """The live book of the first instrument and the progress, until the client has something to tell."""
    screen = Screen()
    start = time.monotonic()
    drawn_at = 0.0
    while not pipe.poll(0):
        market.poll(_PICTURE_S)
        now = time.monotonic()
        # Where the output is not a terminal a line a second is enough.
        if quiet or now - drawn_at < (_PICTURE_S if screen.is_terminal else 1.0):
            continue
        drawn_at = now
        values = counters.values()
        done = min(values["gateway.messages"], total)
        filled = 30 * done // total
        status = f"[{'#' * filled}{'.' * (30 - filled)}] {done:,}/{total:,}  {values['match.trades']:,} trades  {now - start:.1f} s"
        book = market.book(symbol, _DEPTH)
        if screen.is_terminal:
            screen.draw([status, *book_lines(symbol, book, _DEPTH, f"command {values['feed.sequence']:,}")])
        else:
            screen.draw([f"{status}  {symbol} {top_line(book)}"])


# ---- the client process ----


def _client(work: _Work, pipe: Any) -> None:
    try:
        _drive(work, pipe)
    except Exception as error:  # the other process reports it
        pipe.send({"error": repr(error)})
    finally:
        pipe.close()


class _Driver:
    """One session's share of the flow: sends frame by frame, as long as the window is open, and times the acknowledgements."""

    def __init__(self, session: OrderEntry, commands: Records) -> None:
        self.session = session
        self.commands = commands
        self.position = 0
        self.reports: list[npt.NDArray[np.void]] = []
        self.latencies_ns: list[npt.NDArray[np.int64]] = []
        new_rows = np.flatnonzero(commands["kind"] == CommandKind.NEW_ORDER)
        order = np.argsort(commands["client_order_id"][new_rows], kind="stable")
        self._new_rows = new_rows[order]
        self._ids = commands["client_order_id"][self._new_rows]
        self._sent_ns = np.zeros(len(commands), dtype=np.int64)

    @property
    def is_done(self) -> bool:
        """All was sent and answered."""
        return self.position == len(self.commands) and self.session.pending == 0

    def send(self) -> bool:
        """Sends a frame if the window allows; True when it did."""
        if self.position == len(self.commands) or self.session.pending + _FRAME_MESSAGES > _WINDOW_MESSAGES:
            return False
        end = min(self.position + _FRAME_MESSAGES, len(self.commands))
        self._sent_ns[self.position : end] = time.perf_counter_ns()
        self.session.send(self.commands[self.position : end], _FRAME_MESSAGES)
        self.position = end
        return True

    def receive(self, timeout: float) -> bool:
        """Takes what has come; True when there was something."""
        reports = self.session.receive(timeout)
        now_ns = time.perf_counter_ns()
        if not len(reports):
            return False
        self.reports.append(reports)
        accepted = reports["client_order_id"][reports["kind"] == EventKind.ACCEPTED]
        rows = self._new_rows[np.searchsorted(self._ids, accepted)]
        self.latencies_ns.append(now_ns - self._sent_ns[rows])
        return True


def _drive(work: _Work, pipe: Any) -> None:
    expected = None
    if work.lobster is not None:
        steps = list(lobster_tape(work.lobster))
        actions = [action for step in steps for action in step.actions]
        flows = [commands_of(actions)]
        expected = [trade for action in actions for trade in action.trades]
    else:
        flow = order_flow(work.seed, work.order_count, participants=_SESSIONS, tick=100)
        flows = [flow[flow["participant"] == number] for number in range(1, _SESSIONS + 1)]
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(OrderEntry(work.endpoint, f"FIRM{number}", reconnect=None)) for number in range(1, len(flows) + 1)]
        drivers = [_Driver(session, flow) for session, flow in zip(sessions, flows, strict=True)]
        pipe.send({"commands": sum(len(flow) for flow in flows)})
        start = time.perf_counter()
        _exchange(drivers)
        seconds = time.perf_counter() - start
    pipe.send(_told(drivers, seconds, expected))


def _exchange(drivers: list[_Driver]) -> None:
    quiet_since = time.monotonic()
    while not all(driver.is_done for driver in drivers):
        worked = False
        for driver in drivers:
            worked |= driver.send()
            worked |= driver.receive(0.0)
        if worked:
            quiet_since = time.monotonic()
            continue
        if time.monotonic() - quiet_since > _QUIET_S:
            raise OmeError("reports", found=f"none for {_QUIET_S:.0f} s", allowed="an answer to every command")
        next(driver for driver in drivers if not driver.is_done).receive(0.001)


def _told(drivers: list[_Driver], seconds: float, expected: list[tuple[int, int, int, int]] | None) -> dict[str, Any]:
    reports = np.concatenate([part for driver in drivers for part in driver.reports])
    latencies_us = np.concatenate([part for driver in drivers for part in driver.latencies_ns]) / 1_000
    kinds = reports["kind"]
    aggressors = reports[(kinds == EventKind.TRADE) & (reports["is_aggressor"] == 1)]
    p50, p99, p999 = np.percentile(latencies_us, [50, 99, 99.9]).tolist()
    return {
        "orders": int((kinds == EventKind.ACCEPTED).sum()),
        "commands": sum(len(driver.commands) for driver in drivers),
        "trades": len(aggressors),
        "rejects": int((kinds == EventKind.REJECTED).sum()),
        "seconds": seconds,
        "p50_us": p50,
        "p99_us": p99,
        "p999_us": p999,
        "expected_trades_held": None if expected is None else _trades_of(reports) == expected,
    }


def _trades_of(reports: npt.NDArray[np.void]) -> list[tuple[int, int, int, int]]:
    """Maker, taker, price and quantity of each trade, in order, from both sides' reports."""
    trades = reports[reports["kind"] == EventKind.TRADE]
    trades = trades[np.lexsort((trades["is_aggressor"], trades["trade_id"]))]
    resting, aggressor = trades[0::2], trades[1::2]
    columns = (resting["client_order_id"], aggressor["client_order_id"], aggressor["price"], aggressor["last_quantity"])
    return list(zip(*(column.tolist() for column in columns), strict=True))


# ---- the replay ----


def _replay(journal: Path, told: dict[str, Any], stopped: dict[str, Any], policy: Policy, quiet: bool) -> DemoResult:
    sequence = int(stopped.get("sequence", 0))
    with Replay(journal) as replay, progress_bar("replaying the journal", sequence, hidden=quiet) as progress:
        seconds = replay.run(progress=progress)
        view = replay.view
        if view is None:
            raise OmeError("journal", where=str(journal), found="no command", allowed="the session's commands")
        state_hash = f"{view.state_hash:016x}"
        replayed = view.sequence
    return DemoResult(
        **told,
        commands_per_second=told["commands"] / told["seconds"],
        policy=policy.name.lower(),
        replayed=replayed,
        replay_seconds=seconds,
        state_hash=state_hash,
        replay_equal=state_hash == stopped.get("state_hash") and replayed == sequence,
    )
