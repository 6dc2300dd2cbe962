"""The `ome` command: run a venue, try it, send orders, watch a book, and hold engines to tapes, cases and real days."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path
from typing import cast

import click

from ome.cli import demo as demo_module, ladder
from ome.cli.markets import core_markets, reference_markets, wire_markets
from ome.cli.session_numbers import FIRST, free_session_number
from ome.cli.terminal import Commands, ExitCode, failing, json_option, moment, print_json, progress_bar
from ome.client import MarketData, OrderEntry, Report
from ome.clock import apart
from ome.codec import OrderOptions, encode_commands, new_order, side_of
from ome.config import EXAMPLE_FILE, LIMIT_KEYS, ServerConfig, load_config
from ome.conformance import MarketFactory, Outcome, run_cases, run_lobster, run_tape
from ome.enums import Policy, SelfTradePrevention, SelfTradeScope, Side, TimeInForce
from ome.instruments import Instrument
from ome.recovery.directory import segments
from ome.server import Server

__all__ = ["DEFAULT_INSTRUMENTS", "main"]

DEFAULT_INSTRUMENTS = tuple(Instrument(symbol, tick="0.01") for symbol in ("AAPL", "AMZN", "MSFT"))
_ORDERS = "tcp://127.0.0.1:5555"
_FEED = "tcp://127.0.0.1:5557"

orders_option = click.option("--orders", default=_ORDERS, show_default=True, help="Endpoint of order entry.")
feed_option = click.option("--feed", default=_FEED, show_default=True, help="Endpoint of market data.")
participant_option = click.option("--participant", default="TRADER", show_default=True, help="Who logs on.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("ome"), prog_name="ome")
def main() -> None:
    """An order matching engine. Exit codes: 0 ok, 1 failed, 2 usage, 3 integrity."""


def _config(config: str | None, overrides: dict[str, object]) -> ServerConfig:
    given = {key: value for key, value in overrides.items() if value is not None}
    if config is not None:
        return load_config(config, **given)
    values: dict[str, object] = {"directory": Path("data"), "source": "command line"} | given
    if values.get("policy") is Policy.MEMORY or not segments(cast("Path", values["directory"])):
        values["instruments"] = DEFAULT_INSTRUMENTS  # a venue that exists keeps those that it has
    return ServerConfig(**values)  # type: ignore[arg-type]


@main.command()
@click.option(
    "--config",
    type=click.Path(),
    help="TOML file; `ome config` prints one that explains every key. Without one: three instruments, journal in ./data.",
)
@click.option("--directory", type=click.Path(path_type=Path), help="Journal and counters.")
@click.option("--orders", "orders_endpoint", help=f"Endpoint of order entry. [default: {_ORDERS}]")
@click.option("--feed", "feed_endpoint", help=f"Endpoint of market data. [default: {_FEED}]")
@click.option(
    "--policy", type=click.Choice([policy.name.lower() for policy in Policy]), help="How durable a command is before it is reported."
)
@click.option("--add-instruments", is_flag=True, default=None, help="Add to a venue that exists the instruments that it does not have yet.")
@click.option("--accept-clock", is_flag=True, help="The machine's clock is right, though it is far ahead of the journal.")
@json_option
@failing
def run(config: str | None, policy: str | None, accept_clock: bool, as_json: bool, **overrides: object) -> None:
    """Run a venue until SIGINT, SIGTERM or SIGHUP. Starting again is recovering."""
    server = Server(_config(config, overrides | {"policy": Policy[policy.upper()] if policy else None}), accept_clock=accept_clock)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup has it ignored
            signal.signal(number, lambda *_: server.stop())  # writes to a descriptor, so it may interrupt anything, and come again
    summary = server.start()
    try:
        if as_json:
            print_json({"orders": server.orders_endpoint, "feed": server.feed_endpoint, "summary": summary})
        else:
            torn = f" (a torn tail of {summary.torn_bytes:,} bytes was cut off and saved to a file)" if summary.torn_bytes else ""
            snapshot = f", {summary.snapshot_sequence:,} of them from a snapshot" if summary.snapshot_sequence else ""
            events = f"  {summary.events_checked:,} events as logged" if summary.events_checked else ""
            events += f"  {summary.events_completed:,} logged anew" if summary.events_completed else ""
            if summary.limits_before is not None:
                before, now = summary.limits_before, server.config.limits
                keys = ((key, getattr(before, field), getattr(now, field)) for field, key in LIMIT_KEYS.items())
                changed = ", ".join(f"{key} {old:,} to {new:,}" for key, old, new in keys if old != new)
                click.echo(f"limits changed: {changed}")
            if summary.refused_snapshots:
                click.echo(f"warning: {summary.refused_snapshots} snapshots could not be used: {summary.refused_reason}", err=True)
            if summary.clock_behind_ns:
                click.echo(
                    f"warning: the machine's clock is {apart(-summary.clock_behind_ns, 'the last command of the journal')}: "
                    "OPERATING.md, A clock that is wrong",
                    err=True,
                )
            click.echo(
                f"ome {version('ome')}  {summary.instruments} instruments  policy {summary.policy.name.lower()}  "
                f"recovered {summary.recovered_commands:,} commands{snapshot} in {summary.recovery_seconds:.1f} s{torn}{events}  "
                f"ready at sequence {summary.next_sequence:,}"
            )
            click.echo(f"orders {server.orders_endpoint}  market data {server.feed_endpoint}")
        server.wait()
    finally:
        stopped = server.close()
    if stopped is not None:
        if as_json:
            print_json(
                {"sequence": stopped.state.sequence, "trades": stopped.state.trade_count, "state_hash": f"{stopped.state_hash:016x}"}
            )
        else:
            click.echo(
                f"stopped at sequence {stopped.state.sequence:,}  {stopped.state.trade_count:,} trades  state {stopped.state_hash:016x}"
            )


@main.command(name="config")
@failing
def print_config() -> None:
    """Print a configuration with every key, its default and what it means: ome config > ome.toml"""
    click.echo(EXAMPLE_FILE.read_text(encoding="utf-8"), nl=False)


@main.command()
@click.option("--count", "order_count", type=click.IntRange(1_000), default=300_000, show_default=True, help="Commands of the session.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the order flow.")
@click.option(
    "--policy",
    type=click.Choice([policy.name.lower() for policy in Policy if policy is not Policy.MEMORY]),
    default="commit",
    show_default=True,
)
@click.option("--lobster", type=click.Path(exists=True, path_type=Path), help="A LOBSTER zip: the session is that real day.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    help="Keep the journal here; it must be empty. Otherwise a fresh folder that is removed.",
)
@json_option
@failing
def demo(order_count: int, seed: int, policy: str, lobster: Path | None, directory: Path | None, as_json: bool) -> None:
    """A server, a session of order flow over ZeroMQ, the live book, and a replay that must agree."""
    result = demo_module.run_demo(
        order_count=order_count, seed=seed, policy=Policy[policy.upper()], lobster=lobster, directory=directory, quiet=as_json
    )
    if as_json:
        print_json(result)
    else:
        click.echo(result.text())
    if not result.is_good:
        raise SystemExit(ExitCode.INTEGRITY if not result.replay_equal else ExitCode.FAILED)


def order_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of an order, by the names of ome.codec.OrderOptions."""
    for option in reversed(
        (
            click.option("--tif", type=_choice(TimeInForce), help="Time in force. [default: gtc, or gtd with --expires]"),
            click.option("--expires", callback=moment, help="Deadline: nanoseconds since 1970, or as 2030-01-31T16:30:00+01:00."),
            click.option("--post-only", is_flag=True, default=None, help="Never take."),
            click.option("--hidden", is_flag=True, default=None, help="Not displayed."),
            click.option("--display", help="Iceberg: the quantity displayed at a time."),
            click.option("--minimum", help="Quantity that must trade at once, or the order is cancelled."),
            click.option("--budget", help="Of a fok: highest cost of a buy, lowest proceeds of a sell."),
            click.option("--collar-ticks", type=int, help="How far from the opposite best an order without limit may trade."),
            click.option("--stop", help="Price that triggers it; of a trailing stop, where it starts."),
            click.option("--trail", help="Trailing stop: distance from the last trade, a price."),
            click.option("--trail-percent", help="Trailing stop: distance from the last trade, in percent."),
            click.option("--limit-offset", help="Trailing stop: distance of its limit from its stop price."),
            click.option("--self-trade", type=_choice(SelfTradePrevention), help="What to do on meeting its own."),
            click.option("--self-trade-scope", type=_choice(SelfTradeScope), help="What its own is. [default: account]"),
            click.option("--self-trade-group", type=int, help="Number of its self-trade group."),
            click.option("--account", type=int, default=0, show_default=True, help="Whose position it changes."),
        )
    ):
        command = option(command)
    return command


