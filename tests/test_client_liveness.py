"""How a session notices that its server is gone, what it says then, and what it keeps: against a small server of pyzmq."""

from __future__ import annotations

import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal

import numpy as np
import pytest
from fake_servers import Array, FakeServer, message, new_orders
from venues import venue_config

from ome.client import FrameRejected, MarketData, Order, OrderEntry, ReportGap, SessionLost, TimedOut
from ome.client.reports import UnreadReports
from ome.codec import layouts
from ome.enums import CommandKind, EventKind, Policy, Reason
from ome.errors import InvalidValueError
from ome.marketdata import Channel
from ome.server import Server

LONG = 60.0  # seconds: longer than any test


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with closing(FakeServer()) as made:
        yield made


def lose_connection(session: OrderEntry, server: FakeServer) -> None:
    """Ends the server, and waits until libzmq has noticed; the session has not looked yet."""
    server.close()
    while session._session.socket.loss_count == 0:
        session._session.socket.wait(0.1)
        session._session.socket.read_connection()


# ---- Signs of life ----


def test_waiting_session_asks_for_a_sign_of_life_and_goes_on_when_one_comes(server: FakeServer) -> None:
    """A server that has nothing to report is told from one that is gone."""
    server.answer_frame = lambda frame: []
    session = OrderEntry(server.endpoint, "FIRM1", liveness=0.8, timeout=0.5)
    order = session.buy("AAPL", 1)
    with pytest.raises(TimedOut):
        session.wait_for(order, timeout=3.0)
    assert server.heartbeats == list(range(1, len(server.heartbeats) + 1))
    assert len(server.heartbeats) > 1, "it asks again when it was answered, and then heard nothing again"
    assert session.unanswered == (order.client_order_id,)
    with pytest.raises(SessionLost, match="commands are unanswered"):
        session.close()


WAITS: dict[str, Callable[[OrderEntry, Order], object]] = {
    "wait_for": lambda session, order: session.wait_for(order, LONG),
    "reports": lambda session, order: list(session.reports(LONG)),
    "receive": lambda session, order: session.receive(LONG),
    "close": lambda session, order: session.close(),
}


@pytest.mark.parametrize("method", WAITS)
def test_session_that_hears_nothing_is_lost_and_says_what_is_unanswered(server: FakeServer, method: str) -> None:
    """A server that froze: its machine still acknowledges what TCP brings."""
    server.answer_frame = lambda frame: []
    server.answer_heartbeat = lambda request_id: []
    session = OrderEntry(server.endpoint, "FIRM1", timeout=LONG, liveness=0.8)
    order = session.buy("AAPL", 1)
    with pytest.raises(SessionLost, match=r"nothing heard for 0\.8 s; 1 commands are unanswered") as caught:
        WAITS[method](session, order)
    assert caught.value.unanswered == session.unanswered == (order.client_order_id,)
    assert server.heartbeats == [1]
    session.close()


def test_sender_whose_queue_stays_full_loses_its_session(server: FakeServer) -> None:
    """A server that reads nothing, and says nothing."""
    session = OrderEntry(server.endpoint, "FIRM1", timeout=LONG, liveness=0.8)
    server.is_reading = False

    def send_without_end() -> None:
        while True:
            session.send(new_orders(20_000), messages_per_frame=1)

    with pytest.raises(SessionLost, match="nothing heard") as caught:
        send_without_end()
    assert len(caught.value.unanswered) == session.pending > 0
    session.close()


def test_time_between_calls_is_no_silence(server: FakeServer) -> None:
    """A program that does something else for longer than `liveness` keeps its session."""
    server.answer_heartbeat = lambda request_id: []
    with OrderEntry(server.endpoint, "FIRM1", liveness=1.0) as session:
        for _ in range(2):
            time.sleep(1.5)
            assert session.wait_for(session.buy("AAPL", 1)).kind is EventKind.ACCEPTED


