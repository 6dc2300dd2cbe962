"""`ome shell`: one session that stays open, for a person who types commands, or with `--jsonl` for a program that writes lines of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
import os
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import click

from ome.cli.ladder import book_lines
from ome.cli.terminal import failing, print_json, table
from ome.cli.trading import (
    Access,
    access_options,
    change_options,
    fill_table,
    named,
    order_argument,
    order_options,
    order_table,
    orders_option,
    report_line,
    with_number,
)
from ome.client import AsyncOrderEntry, InstrumentDirectory, MarketData, OrderEntry, SessionLost
from ome.client.reports import OrderId, Report
from ome.client.requests import OpenOrder, Requests
from ome.codec import SideName
from ome.errors import InvalidValueError, OmeError
from ome.marketdata import Book

__all__ = ["shell"]

_WAIT_S: Final = 0.2  # for reports, behind a command that was typed
_LINE_SIZE_MAX: Final = 65_536
_HISTORY_LINES: Final = 1_000
_LINES_WAITING: Final = 16  # of JSON
_LOOK_S: Final = 0.005
_ENDINGS: Final = ("quit", "exit")
_SENDING: Final = ("buy", "sell", "cancel", "reduce", "amend", "mass_cancel")
_ASKING: Final = ("orders", "fills", "book")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Venue:
    """What is asked elsewhere than in the session. Each question has a connection of its own, and may be asked by any thread."""

    access: Access
    requests: str
    feed: str
    instruments: InstrumentDirectory

    def _asking(self) -> Requests:
        if not self.requests:
            raise InvalidValueError("requests", where="the venue", found="no address for them", allowed="a venue that has one")
        return Requests(self.requests, self.access.participant, secret=self.access.secret, keys=self.access.keys)

    def orders(self, symbol: str | None = None) -> list[OpenOrder]:
        """The open orders."""
        with self._asking() as asking:
            return asking.orders(symbol)

    def fills(self) -> list[Report]:
        """The trades of the day."""
        with self._asking() as asking:
            return asking.fills()

    def book(self, symbol: str) -> Book:
        """The book, as it is now."""
        with MarketData(self.feed, self.instruments, keys=self.access.keys) as market:
            market.subscribe(symbol)
            market.synchronize()
            return market.book(symbol)


@click.command()
@click.option("--session", type=click.IntRange(0, 65_535), help="Session number. [default: a free one]")
@click.option("--takeover", is_flag=True, help="Take the session over where it has a connection; without, that is refused.")
@click.option(
    "--cancel-on-disconnect", is_flag=True, help="Have the venue cancel the session's orders when the connection is lost or the shell ends."
)
@click.option("--jsonl", is_flag=True, help="Read commands and write reports as lines of JSON.")
@orders_option
@access_options
@failing
def shell(orders: str, access: Access, session: int | None, takeover: bool, cancel_on_disconnect: bool, jsonl: bool) -> None:
    """Trade in one session that stays open: buy, sell, amend, reduce, cancel, mass-cancel, orders, fills, book."""
    options: dict[str, Any] = {
        "takeover": takeover,
        "cancel_on_disconnect": "logout" if cancel_on_disconnect else "never",
        "secret": access.secret,
        "keys": access.keys,
    }

    def log_on(number: int) -> OrderEntry | None:
        if not jsonl:
            return OrderEntry(orders, access.participant, number, **options)
        asyncio.run(_serve_lines(AsyncOrderEntry(orders, access.participant, number, **options), access))
        return None

    with contextlib.ExitStack() as stack:
        entry = with_number(stack, access, orders, session, log_on)
        if entry is not None:
            with entry:
                _talk(entry, access)


def _venue_of(entry: OrderEntry | AsyncOrderEntry, access: Access) -> _Venue:
    return _Venue(access=access, requests=entry.logon.requests_endpoint, feed=entry.logon.feed_endpoint, instruments=entry.instruments)


# ---- a person ----


@dataclass(slots=True, kw_only=True)
class _Desk:
    """The session, for whoever has the lock: a command, or the thread that keeps it alive and prints reports while nobody types."""

    entry: OrderEntry
    venue: _Venue
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_closing: threading.Event = field(default_factory=threading.Event)
    loss: SessionLost | None = None

    def keep(self) -> None:
        """Until the shell ends, or the session."""
        while not self.is_closing.wait(_WAIT_S):
            with self.lock:
                try:
                    _print_reports(self.entry, 0.0)
                except SessionLost as loss:
                    self.loss = loss
                    click.echo(f"error: {loss}", err=True)
                    return


class _Shell(click.Group):
    """Says what may have been meant where a command is unknown."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            close = difflib.get_close_matches(args[0].lower(), [*self.commands, *_ENDINGS])
            meant = f"did you mean {' or '.join(close)}? " if close else ""
            raise click.UsageError(f"no command {args[0]!r}: {meant}`help` lists the commands")
        return super().resolve_command(ctx, args)