def _choice(kind: type[IntEnum]) -> click.Choice[str]:
    return click.Choice([member.name.lower() for member in kind])


@main.command()
@click.argument("side", type=_choice(Side))
@click.argument("symbol")
@click.argument("quantity")
@click.option("--at", help="Limit; without it a market order.")
@order_options
@click.option(
    "--wait", type=click.FloatRange(0), default=0.1, show_default=True, help="Seconds without a further report after which to end."
)
@click.option("--timeout", type=click.FloatRange(0), default=5.0, show_default=True, help="Seconds to wait for the venue's answer.")
@orders_option
@participant_option
@click.option(
    "--session",
    type=click.IntRange(0, 65_535),
    help=f"Session number; a session of the participant that has it is taken over. [default: a free one from {FIRST:,} on]",
)
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
    participant: str,
    session: int | None,
    as_json: bool,
    **options: object,
) -> None:
    """Send one order and print what becomes of it."""
    with contextlib.ExitStack() as stack:
        if session is None:
            session = stack.enter_context(free_session_number(orders, participant))
        entry = stack.enter_context(OrderEntry(orders, participant, session, timeout))
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
        report: Report | None = entry.wait_for(order.client_order_id, timeout)
        rejected = False
        while report is not None:
            rejected = rejected or report.kind.name == "REJECTED"
            if as_json:
                print_json(report)
            else:
                click.echo(
                    f"{report.kind.name.lower():<9} {report.symbol} {report.side.name.lower() if report.side else '-'} "
                    f"price {report.price} last {report.last_quantity} leaves {report.leaves_quantity} "
                    f"cumulative {report.cumulative_quantity}" + (f" ({report.reason.name})" if report.reason else "")
                )
            report = None if report.is_final else next(entry.reports(wait), None)
    if rejected:
        raise SystemExit(ExitCode.FAILED)