def test_session_with_a_heartbeat_says_so_at_logon_and_says_something_in_time(server: FakeServer) -> None:
    """PROTOCOL, Logon: heartbeat_ms. While a method waits, the server hears of it although there is nothing to say."""
    with OrderEntry(server.endpoint, "FIRM1", heartbeat=0.1) as session:
        assert len(session.receive(1.0)) == 0
    assert server.logons[0]["heartbeat_ms"].tolist() == [100]
    assert len(server.heartbeats) >= 3
    with OrderEntry(server.endpoint, "FIRM1"):
        assert server.logons[1]["heartbeat_ms"].tolist() == [0]


@pytest.mark.parametrize("arguments", [{"heartbeat": 0.05}, {"heartbeat": 61}, {"liveness": 0}, {"liveness": -1}, {"reports_kept": 0}])
def test_bad_times_and_bounds_are_refused_before_anything_is_sent(server: FakeServer, arguments: dict[str, float]) -> None:
    """PROTOCOL, Logon: heartbeat_ms is 100 to 60000, or 0."""
    with pytest.raises(InvalidValueError, match=next(iter(arguments))):
        OrderEntry(server.endpoint, "FIRM1", **arguments)  # type: ignore[arg-type]
    assert server.logons == []


def test_heartbeats_of_the_server_are_no_reports(server: FakeServer) -> None:
    """PROTOCOL, Heartbeat: the server sends them by itself; request_id is 0 then."""
    with OrderEntry(server.endpoint, "FIRM1") as session:
        order = session.buy("AAPL", 1)
        server.say(message(133), message(133))
        assert session.wait_for(order).kind is EventKind.ACCEPTED
        assert len(session.receive(0.1)) == 0


def test_server_of_before_there_were_heartbeats_is_alive(server: FakeServer) -> None:
    """It refuses the message; that is a sign of life, and no command is refused."""
    refusal = {"field": b"template_id", "found": 133, "allowed": 6, "rejected_count": 1}
    server.answer_heartbeat = lambda request_id: [message(131, reason=Reason.UNKNOWN_TEMPLATE, **refusal)]
    server.answer_frame = lambda frame: []
    session = OrderEntry(server.endpoint, "FIRM1", liveness=0.8, timeout=0.5)
    with pytest.raises(TimedOut):
        session.wait_for(session.buy("AAPL", 1), timeout=2.0)
    assert session.pending == 1
    with pytest.raises(SessionLost, match="commands are unanswered"):
        session.close()


# ---- What a lost session says ----

SENDS: dict[str, Callable[[OrderEntry, Order], object]] = {
    "buy": lambda session, order: session.buy("AAPL", 1),
    "sell": lambda session, order: session.sell("AAPL", 1),
    "cancel": lambda session, order: session.cancel(order),
    "reduce": lambda session, order: session.reduce(order, 1),
    "amend": lambda session, order: session.amend(order, at=1),
    "mass_cancel": lambda session, order: session.mass_cancel(),
    "send": lambda session, order: session.send(new_orders(300)),
}


@pytest.mark.parametrize("method", SENDS)
def test_nothing_is_entered_in_a_session_that_is_lost(server: FakeServer, method: str) -> None:
    """The first call says so, also when the server has come back; nothing reaches the one that came back."""
    session = OrderEntry(server.endpoint, "FIRM1")
    order = session.buy("AAPL", 1)
    session.wait_for(order)
    lose_connection(session, server)
    with pytest.raises(SessionLost, match="closed by the server or the network"):
        SENDS[method](session, order)
    assert session._session.socket.is_closed, "libzmq does not connect again"
    with closing(FakeServer(server.endpoint)) as successor:
        with OrderEntry(server.endpoint, "FIRM2") as other:  # time for a connection
            other.wait_for(other.buy("AAPL", 1))
        with pytest.raises(SessionLost):
            SENDS[method](session, order)
        assert session.unanswered == ()
        session.close()
        assert [len(frame) for frame in successor.commands] == [1]
        assert successor.heartbeats == []


def answer_first(server: FakeServer, count: int) -> Callable[[Array], list[bytes]]:
    """Reports for the first so many commands; none for the others."""
    left = itertools.count(count, -1)

    def answer(frame: Array) -> list[bytes]:
        return [server.report(command) for command in frame if next(left) > 0]

    return answer


