"""The `ome` command: run a venue, try it, send orders, watch a book, and check engines with tapes, cases and real days."""

from __future__ import annotations

import signal
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import cast

import click

from ome.cli import demo as demo_module, ladder
from ome.cli.markets import core_markets, reference_markets, wire_markets
from ome.cli.shell import shell
from ome.cli.systemd import notify
from ome.cli.terminal import Commands, ExitCode, failing, json_option, print_json, progress_bar
from ome.cli.trading import ORDERS, REQUESTS, TRADING, Access, access_options, open_session, orders_option
from ome.client import MarketData
from ome.clock import apart
from ome.codec.schema import HEADER_FILE, SCHEMA_FILE, plain_schema
from ome.config import EXAMPLE_FILE, LIMIT_KEYS, ServerConfig, load_config
from ome.conformance import MarketFactory, Outcome, run_cases, run_lobster, run_tape
from ome.enums import Policy
from ome.instruments import Instrument
from ome.log import open_log
from ome.recovery.directory import segments
from ome.server import Server

__all__ = ["DEFAULT_INSTRUMENTS", "main"]

DEFAULT_INSTRUMENTS = tuple(Instrument(symbol, tick="0.01") for symbol in ("AAPL", "AMZN", "MSFT"))
_FEED = "tcp://127.0.0.1:5557"

feed_option = click.option("--feed", default=_FEED, show_default=True, help="Endpoint of market data.")


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
        values["instruments"] = DEFAULT_INSTRUMENTS  # an existing venue keeps its instruments
    return ServerConfig(**values)  # type: ignore[arg-type]


@main.command()
@click.option(
    "--config",
    type=click.Path(),
    help="TOML file; `ome config` prints one that explains every key. Without one: three instruments, journal in ./data.",
)
@click.option("--directory", type=click.Path(path_type=Path), help="Directory of the journal and the counters.")
@click.option("--orders", "orders_endpoint", help=f"Endpoint of order entry. [default: {ORDERS}]")
@click.option("--feed", "feed_endpoint", help=f"Endpoint of market data. [default: {_FEED}]")
@click.option("--requests", "requests_endpoint", help=f"Endpoint of requests; empty for none. [default: {REQUESTS}]")
@click.option(
    "--policy", type=click.Choice([policy.name.lower() for policy in Policy]), help="How durable a command is before it is reported."
)
@click.option(
    "--add-instruments", is_flag=True, default=None, help="Add the configured instruments that an existing venue does not have yet."
)
@click.option("--accept-clock", is_flag=True, help="Accept a machine's clock that is far ahead of the journal's last command.")
@json_option
@failing
def run(config: str | None, policy: str | None, accept_clock: bool, as_json: bool, **overrides: object) -> None:
    """Run a venue until SIGINT, SIGTERM or SIGHUP. Every start recovers the journal."""
    settings = _config(config, overrides | {"policy": Policy[policy.upper()] if policy else None})
    with open_log(settings.log_format, settings.log_file):
        _run(Server(settings, accept_clock=accept_clock), as_json=as_json)


