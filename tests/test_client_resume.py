"""Sessions of the client over connections that break and venues that start again: each command once, each report once and in order."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from fake_servers import FakeServer, message, new_orders
from proxies import Proxy
from venues import Wire, journal_commands, new_order, venue_config

from ome.client import AsyncOrderEntry, LogonRefused, OrderEntry, OrderId, SessionLost, TimedOut
from ome.enums import CommandKind, EventKind, Policy, Reason
from ome.errors import InvalidTypeError, InvalidValueError
from ome.server import Server

COUNT = 1_500  # commands: orders, each cancelled right behind it, so that the limits of the venue hold


def commands_of(first: int, count: int) -> npt.NDArray[np.void]:
    """So many commands: an order and its cancel, and so on."""
    commands = np.repeat(new_orders(count // 2), 2)
    commands["client_order_id"] = np.repeat(np.arange(first, first + count // 2), 2)
    commands["kind"][1::2] = CommandKind.CANCEL_ORDER
    return commands


def check(reports: npt.NDArray[np.void], count: int) -> None:
    """One report for each command, in order, and their numbers without a gap."""
    assert reports["report_sequence"].tolist() == list(range(1, count + 1))
    assert reports["kind"].tolist() == [EventKind.ACCEPTED, EventKind.CANCELLED] * (count // 2)
    assert reports["client_order_id"].tolist() == np.repeat(np.arange(1, count // 2 + 1), 2).tolist()


def check_journal(directory: Path, count: int) -> None:
    """Each command was sequenced once, in order."""
    taken = [row for row in journal_commands(directory) if row["kind"] in (CommandKind.NEW_ORDER, CommandKind.CANCEL_ORDER)]
    assert [int(row["session_sequence"]) for row in taken] == list(range(1, count + 1))


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_lost_or_doubled_over_a_proxy_that_cuts(tmp_path: Path, seed: int) -> None:
    """PROTOCOL, A client that loses nothing."""
    print(f"seed {seed}")
    generator = random.Random(seed)
    with Server(venue_config(tmp_path)) as server, Proxy(server.orders_endpoint) as proxy:
        with OrderEntry(proxy.endpoint, "FIRM1", timeout=20.0) as session:
            parts = []
            sent = 0
            while sent < COUNT:
                count = min(2 * generator.randint(1, 20), COUNT - sent)
                session.send(commands_of(1 + sent // 2, count), generator.choice([None, 2, 7]))
                sent += count
                if generator.random() < 0.04:
                    proxy.cut()
                parts.append(session.receive(generator.choice([0.0, 0.005])))
            while session.pending or session.report_sequence < COUNT:
                parts.append(session.receive(5.0))
            assert session.logon_count > 1, "connections were cut"
        check(np.concatenate(parts), COUNT)
    check_journal(tmp_path, COUNT)


def test_nothing_is_lost_or_doubled_where_the_venue_stops_and_starts_again(tmp_path: Path) -> None:
    """On the same port and directory; the client is inside one call, and then it sends."""
    server = Server(venue_config(tmp_path))
    server.start()
    session = OrderEntry(server.orders_endpoint, "FIRM1", timeout=20.0)
    epoch = session.logon.epoch
    parts = []
    for start in range(3):
        session.send(commands_of(1 + 50 * start, 100))
        parts.append(session.receive(0.0))
        endpoint = server.orders_endpoint
        server.close()
        server = Server(venue_config(tmp_path, orders_endpoint=endpoint))
        server.start()
    while session.pending or session.report_sequence < 300:
        parts.append(session.receive(5.0))
    assert session.logon_count > 1
    assert session.logon.epoch != epoch
    session.close()
    server.close()
    check(np.concatenate(parts), 300)
    check_journal(tmp_path, 300)


def test_a_session_that_is_made_anew_goes_on_from_a_stored_number(tmp_path: Path) -> None:
    """PROTOCOL, Logon: next_report_sequence, and the commands' numbers go on."""
    with Server(venue_config(tmp_path)) as server:
        with OrderEntry(server.orders_endpoint, "FIRM1") as session:
            order = session.buy("AAPL", 10, at="1.00")
            first = session.wait_for(order)
            session.reduce(order, 1)
            session.close()
        with OrderEntry(server.orders_endpoint, "FIRM1", next_report=first.report_sequence + 1) as session:
            assert session.wait_for(order).kind is EventKind.REDUCED
            session.amend(first.order_id, "1.01", symbol="AAPL")
            assert session.wait_for(order).kind is EventKind.AMENDED
            session.cancel(order.client_order_id)
            assert session.wait_for(order).kind is EventKind.CANCELLED