def test_what_was_not_answered_is_named_when_the_connection_breaks(server: FakeServer) -> None:
    """Whether those were taken, only the server knows."""
    session = OrderEntry(server.endpoint, "FIRM1")
    server.answer_frame = answer_first(server, 5)
    session.send(new_orders(8), messages_per_frame=3)
    while len(session.unanswered) > 3:
        session.receive(5.0)
    assert session.unanswered == (6, 7, 8)
    lose_connection(session, server)
    with pytest.raises(SessionLost, match="3 commands are unanswered") as caught:
        session.receive(5.0)
    assert caught.value.unanswered == (6, 7, 8)
    session.close()


def test_answer_that_overtakes_others_is_not_counted_for_them(server: FakeServer) -> None:
    """PROTOCOL, STORAGE_LOW: such an order is answered before commands that were sent earlier."""
    commands = new_orders(4)
    commands["kind"][0] = CommandKind.CANCEL_ORDER
    refused = {"kind": EventKind.REJECTED, "reason": Reason.STORAGE_LOW, "engine_sequence": 0}
    server.answer_frame = lambda frame: [server.report(command, **refused) for command in frame if command["client_order_id"] in (2, 4)]
    session = OrderEntry(server.endpoint, "FIRM1", timeout=0.5)
    session.send(commands, messages_per_frame=2)
    while session.pending > 2:
        session.receive(5.0)
    assert list(session.unanswered) == [1, 3]
    server.say(*[server.report(command) for command in server.commands[0][:1]])
    session.receive(5.0)
    assert list(session.unanswered) == [3]
    with pytest.raises(SessionLost, match="commands are unanswered"):
        session.close()


def test_what_a_busy_server_refused_is_unanswered_and_what_it_took_is_too(server: FakeServer) -> None:
    """PROTOCOL, BUSY: a refusal is no answer, neither to what is refused nor to what was sent before it."""

    def answer(frame: Array) -> list[bytes]:
        if frame["client_order_id"][0] == 1 or len(frame) == 1:
            return []
        found = {"found": frame["session_sequence"][1], "accepted_count": 1, "rejected_count": len(frame) - 1}
        return [message(131, reason=Reason.BUSY, field=b"session_sequence", **found)]

    server.answer_frame = answer
    session = OrderEntry(server.endpoint, "FIRM1", timeout=0.5)
    session.send(new_orders(6), messages_per_frame=3)
    for _ in range(3):
        session.receive(0.1)
        assert list(session.unanswered) == [1, 2, 3, 4, 5, 6]
        assert session.pending == 6
    reports = [server.report(command) for command in new_orders(4).view(layouts.COMMAND_MESSAGE)]
    server.say(reports[0])
    while session.pending > 5:
        session.receive(5.0)
    assert list(session.unanswered) == [2, 3, 4, 5, 6]
    server.say(*reports[1:])
    while session.pending > 2:
        session.receive(5.0)
    assert list(session.unanswered) == [5, 6]
    with pytest.raises(SessionLost, match="commands are unanswered"):
        session.close()


def test_slow_session_reads_its_reports_and_then_why_it_was_ended(server: FakeServer) -> None:
    """PROTOCOL, Reports: the server ends a session that does not read, and says so last."""
    server.answer_frame = lambda frame: [*server.accept_all(frame), message(130, reason=Reason.SLOW_CONSUMER)]
    session = OrderEntry(server.endpoint, "FIRM1")
    order = session.buy("AAPL", 1)
    assert session.wait_for(order).kind is EventKind.ACCEPTED
    with pytest.raises(SessionLost, match="SLOW_CONSUMER"):
        session.receive(5.0)
    with pytest.raises(SessionLost, match="SLOW_CONSUMER") as caught:
        session.buy("AAPL", 1)
    assert (caught.value.reason, caught.value.unanswered) == (Reason.SLOW_CONSUMER, ())
    session.close()