def _run(server: Server, *, as_json: bool) -> None:
    """From its start to its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup makes the process ignore it
            signal.signal(number, lambda *_: server.stop())  # writes to a descriptor: safe at any moment, and more than once
    summary = server.start()
    notify("READY=1")
    try:
        if as_json:
            print_json(
                {"orders": server.orders_endpoint, "feed": server.feed_endpoint, "requests": server.requests_endpoint, "summary": summary}
            )
        else:
            torn = f" (a torn tail of {summary.torn_bytes:,} bytes was truncated and saved to a file)" if summary.torn_bytes else ""
            snapshot = f", {summary.snapshot_sequence:,} of them from a snapshot" if summary.snapshot_sequence else ""
            events = f"  {summary.events_checked:,} events equal to the log" if summary.events_checked else ""
            events += f"  {summary.events_completed:,} events added to the log" if summary.events_completed else ""
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
                    "see docs/OPERATING.md, A clock that is wrong",
                    err=True,
                )
            click.echo(
                f"ome {version('ome')}  {summary.instruments} instruments  policy {summary.policy.name.lower()}  "
                f"recovered {summary.recovered_commands:,} commands{snapshot} in {summary.recovery_seconds:.1f} s{torn}{events}  "
                f"ready at sequence {summary.next_sequence:,}"
            )
            asked = f"  requests {server.requests_endpoint}" if server.requests_endpoint else ""
            click.echo(f"orders {server.orders_endpoint}  market data {server.feed_endpoint}{asked}")
        server.wait()
    finally:
        notify("STOPPING=1")
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
    """Print a configuration with every key, its default and its meaning: ome config > ome.toml"""
    click.echo(EXAMPLE_FILE.read_text(encoding="utf-8"), nl=False)


@main.command(name="schema")
@click.option("--plain", is_flag=True, help="In plain SBE, for tools that do not know ome's extensions, or ignore offsets.")
@click.option("--header", is_flag=True, help="As a header for C and C++: every message as a struct.")
@failing
def print_schema(plain: bool, header: bool) -> None:
    """Print the schema of the wire (FIX Simple Binary Encoding): ome schema > ome.xml"""
    if plain and header:
        raise click.UsageError("found --plain and --header; allowed: one of them")
    click.echo(plain_schema() if plain else (HEADER_FILE if header else SCHEMA_FILE).read_text(encoding="utf-8"), nl=False)


@main.command()
@click.option("--count", "order_count", type=click.IntRange(1_000), default=300_000, show_default=True, help="Number of commands.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the order flow.")
@click.option(
    "--policy",
    type=click.Choice([policy.name.lower() for policy in Policy if policy is not Policy.MEMORY]),
    default="commit",
    show_default=True,
)
@click.option("--lobster", type=click.Path(exists=True, path_type=Path), help="A LOBSTER zip file: replay that real day as the order flow.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    help="Empty directory for the journal, which stays there. Without it, a temporary folder is used and removed.",
)
@json_option
@failing
def demo(order_count: int, seed: int, policy: str, lobster: Path | None, directory: Path | None, as_json: bool) -> None:
    """Run a server, send it order flow over ZeroMQ, show the live book, and check that a replay agrees."""
    result = demo_module.run_demo(
        order_count=order_count, seed=seed, policy=Policy[policy.upper()], lobster=lobster, directory=directory, quiet=as_json
    )
    if as_json:
        print_json(result)
    else:
        click.echo(result.text())
    if not result.is_good:
        raise SystemExit(ExitCode.INTEGRITY if not result.replay_equal else ExitCode.FAILED)


for trading_command in (*TRADING, shell):
    main.add_command(trading_command)


@main.command()
@click.argument("symbol")
@click.option("--depth", default=10, show_default=True, help="Number of levels on each side.")
@click.option("--seconds", type=float, help="End after this many seconds. Without it, Ctrl-C ends the command.")
@click.option("--interval", default=0.5, show_default=True, help="Seconds between two updates of the screen.")
@orders_option
@feed_option
@access_options
@json_option
@failing
def watch(symbol: str, depth: int, seconds: float | None, interval: float, orders: str, feed: str, access: Access, as_json: bool) -> None:
    """Watch a book live. The command logs on once to get the list of instruments."""
    with open_session(access, orders) as session:
        instruments = session.instruments
    with MarketData(feed, instruments, keys=access.keys) as market:
        market.subscribe(symbol)
        market.synchronize()
        ladder.watch(market, symbol, depth=depth, seconds=seconds, interval=interval, as_json=as_json)


def _markets(wire: bool, reference: bool) -> AbstractContextManager[MarketFactory]:
    if wire and reference:
        raise click.UsageError("--wire and --reference exclude each other")
    return wire_markets() if wire else reference_markets() if reference else core_markets()


wire_option = click.option("--wire", is_flag=True, help="Use a running server, over ZeroMQ.")
reference_option = click.option("--reference", is_flag=True, help="Use the reference model.")


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@wire_option
@reference_option
@json_option
@failing
def tape(files: tuple[Path, ...], wire: bool, reference: bool, as_json: bool) -> None:
    """Replay tapes and check every trade and every book. A mismatch prints row, expected and found values, and exits with 1."""
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
    """Roughly how many commands a tape holds, for the progress bar."""
    return file.stat().st_size // (12 if file.suffix == ".gz" else 40)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@wire_option
@reference_option
@json_option
@failing
def cases(paths: tuple[Path, ...], wire: bool, reference: bool, as_json: bool) -> None:
    """Run cases: files, or folders of them. Cases that need a missing feature are skipped, and counted by feature."""
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
@click.option("--limit", type=int, help="Use only this many messages from the beginning of the day.")
@wire_option
@reference_option
@json_option
@failing
def lobster(file: Path, limit: int | None, wire: bool, reference: bool, as_json: bool) -> None:
    """Replay a day from LOBSTER files (a zip file or a folder) and check trades and books."""
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
