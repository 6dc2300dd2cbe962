"""What a trader does from the command line: orders, cancels, amends, and what is open and was traded.

Each command logs on for a moment, by a session number of its own where none is given, and ends as soon as the venue has answered.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click

from ome.attributes import ATTRIBUTES, Attribute
from ome.cli.session_numbers import FIRST, free_session_number
from ome.cli.terminal import ExitCode, failing, json_option, moment, print_json, table
from ome.client import ClientKeys, DropCopy, LogonRefused, OrderEntry, Report, TimedOut
from ome.client.reports import OrderId
from ome.client.requests import OpenOrder, Requests
from ome.codec import OrderOptions, SideName, encode_commands, new_order, side_of
from ome.enums import EventKind, Reason, SelfTradePrevention, SelfTradeScope, Side, TimeInForce
from ome.keys import read_key_pair, read_public_key, read_secret

__all__ = [
    "ORDERS",
    "REQUESTS",
    "TRADING",
    "Access",
    "access_options",
    "change_options",
    "fill_table",
    "named",
    "open_session",
    "order_argument",
    "order_options",
    "order_table",
    "orders_option",
    "report_line",
    "with_number",
]

R = TypeVar("R")

ORDERS: Final = "tcp://127.0.0.1:5555"
REQUESTS: Final = "tcp://127.0.0.1:5556"

_LOOK_S: Final = 60.0

orders_option = click.option("--orders", default=ORDERS, show_default=True, help="Endpoint of order entry.")
_requests_option = click.option("--requests", default=REQUESTS, show_default=True, help="Endpoint of requests.")


# ---- who logs on ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who logs on, and by what it proves that."""

    participant: str
    secret: bytes | None
    keys: ClientKeys | None


def access_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of an Access, which the command gets as `access`. Secrets are in files: others can see the arguments of a process."""

    def with_access(participant: str, secret: Path | None, key: Path | None, server_key: Path | None, **values: Any) -> None:
        if (key is None) != (server_key is None):
            raise click.UsageError("--key and --server-key are given together")
        keys = None
        if key is not None and server_key is not None:
            keys = ClientKeys(server=read_public_key(server_key), pair=read_key_pair(key))
        command(access=Access(participant=participant, secret=None if secret is None else read_secret(secret), keys=keys), **values)

    with_access.__name__, with_access.__doc__ = command.__name__, command.__doc__
    with_access.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    wrapped: Callable[..., None] = with_access
    path = click.Path(path_type=Path)
    for option in (
        click.option("--server-key", type=path, help="File with the public key of the server, where connections are encrypted."),
        click.option("--key", type=path, help="File with the participant's secret key, where connections are encrypted."),
        click.option("--secret", type=path, help="File with the participant's secret."),
        click.option("--participant", default="TRADER", show_default=True, help="Name of the participant that logs on."),
    ):
        wrapped = option(wrapped)
    return wrapped


def _session_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of the session that a command opens, behind its own."""
    for option in (
        click.option("--timeout", type=click.FloatRange(0), default=5.0, show_default=True, help="Seconds to wait for the venue's answer."),
        click.option("--takeover", is_flag=True, help="Take the session over where it has a connection; without, that is refused."),
        click.option("--session", type=click.IntRange(0, 65_535), help=f"Session number. [default: a free one from {FIRST:,} on]"),
        orders_option,
    ):
        command = option(command)
    return access_options(command)


def with_number(stack: contextlib.ExitStack, access: Access, orders: str, session: int | None, log_on: Callable[[int], R]) -> R:
    """What `log_on` gives for the session number given, or for one that no other command uses until the stack closes.

    On this machine `free_session_number` knows; of a command on another one the venue says that its session is in use.
    """
    if session is not None:
        return log_on(session)
    while True:
        number = stack.enter_context(free_session_number(orders, access.participant))
        try:
            return log_on(number)
        except LogonRefused as refused:
            if refused.found is not Reason.SESSION_IN_USE:
                raise