def test_what_was_unread_when_the_connection_broke_is_in_the_message(server: FakeServer) -> None:
    """Where the reason itself did not arrive, the message says what it probably was."""
    server.answer_frame = lambda frame: [server.report(frame[0]) * 100] * 150
    session = OrderEntry(server.endpoint, "FIRM1")
    session.send(new_orders(1))
    while not server.commands:
        time.sleep(0.01)
    lose_connection(session, server)
    with pytest.raises(SessionLost, match=r"with 1,560,000 bytes unread.*SLOW_CONSUMER"):
        session.buy("AAPL", 1)
    assert session.receive()["report_sequence"].tolist() == [11], "what came is still read; the next is the same report again, a gap"
    session.close()


def test_close_says_what_is_unanswered_where_nothing_else_did(server: FakeServer) -> None:
    """A program that only sends and closes learns of the loss as well; it is said once."""
    server.answer_frame = lambda frame: []
    session = OrderEntry(server.endpoint, "FIRM1")
    order = session.buy("AAPL", 1)
    lose_connection(session, server)
    with pytest.raises(SessionLost) as caught:
        session.close()
    assert caught.value.unanswered == (order.client_order_id,)
    session.close()


def test_reason_of_a_later_server_is_given_by_its_number(server: FakeServer) -> None:
    """A client of today is not ended by a reason that it does not know."""
    with OrderEntry(server.endpoint, "FIRM1") as session:
        server.answer_frame = lambda frame: [message(130, reason=250)]
        session.buy("AAPL", 1)
        with pytest.raises(SessionLost, match="reason 250"):
            session.receive(5.0)


# ---- What it keeps ----


def test_reports_that_nobody_reads_are_dropped_oldest_first_and_counted(server: FakeServer) -> None:
    """At most `reports_kept` wait; what is dropped is no gap."""
    server.answer_frame = lambda frame: [b"".join(server.report(command) for command in frame[part : part + 7]) for part in (0, 7, 14)]
    with OrderEntry(server.endpoint, "FIRM1", reports_kept=10) as session:
        session.send(new_orders(21))
        assert session.wait_for(21).client_order_id == 21
        left = [report.client_order_id for report in session.reports(0.1)]
        assert left == list(range(12, 21))
        assert session.reports_dropped == 11
        assert session.report_sequence == 31
        with pytest.raises(TimedOut, match="11 reports were dropped unread"):
            session.wait_for(1, timeout=0.05)
        for _ in range(3):
            session.send(new_orders(21))
        while sum(len(frame) for frame in server.commands) < 4 * 21:
            time.sleep(0.01)
        time.sleep(0.3)  # all is answered: it is on its way
        while session.report_sequence < 10 + 4 * 21:
            session.receive(5.0)
        assert session.pending == 0
        assert session.reports_dropped > 11
        assert session.report_sequence == 10 + 4 * 21


def test_gap_among_reports_that_are_dropped_is_raised(server: FakeServer) -> None:
    """What the server did not send is not taken for what was dropped here."""
    sequences = iter([*range(11, 31), *range(35, 55)])
    server.answer_frame = lambda frame: [b"".join(server.report(command, report_sequence=next(sequences)) for command in frame)]
    with OrderEntry(server.endpoint, "FIRM1", reports_kept=5) as session:
        session.send(new_orders(40), messages_per_frame=20)
        gaps: list[tuple[int, object]] = []
        while session.report_sequence < 54 or not gaps:
            try:
                session.receive(5.0)
            except ReportGap as gap:
                gaps.append((gap.expected, gap.found))
        assert gaps == [(31, 35)]


