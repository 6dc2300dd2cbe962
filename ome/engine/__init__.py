"""The engine inside your process: the C core behind one call for one order, and one call for a million.

Prices and quantities are decimal numbers in units of the instrument, wherever they go in or come out as objects: `Decimal`, `str`, `int`
and integers of numpy go in, `Decimal` comes out. Arrays and messages hold integers, of price units and lots; names say so.
"""

from __future__ import annotations

from ome.engine.batch import event_rows
from ome.engine.book import Book, Level
from ome.engine.calls import ConcurrentUseError, EngineClosedError
from ome.engine.market import Engine
from ome.engine.orders import OpenOrder
from ome.engine.reports import Completion, OrderRejectedError, Prevented, Report, Trade
from ome.engine.state import AccountState, EngineState, SessionState, limits_of, misfit
from ome.engine.view import EngineView

__all__ = [
    "AccountState",
    "Book",
    "Completion",
    "ConcurrentUseError",
    "Engine",
    "EngineClosedError",
    "EngineState",
    "EngineView",
    "Level",
    "OpenOrder",
    "OrderRejectedError",
    "Prevented",
    "Report",
    "SessionState",
    "Trade",
    "event_rows",
    "limits_of",
    "misfit",
]
