"""`ome-admin state`: print the books as they were after a command."""

from __future__ import annotations

from pathlib import Path

import click

from ome.cli.admin.arguments import beginning_line, book_lines, directory_argument, hash_text
from ome.cli.terminal import failing, json_option, print_json, printing, progress_bar
from ome.recovery.directory import command_count, is_served, require_journal
from ome.recovery.state import MarketState, market_state
from ome.recovery.wording import account_line, order_line, session_line, time_text

__all__ = ["state"]


@click.command()
@directory_argument
@click.option("--at", type=click.IntRange(0), help="Show the state after this command. [default: the last]")
@click.option("--instrument", help="Only this symbol.")
@click.option(
    "--orders",
    is_flag=True,
    help="Also print every order: resting orders in the order of trading, then waiting orders in the order of triggering.",
)
@json_option
@failing
def state(directory: Path, at: int | None, instrument: str | None, orders: bool, as_json: bool) -> None:
    """Print the books as they were after a command, by replay. Read-only."""
    require_journal(directory)
    with progress_bar(f"replaying {directory}", at or command_count(directory), hidden=as_json) as progress:
        found = market_state(directory, at=at, symbol=instrument, with_orders=orders, live=is_served(directory), progress=progress)
    if as_json:
        print_json(_values(found, orders))
        return
    with printing() as line:
        line(
            f"sequence {found.sequence:,}  time {time_text(found.time_ns)}  trades {found.trade_count:,}  "
            f"state {hash_text(found.state_hash) or '-'}  events {hash_text(found.event_hash)}  "
            f"rules {'-' if found.rules_version is None else found.rules_version}"
        )
        if (text := beginning_line(found.begins_behind)) is not None:
            line(text)
        for session in found.sessions if instrument is None else ():
            line(session_line(session))
        for account in found.accounts if instrument is None else ():
            line(account_line(account))
        for one in found.instruments:
            for text in book_lines(one):
                line(text)
            for name, listed in (("at rest", one.orders), ("waiting", one.waiting)):
                if listed:
                    line(f"  {name}:")
                for order in listed:
                    line(order_line(order))


def _values(found: MarketState, with_orders: bool) -> dict[str, object]:
    instruments = []
    for one in found.instruments:
        values: dict[str, object] = {"instrument": one.number, "symbol": one.symbol, "last_price": one.last_price}
        values |= {"bids": one.bids, "asks": one.asks}
        if with_orders:
            values |= {"orders": one.orders, "waiting": one.waiting}
        instruments.append(values)
    hashes = {"state_hash": hash_text(found.state_hash), "event_hash": hash_text(found.event_hash)}
    counts = {"begins_behind": found.begins_behind, "sequence": found.sequence, "time_ns": found.time_ns, "trades": found.trade_count}
    return {
        **counts,
        **hashes,
        "rules_version": found.rules_version,
        "sessions": found.sessions,
        "accounts": found.accounts,
        "instruments": instruments,
    }