@pytest.mark.parametrize("seed", range(5))
def test_unread_reports_are_those_of_a_plain_list(seed: int) -> None:
    """Whatever is added and taken: the oldest, and the oldest about an order."""
    print(f"seed {seed}")
    random_source = random.Random(seed)
    unread, plain = UnreadReports(), deque[tuple[int, int]]()
    sequence = itertools.count(1)
    for _ in range(2_000):
        action = random_source.random()
        if action < 0.3:
            reports = np.zeros(random_source.randrange(5), dtype=layouts.EXECUTION_REPORT_MESSAGE)
            for row in reports:
                row["client_order_id"], row["report_sequence"] = random_source.randrange(8), next(sequence)
                plain.append((int(row["client_order_id"]), int(row["report_sequence"])))
            unread.add(reports)
        else:
            wanted = None if action < 0.5 else random_source.randrange(8)
            expected = next((entry for entry in plain if wanted is None or entry[0] == wanted), None)
            found = unread.take() if wanted is None else unread.take_about(wanted)
            if expected is None:
                assert found is None
            else:
                assert found is not None
                assert (int(found["client_order_id"]), int(found["report_sequence"])) == expected
                plain.remove(expected)
        assert len(unread) == len(plain)


def test_errors_that_no_method_raised_are_bounded_and_counted(server: FakeServer) -> None:
    """A server that refuses all the time does not fill the memory of a program that only sends."""
    count = 3_000
    server.answer_frame = lambda frame: [message(131, reason=Reason.UNKNOWN_TEMPLATE, field=b"template_id", found=9)] * count
    session = OrderEntry(server.endpoint, "FIRM1", timeout=0.5)
    session.send(new_orders(1))
    raised = 0
    while raised + session.errors_dropped < count - 1_000:
        time.sleep(0.05)  # each call then finds as many as it takes at once, and raises one
        with pytest.raises(FrameRejected):
            session.receive(5.0)
        raised += 1
    assert raised < count - 1_000
    assert session.errors_dropped > 0
    with pytest.raises(FrameRejected):  # those that are kept
        session.close()


# ---- With a server ----


def test_watched_session_that_calls_nothing_is_ended_and_told_and_one_that_waits_is_kept() -> None:
    """PROTOCOL, Heartbeat: three times the interval without a word. A server that asks for nothing answers all the same."""
    with Server(venue_config(None, policy=Policy.MEMORY)) as server:
        with OrderEntry(server.orders_endpoint, "FIRM1", heartbeat=0.5) as waiting:
            assert len(waiting.receive(3.0)) == 0
            assert waiting.wait_for(waiting.buy("AAPL", 1)).kind is EventKind.ACCEPTED
        with OrderEntry(server.orders_endpoint, "FIRM2", heartbeat=0.1) as idle:
            time.sleep(1.0)
            with pytest.raises(SessionLost, match="HEARTBEAT_TIMEOUT") as caught:
                idle.receive(5.0)
            assert caught.value.reason is Reason.HEARTBEAT_TIMEOUT
        with OrderEntry(server.orders_endpoint, "FIRM3", liveness=0.5) as unwatched:
            assert len(unwatched.receive(1.0)) == 0
            assert unwatched.wait_for(unwatched.buy("AAPL", 1)).kind is EventKind.ACCEPTED, "it asked, and was answered"


def test_book_that_the_server_cuts_is_followed_to_its_end() -> None:
    """Five bids, snapshots of two: what is shown is the best of the venue's book, whatever is cancelled."""
    prices = ("1.05", "1.04", "1.03", "1.02", "1.01")
    config = venue_config(None, policy=Policy.MEMORY, snapshot_levels=2)
    with Server(config) as server, OrderEntry(server.orders_endpoint, "FIRM1") as session:
        orders = [session.buy("AAPL", 10, at=price) for price in prices]
        for order in orders:
            session.wait_for(order)
        with MarketData(server.feed_endpoint, session.instruments) as feed:
            feed.subscribe("AAPL", channels=(Channel.LEVELS,))
            for count, order in enumerate(orders):
                feed.synchronize()
                book = feed.book("AAPL")
                best = [Decimal(price) for price in prices[count:]]
                assert [level.price for level in book.bids] == best[: len(book.bids)] != []
                assert book.is_partial == (len(book.bids) < len(best))
                session.cancel(order)
                cancelled = session.wait_for(order)
                deadline = time.monotonic() + 5.0
                while feed.book("AAPL").engine_sequence < cancelled.engine_sequence and time.monotonic() < deadline:
                    feed.poll(0.1)
            assert feed.book("AAPL").bids == ()
            assert not feed.book("AAPL").is_stale
            assert feed.gap_count == 0
