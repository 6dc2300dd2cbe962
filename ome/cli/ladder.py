"""The book on a terminal: a picture that is drawn over itself, or plain lines where the output is not a terminal."""

from __future__ import annotations

import sys
import time

import click

from ome.cli.terminal import print_json
from ome.client import MarketData
from ome.marketdata import Book

__all__ = ["Screen", "book_lines", "top_line", "watch"]

_BAR_WIDTH = 24


def top_line(book: Book) -> str:
    """The best bid and ask in one line."""
    bid, ask = book.best_bid, book.best_ask
    return f"{bid.quantity if bid else 0} @ {bid.price if bid else '-'} | {ask.price if ask else '-'} @ {ask.quantity if ask else 0}"


def book_lines(symbol: str, book: Book, depth: int, note: str = "") -> list[str]:
    """Asks above bids, best prices in the middle, a bar for each quantity; always 2 * depth + 2 lines."""
    bids, asks = book.bids[:depth], book.asks[:depth]
    most = max((level.quantity for level in (*bids, *asks)), default=1)
    lines = [f"{symbol}  {note}"]
    for name, levels, missing_first in (("ask", tuple(reversed(asks)), True), ("bid", bids, False)):
        rows = [
            f"  {name} {level.price!s:>14} {level.quantity!s:>12} {level.order_count:>6} orders  "
            f"{'#' * max(1, int(_BAR_WIDTH * level.quantity / most))}"
            for level in levels
        ]
        blanks = [""] * (depth - len(rows))
        lines += blanks + rows if missing_first else rows + blanks
        if missing_first:
            lines.append("  " + "-" * 40)
    return lines


class Screen:
    """Draws lines over the ones drawn before. Where the output is not a terminal: only every tenth picture's first line."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty()
        self._drawn = 0

    def draw(self, lines: list[str]) -> None:
        """Shows these lines in the place of the last ones."""
        if not self.is_terminal:
            click.echo(lines[0])
            return
        if self._drawn:
            click.echo(f"\x1b[{self._drawn}A", nl=False)
        for line in lines:
            click.echo(f"\x1b[2K{line}")
        self._drawn = len(lines)


def watch(market: MarketData, symbol: str, *, depth: int, seconds: float | None, interval: float, as_json: bool) -> None:
    """Shows the book of `symbol`, which `market` has subscribed to, every `interval` seconds, with the trades in between."""
    screen = Screen()
    end = None if seconds is None else time.monotonic() + seconds
    trade_count = 0
    try:
        while end is None or time.monotonic() < end:
            due = time.monotonic() + interval
            while (left := due - time.monotonic()) > 0:
                market.poll(left)
            trades = list(market.trades())
            trade_count += len(trades)
            book = market.book(symbol, depth)
            if as_json:
                print_json({"symbol": symbol, "bids": book.bids, "asks": book.asks, "trades": trades})
                continue
            last = f"last {trades[-1].price}" if trades else ""
            screen.draw(book_lines(symbol, book, depth, f"{top_line(book)}  {trade_count:,} trades {last}"))
    except KeyboardInterrupt:
        pass