@click.group(cls=_Shell, add_help_option=False)
def _commands() -> None:
    """The commands of the shell. COMMAND --help says more."""


def _typed(name: str, *decorators: Callable[[Any], Any]) -> Callable[[Callable[..., None]], None]:
    """Adds a command to the shell, which gets the desk."""

    def add(function: Callable[..., None]) -> None:
        callback: Any = click.pass_obj(function)
        for decorator in reversed(decorators):
            callback = decorator(callback)
        _commands.add_command(click.command(name, help=function.__doc__)(callback))

    return add


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _add_entries() -> None:
    for side in ("buy", "sell"):

        def enter(desk: _Desk, symbol: str, quantity: str, at: str | None, side: str = side, **options: Any) -> None:
            order = getattr(desk.entry, side)(symbol, quantity, at, **_given(options))
            click.echo(f"sent: {side} {quantity} {symbol} with the client order id {order.client_order_id}")

        enter.__doc__ = f"{side.capitalize()} QUANTITY of SYMBOL, at a limit or at the market."
        at = click.option("--at", help="Limit price. Without it the order is a market order.")
        _typed(side, click.argument("symbol"), click.argument("quantity"), at, order_options)(enter)


_add_entries()


@_typed("cancel", order_argument)
def _cancel(desk: _Desk, order: int, by_order_id: bool) -> None:
    """Cancel an order."""
    desk.entry.cancel(named(order, by_order_id))


@_typed("reduce", order_argument, click.argument("symbol"), click.argument("quantity"))
def _reduce(desk: _Desk, order: int, symbol: str, quantity: str, by_order_id: bool) -> None:
    """Take QUANTITY off an order, which keeps its place."""
    desk.entry.reduce(named(order, by_order_id), quantity, symbol=symbol)


@_typed("amend", order_argument, click.argument("symbol"), change_options)
def _amend(desk: _Desk, order: int, symbol: str, by_order_id: bool, **changes: Any) -> None:
    """Change price or quantity of an order."""
    desk.entry.amend(named(order, by_order_id), symbol=symbol, **changes)


@_typed("mass-cancel", click.option("--symbol", help="Only this instrument."), click.option("--side", type=click.Choice(["buy", "sell"])))
def _mass_cancel(desk: _Desk, symbol: str | None, side: str | None) -> None:
    """Cancel all orders of the participant."""
    desk.entry.mass_cancel(symbol, cast("SideName | None", side))


@_typed("orders", click.option("--symbol", help="Only this instrument."))
def _orders(desk: _Desk, symbol: str | None) -> None:
    """The open orders of the participant."""
    click.echo("\n".join(order_table(desk.venue.orders(symbol))))


@_typed("fills")
def _fills(desk: _Desk) -> None:
    """The trades of the day."""
    click.echo("\n".join(fill_table(desk.venue.fills())))


@_typed("book", click.argument("symbol"), click.option("--depth", type=click.IntRange(1), default=10, show_default=True))
def _book(desk: _Desk, symbol: str, depth: int) -> None:
    """The book of an instrument."""
    click.echo("\n".join(book_lines(symbol, desk.venue.book(symbol), depth)))


@_typed("help")
def _help(desk: _Desk) -> None:
    """The commands."""
    click.echo("\n".join(table(("command", ""), ((name, command.get_short_help_str(80)) for name, command in _commands.commands.items()))))


def _talk(entry: OrderEntry, access: Access) -> None:
    """Reads commands until the end of input, `quit` or Ctrl-D."""
    desk = _Desk(entry=entry, venue=_venue_of(entry, access))
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        click.echo(f"{entry!r}: `help` shows the commands, `quit` or Ctrl-D ends")
    keeping = threading.Thread(target=desk.keep, daemon=True)
    keeping.start()
    try:
        with _line_editor(entry) if is_terminal else contextlib.nullcontext():
            _read_commands(desk, is_terminal=is_terminal)
    finally:
        desk.is_closing.set()
        keeping.join()
    _print_reports(entry, _WAIT_S)


def _read_commands(desk: _Desk, *, is_terminal: bool) -> None:
    while desk.loss is None:
        try:
            words = shlex.split(input("ome> " if is_terminal else ""))
        except EOFError:
            return
        except KeyboardInterrupt:
            click.echo()
            continue
        except ValueError as error:  # a quotation that does not end
            click.echo(f"error: {error}", err=True)
            continue
        if words and words[0] in _ENDINGS:
            return
        if words and desk.loss is None:
            with desk.lock:
                _run(desk, words)
    raise desk.loss


