"""Files of a LOBSTER day: found in a zip file or a folder, opened, and read as messages and rows. What is in them `lobster` says."""

from __future__ import annotations

import re
import zipfile
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ome.enums import Side
from ome.errors import InvalidValueError

__all__ = [
    "BUY",
    "CROSS",
    "DELETION",
    "EXECUTION",
    "HALT",
    "HIDDEN_EXECUTION",
    "OWN_ID_FIRST",
    "PARTIAL_CANCEL",
    "RESUMPTION_PRICE",
    "SELL",
    "SUBMISSION",
    "LobsterSource",
    "Message",
    "Row",
    "opened",
    "read_edges",
    "read_messages",
    "read_row",
]

LobsterSource = Path | str | tuple[Path | str, Path | str]
"""A zip file or a folder that holds one message file and one orderbook file, or these two files."""

SUBMISSION: Final = 1
PARTIAL_CANCEL: Final = 2
DELETION: Final = 3
EXECUTION: Final = 4
HIDDEN_EXECUTION: Final = 5
CROSS: Final = 6
HALT: Final = 7
RESUMPTION_PRICE: Final = 1  # of a HALT message: trading goes on

OWN_ID_FIRST: Final = 2**63  # of orders that have no id of LOBSTER's
BUY, SELL = int(Side.BUY), int(Side.SELL)
_NUMBER_MAX: Final = 2**62  # of prices and sizes
_NAME: Final = re.compile(r"(?P<symbol>[^_/]+)_.*(?P<kind>message|orderbook).*\.csv$", re.IGNORECASE)
_SOURCE_FORM: Final = "a zip file or folder with one SYMBOL_..._message_....csv and one SYMBOL_..._orderbook_....csv, or these two files"
_MESSAGE_FORM: Final = (
    "time,type,order id,size,price,direction: type 1 to 7, direction 1 or -1, whole numbers but for the time, ids below 2^63"
)
_BOOK_FORM: Final = "ask price,ask size,bid price,bid size for each level, as many levels in each row, whole numbers"


class Message(NamedTuple):
    """One row of the message file. `side` is that of the order it is about."""

    type: int
    order_id: int
    size: int
    price: int
    side: int


Quantities = dict[int, int]
"""Quantity by price, of one side of a row of the orderbook file, best first."""

Row = tuple[Quantities, Quantities]
"""Asks and bids."""


@contextmanager
def opened(source: LobsterSource) -> Iterator[tuple[str, str, IO[str], IO[str]]]:
    """The name of the source, its symbol, and its message and orderbook files, open. Raises InvalidValueError where they are not there."""
    place = " and ".join(map(str, source)) if isinstance(source, tuple) else str(source)
    try:
        with ExitStack() as stack:
            if isinstance(source, tuple):
                message_path, book_path = Path(source[0]), Path(source[1])
            elif (path := Path(source)).is_dir():
                message_path, book_path = (path / name for name in _pair([each.name for each in path.iterdir()], place))
            else:
                archive = stack.enter_context(zipfile.ZipFile(path))
                members = _pair(archive.namelist(), place)
                files = [stack.enter_context(TextIOWrapper(archive.open(name), encoding="ascii")) for name in members]
                yield path.name, _symbol(members[0]), files[0], files[1]
                return
            messages = stack.enter_context(message_path.open(encoding="ascii"))
            yield message_path.name, _symbol(message_path.name), messages, stack.enter_context(book_path.open(encoding="ascii"))
    except (OSError, EOFError, UnicodeDecodeError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidValueError("LOBSTER data", where=place, found=str(error), allowed=_SOURCE_FORM) from error


def _pair(names: list[str], place: str) -> tuple[str, str]:
    """The message file and the orderbook file among these names."""
    found = {
        kind: [name for name in names if (match := _NAME.search(name)) and match["kind"].lower() == kind]
        for kind in ("message", "orderbook")
    }
    if any(len(each) != 1 for each in found.values()):
        raise InvalidValueError("LOBSTER data", where=place, found=[name for each in found.values() for name in each], allowed=_SOURCE_FORM)
    return found["message"][0], found["orderbook"][0]


def _symbol(name: str) -> str:
    match = _NAME.search(name)
    return match["symbol"] if match else "LOBSTER"


def read_messages(lines: Iterable[str], name: str) -> list[Message]:
    """The messages of the lines of the message file of the source `name`. Raises InvalidValueError for another form, or no line."""
    messages = []
    sides = {"1": BUY, "-1": SELL}
    for number, line in enumerate(lines, 1):
        try:
            _, kind_text, order_id, size, price, direction = line.split(",")[:6]
            kind = int(kind_text)
            if not SUBMISSION <= kind <= HALT:
                raise ValueError
            side = sides[direction.strip()] if kind <= EXECUTION else BUY
            message = Message(kind, int(order_id), int(size), int(price), side)
            if kind <= EXECUTION and not (0 < message.order_id < OWN_ID_FIRST and max(message.size, abs(message.price)) <= _NUMBER_MAX):
                raise ValueError
            messages.append(message)
        except (ValueError, KeyError):
            where = f"{name}, message row {number}"
            raise InvalidValueError("message", where=where, found=line.strip(), allowed=_MESSAGE_FORM) from None
    if not messages:
        raise InvalidValueError("messages", where=name, found="none", allowed="one row or more")
    return messages


def read_row(line: str, index: int, name: str, level_count: int) -> Row:
    """The book of a line of the orderbook file, that of message `index`, the first is 0. Raises InvalidValueError for another form."""
    try:
        values = [int(value) for value in line.split(",")]
        if len(values) != 4 * level_count or max(values) > _NUMBER_MAX or min(values) < -_NUMBER_MAX:
            raise ValueError
    except ValueError:
        raise _row_refusal(name, line, index) from None
    asks = {price: size for price, size in zip(values[0::4], values[1::4], strict=True) if size}
    bids = {price: size for price, size in zip(values[2::4], values[3::4], strict=True) if size}
    return asks, bids


def read_edges(lines: Iterable[str], name: str) -> tuple[int, dict[int, NDArray[np.int64]]]:
    """How many levels a row has, and the worst price in sight of each side after each row: beyond all prices where a side has
    fewer. Raises InvalidValueError for another form.
    """
    asks, bids, level_count = array("q"), array("q"), 0
    for index, line in enumerate(lines):
        level_count = level_count or (line.count(",") + 1) // 4
        try:
            ask, ask_size, bid, bid_size = (int(value) for value in line.rsplit(",", 4)[-4:])
            asks.append(ask if ask_size else _NUMBER_MAX)
            bids.append(bid if bid_size else -_NUMBER_MAX)
        except (ValueError, OverflowError):
            raise _row_refusal(name, line, index) from None
    return level_count, {SELL: np.array(asks, dtype=np.int64), BUY: np.array(bids, dtype=np.int64)}


def _row_refusal(name: str, line: str, index: int) -> InvalidValueError:
    return InvalidValueError("orderbook", where=f"{name}, orderbook row {index + 1}", found=line.strip(), allowed=_BOOK_FORM)