def test_orders_are_named_by_object_or_either_id_and_a_mass_cancel_by_its_own(tmp_path: Path) -> None:
    """Each way reaches the order; a batch is one frame; COMPLETED repeats the mass cancel's id."""
    with Server(venue_config(tmp_path)) as server, OrderEntry(server.orders_endpoint, "FIRM1") as session:
        with session.batch():
            orders = [session.buy("AAPL", 10, at="1.00") for _ in range(4)]
            assert session.pending == 0
        found = [session.wait_for(order) for order in orders]
        assert len({report.timestamp_ns for report in found}) == 1
        assert all(report.is_resting and not report.is_waiting and report.session == session.logon.session for report in found)
        session.cancel(orders[0])
        session.cancel(orders[1].client_order_id)
        session.cancel(found[2].order_id, symbol="AAPL")
        assert [session.wait_for(order).kind for order in orders[:3]] == [EventKind.CANCELLED] * 3
        assert session.amend(OrderId(found[3].order_id), "1.02", symbol=1) == found[3].order_id
        assert session.wait_for(orders[3]).kind is EventKind.AMENDED
        with pytest.raises(InvalidTypeError, match="a client order id: reports are found by these"):
            session.wait_for(found[3].order_id)
        own = session.mass_cancel("AAPL")
        assert session.wait_for(orders[3]).kind is EventKind.CANCELLED
        completed = session.wait_for(own)
        assert (completed.kind, completed.client_order_id) == (EventKind.COMPLETED, own)
        assert completed.last_quantity == 1
        stop = session.buy("AAPL", 1, stop="9.00")
        accepted, set_ = session.wait_for(stop), session.wait_for(stop)
        assert accepted.is_waiting
        assert (set_.kind, str(set_.price), set_.order_type) == (EventKind.STOP_SET, "9.00", 3)
        with pytest.raises(InvalidValueError), session.batch():
            session.sell("AAPL", session.buy("AAPL", 1, at="1.00").quantity - 1)
        with pytest.raises(InvalidValueError, match="one at a time"), session.batch(), session.batch():
            pass
        assert session.pending == 0


@pytest.mark.parametrize("choice", ["never", "disconnect"])
def test_orders_are_cancelled_on_disconnect_where_that_was_chosen(tmp_path: Path, choice: str) -> None:
    """PROTOCOL, Cancel on disconnect: the reports come when the session is back. COMPLETED is no answer to what it asked."""
    with (
        Server(venue_config(tmp_path)) as server,
        Proxy(server.orders_endpoint) as proxy,
        OrderEntry(proxy.endpoint, "FIRM1", cancel_on_disconnect=choice) as session,  # type: ignore[arg-type]
    ):
        order = session.buy("AAPL", 10, at="1.00")
        session.wait_for(order)
        proxy.cut()
        reports = []
        while session.logon_count == 1:
            reports += list(session.reports(0.1))
        reports += list(session.reports(0.3))
        kinds = [(report.kind, report.reason) for report in reports]
        gone = [(EventKind.CANCELLED, Reason.DISCONNECTED), (EventKind.COMPLETED, Reason.NONE)]
        assert kinds == ([] if choice == "never" else gone)
        assert session.pending == 0
        session.cancel(order)
        assert session.wait_for(order).kind is (EventKind.CANCELLED if choice == "never" else EventKind.REJECTED)


def test_a_session_in_use_is_left_alone_where_that_is_asked(tmp_path: Path) -> None:
    """PROTOCOL, Logon: NO_TAKEOVER."""
    with Server(venue_config(tmp_path)) as server, OrderEntry(server.orders_endpoint, "FIRM1") as first:
        with pytest.raises(LogonRefused) as caught:
            OrderEntry(server.orders_endpoint, "FIRM1", takeover=False)
        assert caught.value.found is Reason.SESSION_IN_USE
        with OrderEntry(server.orders_endpoint, "FIRM1") as second:
            with pytest.raises(SessionLost, match="SESSION_TAKEN_OVER"):
                first.receive(5.0)
            assert second.wait_for(second.buy("AAPL", 1, at="1.00")).kind is EventKind.ACCEPTED


CLIENT = """
import sys
from ome.client import OrderEntry
with OrderEntry(sys.argv[1], "FIRM1", heartbeat=0.1) as session:
    session.wait_for(session.buy("AAPL", 1, at="1.00"))
    print("ready", flush=True)
    while session.logon_count == 1:
        session.receive(0.05)
    print(session.wait_for(session.buy("AAPL", 1, at="1.00")).report_sequence, flush=True)
"""


def test_a_client_that_is_stopped_for_longer_than_its_heartbeat_goes_on() -> None:
    """SIGSTOP: the server ends the connection; the client comes back by itself."""
    with Server(venue_config(None, policy=Policy.MEMORY)) as server:
        process = subprocess.Popen([sys.executable, "-c", CLIENT, server.orders_endpoint], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.8)
        process.send_signal(signal.SIGCONT)
        assert process.stdout.readline() == "2\n"
        assert process.wait(10) == 0
        process.stdout.close()


