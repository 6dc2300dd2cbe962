"""Arguments and columns that several commands of `ome-admin` share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from ome.journal import JournalReport, Verdict
from ome.recovery.state import InstrumentState, LevelState

__all__ = ["beginning_line", "book_lines", "directory_argument", "hash_text", "tail_line"]

directory_argument = click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))


def hash_text(value: int | None) -> str | None:
    """A hash of 64 bits as all commands print it."""
    return None if value is None else f"{value:016x}"


def beginning_line(begins_behind: int) -> str | None:
    """The line for a journal that begins after a command; None if it begins with the first."""
    if begins_behind == 0:
        return None
    return f"begins after command {begins_behind:,}, with its snapshot: the first segments are missing"


def tail_line(report: JournalReport) -> str | None:
    """The line for a torn tail; None if there is none."""
    if report.verdict is not Verdict.TORN:
        return None
    return (
        f"torn tail: {report.torn_bytes:,} bytes in {report.path} from offset {report.offset:,}; "
        "the next start truncates them and saves them to a file"
    )


def book_lines(instrument: InstrumentState) -> Iterator[str]:
    """The levels of an instrument: asks above bids, best prices in the middle."""
    yield f"{instrument.symbol}  instrument {instrument.number}  last {instrument.last_price if instrument.last_price is not None else '-'}"
    yield from (_level_line("ask", level) for level in reversed(instrument.asks))
    yield f"  {'-' * 44}"
    yield from (_level_line("bid", level) for level in instrument.bids)


def _level_line(name: str, level: LevelState) -> str:
    return f"  {name} {level.price!s:>16} {level.quantity!s:>14} {level.order_count:>6} orders"
