"""An order matching engine: a market inside your process, and a venue that takes orders over ZeroMQ.

- This package: the embedded engine. `Engine` is a market, `Instrument` is what it trades; docs/RULES.md says what each
  command does.
- `ome.client`: order entry and market data of a running venue. `ome.server`: a venue, started from `ome.config.ServerConfig`.
- `ome.journal`: the commands of a journal. `ome.recovery`: its replay, and functions that check and repair journals.
- `ome.reference`: the same rules in plain Python, the oracle of the tests.

Prices and quantities are `Decimal`, `str`, `int` or integers of numpy, never floats, and come back as `Decimal`, in units of the
instrument. A wrong argument raises an `OmeError`; if the market refuses an order, the report says so.
"""

from __future__ import annotations

from importlib.metadata import version

from ome import numerics  # noqa: F401  (before anything else imports numpy)

# isort: split
from ome.engine import (
    Book,
    Completion,
    ConcurrentUseError,
    Engine,
    EngineClosedError,
    Level,
    OpenOrder,
    OrderRejectedError,
    Prevented,
    Report,
    Trade,
    event_rows,
)
from ome.enums import Reason, Side
from ome.errors import OmeError
from ome.instruments import Instrument
from ome.messages import Limits

__version__ = version("ome")

__all__ = [
    "Book",
    "Completion",
    "ConcurrentUseError",
    "Engine",
    "EngineClosedError",
    "Instrument",
    "Level",
    "Limits",
    "OmeError",
    "OpenOrder",
    "OrderRejectedError",
    "Prevented",
    "Reason",
    "Report",
    "Side",
    "Trade",
    "__version__",
    "event_rows",
]