@pytest.mark.parametrize("limits", [{"messages_per_second": 500}, {"messages_in_flight": 20}])
def test_sessions_that_share_an_allowance_are_throttled_and_go_on(tmp_path: Path, limits: dict[str, int]) -> None:
    """PROTOCOL, THROTTLED: each session keeps to the limits; where both together exceed them, nothing is lost and neither is ended."""
    with (
        Server(venue_config(tmp_path, **limits)) as server,
        OrderEntry(server.orders_endpoint, "FIRM1", 1) as one,
        OrderEntry(server.orders_endpoint, "FIRM1", 2) as other,
    ):
        for start in range(0, 400, 40):
            for place, session in enumerate((one, other)):
                session.send(commands_of(1 + start // 2 + place * 1_000, 40))
                session.receive()
        for session in (one, other):
            while session.pending:
                session.receive(5.0)
            assert (session.report_sequence, session.logon_count) == (400, 1)


# ---- asyncio ----


def test_async_session_sends_waits_and_reads(tmp_path: Path) -> None:
    """The same methods, awaited; several tasks wait at once."""

    async def run(endpoint: str) -> None:
        async with AsyncOrderEntry(endpoint, "FIRM1") as session:
            orders = [await session.buy("AAPL", 1 + number, at="1.00") for number in range(20)]
            found = await asyncio.gather(*(session.wait_for(order) for order in reversed(orders)))
            assert [report.leaves_quantity for report in found] == list(range(20, 0, -1))
            async with session.batch():
                await session.cancel(orders[0])
                await session.cancel(found[0].order_id)
                assert session.pending == 0
            assert [report.kind async for report in session.reports(0.1)] == [EventKind.CANCELLED] * 2
            await session.send(new_orders(5))
            reports = await session.receive()
            while len(reports) < 5:
                reports = np.concatenate([reports, await session.receive()])
            assert reports["client_order_id"].tolist() == [1, 2, 3, 4, 5]
            own = await session.mass_cancel()
            assert (await session.wait_for(own)).last_quantity == 23
            with pytest.raises(TimedOut):
                await session.wait_for(7_777, timeout=0.05)
        with pytest.raises(SessionLost):
            await session.buy("AAPL", 1)
        with pytest.raises(InvalidValueError, match="one that is not open"):
            await AsyncOrderEntry(endpoint, "FIRM1").receive()

    with Server(venue_config(tmp_path)) as server:
        asyncio.run(run(server.orders_endpoint))


def test_async_session_is_kept_alive_while_nobody_waits() -> None:
    """The loop sends its heartbeats; where the loop itself stands still, the session comes back."""

    async def run(endpoint: str) -> None:
        async with AsyncOrderEntry(endpoint, "FIRM1", heartbeat=0.1) as session:
            await asyncio.sleep(0.6)
            assert session.logon_count == 1
            time.sleep(0.6)
            while session.logon_count == 1:
                await asyncio.sleep(0.01)
            assert (await session.wait_for(await session.buy("AAPL", 1, at="1.00"))).kind is EventKind.ACCEPTED

    with Server(venue_config(None, policy=Policy.MEMORY)) as server:
        asyncio.run(run(server.orders_endpoint))


def test_async_session_loses_and_doubles_nothing_over_a_proxy_that_cuts(tmp_path: Path) -> None:
    """One task sends, another reads; connections break at random moments."""

    async def run(proxy: Proxy) -> npt.NDArray[np.void]:
        async with AsyncOrderEntry(proxy.endpoint, "FIRM1", timeout=20.0) as session:

            async def send() -> None:
                for start in range(0, COUNT, 10):
                    await session.send(commands_of(1 + start // 2, 10))
                    if start % 400 == 0:
                        proxy.cut()
                    await asyncio.sleep(0.001)

            sender = asyncio.create_task(send())
            parts = []
            while session.report_sequence < COUNT:
                parts.append(await session.receive(5.0))
            await sender
            assert session.logon_count > 1
            return np.concatenate(parts)

    with Server(venue_config(tmp_path)) as server, Proxy(server.orders_endpoint) as proxy:
        check(asyncio.run(run(proxy)), COUNT)
    check_journal(tmp_path, COUNT)


def test_async_session_that_is_refused_or_lost_says_so() -> None:
    """As the other one; whoever waits is woken."""

    async def run(server: FakeServer) -> None:
        server.logon_answer = lambda logon: [message(129, reason=Reason.BAD_SECRET)]
        with pytest.raises(LogonRefused):
            async with AsyncOrderEntry(server.endpoint, "FIRM1"):
                pass
        server.logon_answer = server.admit
        session = AsyncOrderEntry(server.endpoint, "FIRM1")
        await session.open()
        waiting = asyncio.create_task(session.receive())
        await asyncio.sleep(0.05)
        server.say(message(130, reason=Reason.SESSION_TAKEN_OVER))
        with pytest.raises(SessionLost, match="SESSION_TAKEN_OVER"):
            await waiting
        await session.close()
        await session.close()

    with closing(FakeServer()) as server:
        asyncio.run(run(server))


def test_wire_and_client_agree_on_the_numbers(tmp_path: Path) -> None:
    """A session that other code has used goes on in the client, and back."""
    with Server(venue_config(tmp_path)) as server:
        for count in range(0, 4, 2):
            with OrderEntry(server.orders_endpoint, "FIRM1") as session:
                session.wait_for(session.buy("AAPL", 1, at="1.00"))
            with Wire(server.orders_endpoint) as wire:
                assert wire.log_on("FIRM1")["command_sequence"] == count + 1
                wire.say(new_order(client_order_id=5 + count))
                assert wire.hear_report()["kind"] is EventKind.ACCEPTED