@main.command()
@click.argument("symbol")
@click.option("--depth", default=10, show_default=True, help="Levels of each side.")
@click.option("--seconds", type=float, help="End after so long; without it, at Ctrl-C.")
@click.option("--interval", default=0.5, show_default=True, help="Seconds between two pictures.")
@orders_option
@feed_option
@participant_option
@json_option
@failing
def watch(symbol: str, depth: int, seconds: float | None, interval: float, orders: str, feed: str, participant: str, as_json: bool) -> None:
    """Watch a book live. Logs on once, for the list of instruments."""
    with free_session_number(orders, participant) as number, OrderEntry(orders, participant, number) as session:
        instruments = session.instruments
    with MarketData(feed, instruments) as market:
        market.subscribe(symbol)
        market.synchronize()
        ladder.watch(market, symbol, depth=depth, seconds=seconds, interval=interval, as_json=as_json)


def _markets(wire: bool, reference: bool) -> AbstractContextManager[MarketFactory]:
    if wire and reference:
        raise click.UsageError("--wire and --reference exclude each other")
    return wire_markets() if wire else reference_markets() if reference else core_markets()


wire_option = click.option("--wire", is_flag=True, help="Through a running server, over ZeroMQ.")
reference_option = click.option("--reference", is_flag=True, help="Through the reference model.")


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@wire_option
@reference_option
@json_option
@failing
def tape(files: tuple[Path, ...], wire: bool, reference: bool, as_json: bool) -> None:
    """Drive tapes and check every trade and every book. At a mismatch: row, expected, found, exit 1."""
    for file in files:
        with _markets(wire, reference) as markets, progress_bar(f"{file.name}", _commands_of(file), hidden=as_json) as progress:
            result = run_tape(file, markets, progress)
        if as_json:
            print_json(result)
        else:
            click.echo(
                f"{file.name}: {result.commands:,} commands, {result.trades:,} trades, {result.books:,} books, "
                f"all right ({result.seconds:.1f} s)"
            )


def _commands_of(file: Path) -> int:
    """About how many commands a tape holds: for the progress bar."""
    return file.stat().st_size // (12 if file.suffix == ".gz" else 40)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@wire_option
@reference_option
@json_option
@failing
def cases(paths: tuple[Path, ...], wire: bool, reference: bool, as_json: bool) -> None:
    """Drive cases: files, or folders of them. What is not there yet is skipped, and counted by feature."""
    with _markets(wire, reference) as markets:
        result = run_cases(paths, markets)
    counts = {outcome.value: result.count(outcome) for outcome in Outcome}
    if as_json:
        print_json(counts | {"skipped_by_feature": dict(result.skipped_by_feature), "failures": result.failed, "seconds": result.seconds})
    else:
        for case in result.failed:
            click.echo(f"failed: {case.file}: {case.name}")
            for difference in case.differences:
                click.echo(f"    {difference}")
        for feature, count in sorted(result.skipped_by_feature.items()):
            click.echo(f"skipped: {count} for {feature}")
        click.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
    if result.failed:
        raise SystemExit(ExitCode.FAILED)


@main.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--limit", type=int, help="Only the first messages of the day.")
@wire_option
@reference_option
@json_option
@failing
def lobster(file: Path, limit: int | None, wire: bool, reference: bool, as_json: bool) -> None:
    """Replay a day from LOBSTER's own files (a zip or a folder) and check trades and books."""
    with _markets(wire, reference) as markets, progress_bar(file.name, None, hidden=as_json) as progress:
        result = run_lobster(file, markets, progress, limit)
    if as_json:
        print_json(result)
        return
    click.echo(
        f"{result.source}: {result.messages:,} messages, {result.commands:,} commands, {result.trades:,} trades, {result.books:,} books of "
        f"{result.level_count} levels, all right ({result.seconds:.1f} s)"
    )
    for what, counts in (("books", result.books_not_checked), ("executions", result.executions_not_checked)):
        for reason, count in counts.items():
            click.echo(f"{what} not checked: {count:,}: {reason}")


if __name__ == "__main__":
    main()
