"""The interface of a market that a conformance run needs, whatever implements it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from ome.codec import Records
from ome.enums import Side
from ome.instruments import Instrument

__all__ = ["Market", "MarketFactory", "SeekableMarket"]


class Market(Protocol):
    """An engine, or a client of one."""

    def apply_records(self, commands: Records) -> Records:
        """Applies commands (dtype COMMAND) in order and returns all their events (dtype EVENT) in order.

        Each command gives at least one event. The events of one command are consecutive and carry its `sequence`; each
        command has its own.
        """

    def levels(self, instrument: int, side: Side, depth: int | None) -> Sequence[tuple[int, int, int]]:
        """The `depth` best levels (None for all) of one side as they are after the last command applied, best first.

        Each is (price in price units, quantity in lots, order count). There are fewer than `depth` where the side has fewer.
        """


@runtime_checkable
class SeekableMarket(Market, Protocol):
    """A market that is far away: many steps go into one call, and the books are then set to the end of each step in turn."""

    steps_per_call: int

    def seek(self, sequence: int) -> None:
        """Sets the books to how they were after the command whose events carried `sequence`. Only forward."""


MarketFactory = Callable[[Sequence[Instrument]], Market]
"""Makes a market with empty books and these instruments, numbered from 1 in the order given.

Runs send order commands only, as session 0 (the embedder's own) and participants 1, 2, 3...; a market whose sessions are real maps them.
"""
