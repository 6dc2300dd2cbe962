"""What a user of a running venue needs: order entry and market data over ZeroMQ.

    with OrderEntry("tcp://127.0.0.1:5555", "FIRM1") as session, MarketData("tcp://127.0.0.1:5557", session.instruments) as feed:
        order = session.buy("AAPL", 100, at="150.25")
        print(session.wait_for(order))
        feed.subscribe("AAPL")
        feed.synchronize()
        print(feed.book("AAPL").best_bid)

`DropCopy` gives the reports of all sessions of a participant. Each object belongs to the one thread that uses it. `AsyncOrderEntry` and
`AsyncDropCopy` are the same for asyncio. All speak the protocol as
`ome.client.protocol` has it, without input and output.
"""

from __future__ import annotations

from ome.client.async_order_entry import AsyncOrderEntry
from ome.client.directory import InstrumentDirectory
from ome.client.drop_copy import AsyncDropCopy, DropCopy
from ome.client.errors import FrameRejected, LogonRefused, OrdersRefused, ReportGap, SessionLost, TimedOut
from ome.client.logon import Logon
from ome.client.market_data import MarketData, Top, TradePrint, Update
from ome.client.order_entry import OrderEntry
from ome.client.orders import Order
from ome.client.reports import OrderId, Report, Reports
from ome.keys import ClientKeys

__all__ = [
    "AsyncDropCopy",
    "AsyncOrderEntry",
    "ClientKeys",
    "DropCopy",
    "FrameRejected",
    "InstrumentDirectory",
    "Logon",
    "LogonRefused",
    "MarketData",
    "Order",
    "OrderEntry",
    "OrderId",
    "OrdersRefused",
    "Report",
    "ReportGap",
    "Reports",
    "SessionLost",
    "TimedOut",
    "Top",
    "TradePrint",
    "Update",
]