@contextlib.contextmanager
def open_session(
    access: Access, orders: str, session: int | None = None, *, takeover: bool = False, timeout: float = 5.0
) -> Iterator[OrderEntry]:
    """A session for as long as the block runs."""

    def log_on(number: int) -> OrderEntry:
        proof: dict[str, Any] = {"secret": access.secret, "keys": access.keys}
        return OrderEntry(orders, access.participant, number, timeout, takeover=takeover, reconnect=None, **proof)

    with contextlib.ExitStack() as stack:
        yield stack.enter_context(with_number(stack, access, orders, session, log_on))


# ---- orders ----


def order_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of an order, by the names of ome.codec.OrderOptions."""
    for option in reversed(
        (
            click.option("--tif", type=_choice(TimeInForce), help="Time in force. [default: gtc, or gtd with --expires]"),
            click.option(
                "--expires", callback=moment, help="Deadline: nanoseconds since 1970, or ISO 8601, such as 2030-01-31T16:30:00+01:00."
            ),
            click.option("--post-only", is_flag=True, default=None, help="Only rest: the order is refused if it would trade on entry."),
            click.option("--hidden", is_flag=True, default=None, help="Do not display the order."),
            click.option("--display", help="Iceberg: quantity to display at a time."),
            click.option("--minimum", help="Quantity that must trade at once; otherwise the order is cancelled."),
            click.option("--budget", help="For fok: highest cost of a buy, lowest proceeds of a sell."),
            click.option(
                "--collar-ticks", type=int, help="Furthest distance from the opposite best at which an order without limit may trade."
            ),
            click.option("--stop", help="Price that triggers the order; for a trailing stop, the price at which it starts."),
            click.option("--trail", help="Trailing stop: distance from the last trade price, in price."),
            click.option("--trail-percent", help="Trailing stop: distance from the last trade price, in percent."),
            click.option("--limit-offset", help="Trailing stop: distance of the limit from the stop price."),
            click.option(
                "--self-trade", type=_choice(SelfTradePrevention), help="What happens when the order meets an order of its own group."
            ),
            click.option(
                "--self-trade-scope", type=_choice(SelfTradeScope), help="Which orders belong to its own group. [default: account]"
            ),
            click.option("--self-trade-group", type=int, help="Number of the self-trade group."),
            *(
                click.option(f"--{name.replace('_', '-')}", type=_attribute_values(attribute), help=f"{attribute.meaning}.")
                for name, attribute in ATTRIBUTES.items()
            ),
            click.option("--account", type=int, default=0, show_default=True, help="Account whose position the order changes."),
        )
    ):
        command = option(command)
    return command


def _choice(kind: type[IntEnum]) -> click.Choice[str]:
    return click.Choice([member.name.lower() for member in kind])


def _attribute_values(attribute: Attribute) -> click.IntRange | click.Choice[str]:
    return click.IntRange(1, attribute.value_max) if attribute.enumeration is None else _choice(attribute.enumeration)


def report_line(report: Report) -> str:
    """A report for people, with the ids by which its order is cancelled."""
    head = f"{report.kind.name.lower():<9} {report.symbol} {report.side.name.lower() if report.side else '-'} "
    ids = (("client id", report.client_order_id), ("order id", report.order_id))
    tail = "".join(f"  {name} {number}" for name, number in ids if number)
    if report.kind is EventKind.ATTRIBUTES:
        return head + " ".join(f"{name} {word}" for name, word in report.attributes.words().items() if word is not None) + tail
    return (
        f"{head}price {report.price} last {report.last_quantity} leaves {report.leaves_quantity} "
        f"cumulative {report.cumulative_quantity}" + (f" ({report.reason.name})" if report.reason else "") + tail
    )


def _print_reports(entry: OrderEntry, timeout: float, wait: float, *, as_json: bool) -> None:
    """Prints reports until the command that was sent is answered, and then until none has come for `wait` seconds.

    Exit code 1 where it is rejected. Raises TimedOut where there is no answer.
    """
    is_rejected = False
    while (report := next(entry.reports(timeout if entry.pending else wait), None)) is not None:
        is_rejected = is_rejected or report.kind is EventKind.REJECTED
        if as_json:
            print_json(report)
        else:
            click.echo(report_line(report))
        if wait and not entry.pending and report.is_final:
            break  # nothing more will be said about the order
    if entry.pending:
        raise TimedOut("answer", where=f"{entry!r}", found="none", allowed=f"one within {timeout} s")
    if is_rejected:
        raise SystemExit(ExitCode.FAILED)


@click.command()
@click.argument("side", type=_choice(Side))
@click.argument("symbol")
@click.argument("quantity")
@click.option("--at", help="Limit price. Without it the order is a market order.")
@order_options
@click.option("--wait", type=click.FloatRange(0), default=0.1, show_default=True, help="End after this many seconds without a new report.")
@_session_options
@json_option
@failing
def submit(
    side: str,
    symbol: str,
    quantity: str,
    at: str | None,
    account: int,
    wait: float,
    timeout: float,
    orders: str,
    access: Access,
    session: int | None,
    takeover: bool,
    as_json: bool,
    **options: object,
) -> None:
    """Send one order and print its reports."""
    with open_session(access, orders, session, takeover=takeover, timeout=timeout) as entry:
        number = entry.instruments.number(symbol)
        order = new_order(
            entry.instruments[symbol],
            side_of(side),
            quantity,
            at,
            cast("OrderOptions", options),
            instrument=number,
            client_order_id=time.time_ns(),
            account=account,
        )
        entry.send(encode_commands([order]))
        _print_reports(entry, timeout, wait, as_json=as_json)


def order_argument(command: Callable[..., None]) -> Callable[..., None]:
    """The argument that names an order, by either id."""
    command = click.option("--by-order-id", is_flag=True, help="ORDER is the venue's order id; without, the client's.")(command)
    return click.argument("order", type=click.IntRange(0))(command)


def change_options(command: Callable[..., None]) -> Callable[..., None]:
    """What an amend changes, by the names of the client's method."""
    for option in (
        click.option("--stop", help="The new stop price of an order that waits."),
        click.option("--open-quantity", help="The new open quantity."),
        click.option("--quantity", help="The new total quantity, with what has traded."),
        click.option("--at", help="The new limit price."),
    ):
        command = option(command)
    return command