def _run(desk: _Desk, words: list[str]) -> None:
    """One command, and the reports that come at once. What is wrong is said, and the shell goes on."""
    try:
        _commands.main(args=words, prog_name="", obj=desk, standalone_mode=False)
    except click.ClickException as error:
        error.show()
    except (click.Abort, click.exceptions.Exit):
        pass
    except SessionLost:
        raise
    except OmeError as error:
        click.echo(f"error: {error}", err=True)
    _print_reports(desk.entry, _WAIT_S)


def _print_reports(entry: OrderEntry, wait: float) -> None:
    """Those that have come, and come without a pause of `wait` seconds. An error that does not end the session is said."""
    try:
        for report in entry.reports(wait):
            click.echo(report_line(report))
    except SessionLost:
        raise
    except OmeError as error:
        click.echo(f"error: {error}", err=True)


@contextlib.contextmanager
def _line_editor(entry: OrderEntry) -> Iterator[None]:
    """Completion of commands, options and symbols, and a history that outlives the shell, where Python has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    symbols = [instrument.symbol for instrument in entry.instruments.by_number.values()]

    def complete(text: str, state: int) -> str | None:
        words = readline.get_line_buffer()[: readline.get_begidx()].split()
        if not words:
            choices = [*_commands.commands, "quit"]
        elif text.startswith("-"):
            command = _commands.commands.get(words[0])
            choices = [] if command is None else [name for option in command.params for name in option.opts if name.startswith("--")]
        else:
            choices = symbols
        found = [f"{choice} " for choice in choices if choice.startswith(text)]
        return found[state] if state < len(found) else None

    path = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "ome" / "history"
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_HISTORY_LINES)
    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        readline.set_completer(None)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(path)


# ---- a program ----


async def _serve_lines(entry: AsyncOrderEntry, access: Access) -> None:
    """A line of input is an object with `do`, one of the commands, and its arguments by the names of the client's methods.

    Lines of output are reports, as they come, and for each line of input in order one with `done`: what it gave, or `error`. It ends at the
    end of input, after the answers to what was sent.
    """
    async with entry:
        venue = _venue_of(entry, access)
        lines: asyncio.Queue[str] = asyncio.Queue(_LINES_WAITING)
        threading.Thread(target=_read_lines, args=(asyncio.get_running_loop(), lines), daemon=True).start()
        reporting = asyncio.create_task(_write_reports(entry))
        while (line := await _next_line(lines, reporting)) is not None:
            if line.strip():
                print_json(await _do_line(entry, venue, line))
        while entry.pending and not reporting.done():
            await asyncio.sleep(_LOOK_S)
        reporting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reporting
        async for report in entry.reports(0.0):
            print_json(report)


def _read_lines(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str]) -> None:
    """In a thread of its own, which may wait for ever: the loop does not."""
    with contextlib.suppress(RuntimeError):  # the loop has ended
        while line := sys.stdin.readline(_LINE_SIZE_MAX):
            asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
        asyncio.run_coroutine_threadsafe(lines.put(""), loop).result()


async def _next_line(lines: asyncio.Queue[str], reporting: asyncio.Task[None]) -> str | None:
    """None at the end of input, or when the session is over."""
    getting = asyncio.create_task(lines.get())
    await asyncio.wait({getting, reporting}, return_when=asyncio.FIRST_COMPLETED)
    if not getting.done():
        getting.cancel()
        return None
    return getting.result() or None


async def _write_reports(entry: AsyncOrderEntry) -> None:
    while True:
        try:
            async for report in entry.reports():
                print_json(report)
        except SessionLost:
            raise
        except OmeError as error:
            print_json({"error": str(error)})


async def _do_line(entry: AsyncOrderEntry, venue: _Venue, line: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
        if not isinstance(fields, dict) or fields.get("do") not in (*_SENDING, *_ASKING):
            raise InvalidValueError(
                "line", found=line.strip()[:200], allowed=f"an object whose `do` is one of {', '.join((*_SENDING, *_ASKING))}"
            )
        name = fields.pop("do")
        if "order_id" in fields:
            fields["order"] = OrderId(int(fields.pop("order_id")))
        elif "order" in fields:
            fields["order"] = int(fields["order"])  # in JSON, ids are strings
        if name in _ASKING:
            return {"done": name, name: await asyncio.to_thread(getattr(venue, name), **fields)}
        result = await getattr(entry, name)(**fields)
        client_order_id = getattr(result, "client_order_id", result)
        return {"done": name} | ({} if client_order_id is None else {"client_order_id": client_order_id})
    except (OmeError, ValueError, TypeError) as error:
        return {"error": str(error)}