def named(order: int, by_order_id: bool) -> OrderId | int:
    """The order as the client's methods take it."""
    return OrderId(order) if by_order_id else order


@click.command()
@order_argument
@_session_options
@json_option
@failing
def cancel(
    order: int, by_order_id: bool, timeout: float, orders: str, access: Access, session: int | None, takeover: bool, as_json: bool
) -> None:
    """Cancel an order of the participant, whichever session entered it."""
    with open_session(access, orders, session, takeover=takeover, timeout=timeout) as entry:
        entry.cancel(named(order, by_order_id))
        _print_reports(entry, timeout, 0, as_json=as_json)


@click.command()
@order_argument
@click.argument("symbol")
@change_options
@_session_options
@json_option
@failing
def amend(
    order: int,
    symbol: str,
    by_order_id: bool,
    timeout: float,
    orders: str,
    access: Access,
    session: int | None,
    takeover: bool,
    as_json: bool,
    **changes: Any,
) -> None:
    """Change the price or the quantity of an order of the participant. It keeps what is not given."""
    with open_session(access, orders, session, takeover=takeover, timeout=timeout) as entry:
        entry.amend(named(order, by_order_id), symbol=symbol, **changes)
        _print_reports(entry, timeout, 0, as_json=as_json)


@click.command(name="mass-cancel")
@click.option("--symbol", help="Only orders of this instrument.")
@click.option("--side", type=_choice(Side), help="Only orders of this side.")
@click.option("--account", type=int, help="Only orders of this account.")
@_session_options
@json_option
@failing
def mass_cancel(
    symbol: str | None,
    side: str | None,
    account: int | None,
    timeout: float,
    orders: str,
    access: Access,
    session: int | None,
    takeover: bool,
    as_json: bool,
) -> None:
    """Cancel all orders of the participant that are all of what is given."""
    with open_session(access, orders, session, takeover=takeover, timeout=timeout) as entry:
        entry.mass_cancel(symbol, cast("SideName | None", side), account=account)
        _print_reports(entry, timeout, 0, as_json=as_json)


# ---- what is there ----


def _order_line(order: OpenOrder) -> tuple[str, ...]:
    kinds = [name for name, has in (("waiting", order.is_waiting), ("hidden", order.is_hidden), ("post-only", order.is_post_only)) if has]
    price = "-" if order.price is None else f"{order.price:f}"
    return (
        str(order.order_id),
        str(order.client_order_id),
        order.symbol,
        order.side.name.lower(),
        price if order.stop_price is None else f"{price} stop {order.stop_price:f}",
        f"{order.leaves_quantity:f}",
        f"{order.cumulative_quantity:f}",
        order.time_in_force.name.lower(),
        " ".join(kinds),
    )


def _fill_line(fill: Report) -> tuple[str, ...]:
    return (
        datetime.fromtimestamp(fill.timestamp_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        str(fill.trade_id),
        str(fill.order_id),
        str(fill.client_order_id),
        fill.symbol,
        "-" if fill.side is None else fill.side.name.lower(),
        f"{fill.price:f}",
        f"{fill.last_quantity:f}",
        f"{fill.leaves_quantity:f}",
    )


def order_table(orders: Iterable[OpenOrder]) -> list[str]:
    """Open orders as lines."""
    return table(("order id", "client id", "symbol", "side", "price", "leaves", "filled", "tif", ""), map(_order_line, orders))


def fill_table(fills: Iterable[Report]) -> list[str]:
    """Trades as lines."""
    return table(("time", "trade", "order id", "client id", "symbol", "side", "price", "quantity", "leaves"), map(_fill_line, fills))


@click.command()
@click.option("--symbol", help="Only orders of this instrument.")
@click.option("--session", type=click.IntRange(1, 65_535), help="Only orders that this session (its number in the engine) entered.")
@_requests_option
@access_options
@json_option
@failing
def orders(symbol: str | None, session: int | None, requests: str, access: Access, as_json: bool) -> None:
    """Print the open orders of a participant."""
    with Requests(requests, access.participant, secret=access.secret, keys=access.keys) as asking:
        found = asking.orders(symbol, session=session)
    if as_json:
        print_json(found)
        return
    click.echo("\n".join(order_table(found)))


@click.command()
@click.option("--since", callback=moment, help="Nanoseconds since 1970, or ISO 8601. [default: the last end of day, or midnight UTC]")
@_requests_option
@access_options
@json_option
@failing
def fills(since: int | None, requests: str, access: Access, as_json: bool) -> None:
    """Print the trades of a participant, oldest first."""
    with Requests(requests, access.participant, secret=access.secret, keys=access.keys) as asking:
        found = asking.fills(since)
    if as_json:
        print_json(found)
        return
    click.echo("\n".join(fill_table(found)))


@click.command(name="drop-copy")
@click.option(
    "--from", "first", type=click.IntRange(1), help="Number of the first report; 1 is the participant's first. [default: the next new]"
)
@click.option("--wait", type=click.FloatRange(0), help="End after this many seconds without a new report. [default: never]")
@orders_option
@access_options
@json_option
@failing
def drop_copy(first: int | None, wait: float | None, orders: str, access: Access, as_json: bool) -> None:
    """Print the reports of all sessions of a participant, as they come, until it is interrupted."""
    with DropCopy(orders, access.participant, next_report=first, secret=access.secret, keys=access.keys) as copy:
        while True:
            for report in copy.reports(_LOOK_S if wait is None else wait):
                if as_json:
                    print_json(report)
                else:
                    click.echo(f"{report.report_sequence} session {report.session} {report_line(report)}")
            if wait is not None:
                return


TRADING: Final = (submit, cancel, amend, mass_cancel, orders, fills, drop_copy)
"""The commands."""
