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

from ome.client import MarketData, Order, OrderEntry, SessionLost, TimedOut
from ome.client.reports import UnreadReports
from ome.codec import layouts
from ome.enums import EventKind, Policy, Reason
from ome.errors import InvalidValueError
from ome.marketdata import Channel
from ome.server import Server

pytestmark = pytest.mark.slow

LONG = 60.0  # seconds: longer than any test


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with closing(FakeServer()) as made:
        yield made


def lose_connection(session: OrderEntry, server: FakeServer) -> None:
    """Ends the server, and waits until libzmq has noticed; the session has not looked yet."""
    server.close()
    socket = session._link.socket
    assert socket is not None
    while socket.loss_count == 0:
        socket.wait(0.1)
        socket.read_connection()


# ---- Signs of life ----


def test_waiting_session_asks_for_a_sign_of_life_and_goes_on_when_one_comes(server: FakeServer) -> None:
    """A server that has nothing to report is told from one that is gone."""
    server.answer_frame = lambda frame: []
    session = OrderEntry(server.endpoint, "FIRM1", liveness=0.8, timeout=0.5)
    order = session.buy("AAPL", 1)
    with pytest.raises(TimedOut):
        session.wait_for(order, timeout=3.0)
    assert server.test_requests == list(range(1, len(server.test_requests) + 1))
    assert len(server.test_requests) > 1, "it asks again when it was answered, and then heard nothing again"
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
    server.answer_test = lambda request_id: []
    session = OrderEntry(server.endpoint, "FIRM1", timeout=LONG, liveness=0.8, reconnect=0)
    order = session.buy("AAPL", 1)
    with pytest.raises(SessionLost, match=r"nothing heard for 0\.8 s; 1 commands are unanswered") as caught:
        WAITS[method](session, order)
    assert caught.value.unanswered == session.unanswered == (order.client_order_id,)
    assert server.test_requests == [1]
    session.close()


def test_sender_whose_server_reads_nothing_loses_its_session(server: FakeServer) -> None:
    """A server that reads nothing, and says nothing: what is sent meanwhile is bounded."""
    session = OrderEntry(server.endpoint, "FIRM1", timeout=LONG, liveness=0.8, reconnect=None)
    server.is_reading = False

    def send_without_end() -> None:
        while True:
            session.send(new_orders(20_000), messages_per_frame=1)

    with pytest.raises(SessionLost, match="nothing heard") as caught:
        send_without_end()
    assert len(caught.value.unanswered) == session.pending
    assert 0 < session.pending <= 512
    session.close()


def test_time_between_calls_is_no_silence(server: FakeServer) -> None:
    """A program that does something else for longer than `liveness` keeps its session."""
    server.answer_test = lambda request_id: []
    with OrderEntry(server.endpoint, "FIRM1", liveness=1.0) as session:
        for _ in range(2):
            time.sleep(1.5)
            assert session.wait_for(session.buy("AAPL", 1)).kind is EventKind.ACCEPTED


def test_session_with_a_heartbeat_says_so_at_logon_and_says_something_in_time(server: FakeServer) -> None:
    """PROTOCOL, Logon: heartbeat_ms. While a method waits, the server hears of it although there is nothing to say."""
    with OrderEntry(server.endpoint, "FIRM1", heartbeat=0.1) as session:
        assert len(session.receive(1.0)) == 0
    assert server.logons[0]["heartbeat_ms"].tolist() == [100]
    assert len(server.heartbeats) >= 8
    assert set(server.heartbeats) == {0}
    with OrderEntry(server.endpoint, "FIRM1"):
        assert server.logons[1]["heartbeat_ms"].tolist() == [0]


@pytest.mark.parametrize("arguments", [{"heartbeat": 0.05}, {"heartbeat": 61}, {"liveness": 0}, {"liveness": -1}, {"reports_kept": 0}])
def test_bad_times_and_bounds_are_refused_before_anything_is_sent(server: FakeServer, arguments: dict[str, float]) -> None:
    """PROTOCOL, Logon: heartbeat_ms is 100 to 60000, or 0."""
    with pytest.raises(InvalidValueError, match=next(iter(arguments))):
        OrderEntry(server.endpoint, "FIRM1", **arguments)  # type: ignore[arg-type]
    assert server.logons == []


def test_heartbeats_of_the_server_are_no_reports(server: FakeServer) -> None:
    """PROTOCOL, Heartbeats: the server sends them by itself, and asks for one: it gets the same id."""
    with OrderEntry(server.endpoint, "FIRM1") as session:
        order = session.buy("AAPL", 1)
        server.say(message(133), message(133), message(135, request_id=77))
        assert session.wait_for(order).kind is EventKind.ACCEPTED
        assert len(session.receive(0.1)) == 0
        assert server.heartbeats == [77]


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
    session = OrderEntry(server.endpoint, "FIRM1", reconnect=None)
    order = session.buy("AAPL", 1)
    session.wait_for(order)
    lose_connection(session, server)
    with pytest.raises(SessionLost, match="closed by the server or the network"):
        SENDS[method](session, order)
    assert session._link.socket is None, "libzmq does not connect again"
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
    session = OrderEntry(server.endpoint, "FIRM1", reconnect=None)
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


def test_what_a_busy_server_refused_is_unanswered_and_what_it_took_is_too(server: FakeServer) -> None:
    """PROTOCOL, BUSY: a refusal is no answer, neither to what is refused nor to what was sent before it."""
    server.takes = lambda frame: len(frame) if frame["client_order_id"][0] == 1 else int(frame["client_order_id"][0] == 4)
    server.answer_frame = lambda frame: []
    session = OrderEntry(server.endpoint, "FIRM1", timeout=0.5)
    session.send(new_orders(6), messages_per_frame=3)
    for _ in range(3):
        session.receive(0.05)
        assert list(session.unanswered) == [1, 2, 3, 4, 5, 6]
        assert session.pending == 6
    reports = [server.report(command) for command in np.concatenate(server.commands)[:4]]
    server.say(reports[0])
    while session.pending > 5:
        session.receive(5.0)
    assert list(session.unanswered) == [2, 3, 4, 5, 6]
    server.say(*reports[1:])
    while session.pending > 2:
        session.receive(5.0)
    assert list(session.unanswered) == [5, 6]
    with pytest.raises((TimedOut, SessionLost)):
        session.close()


@pytest.mark.parametrize("reason", [Reason.SESSION_TAKEN_OVER, Reason.THROTTLED, Reason.REQUESTED])
def test_some_logouts_end_the_session_after_its_reports(server: FakeServer, reason: Reason) -> None:
    """PROTOCOL, Logout: the venue or another program has decided that it ends; reports come first, then why."""
    server.answer_frame = lambda frame: [*server.accept_all(frame), message(130, reason=reason)]
    session = OrderEntry(server.endpoint, "FIRM1")
    order = session.buy("AAPL", 1)
    assert session.wait_for(order).kind is EventKind.ACCEPTED
    with pytest.raises(SessionLost):
        session.receive(5.0)
    with pytest.raises(SessionLost) as caught:
        session.buy("AAPL", 1)
    assert (caught.value.reason, caught.value.unanswered) == (Reason.NONE if reason is Reason.REQUESTED else reason, ())
    assert len(server.logons) == 1
    session.close()


RETURNS = [Reason.SLOW_CONSUMER, Reason.ENGINE_STOPPED, Reason.HEARTBEAT_TIMEOUT, Reason.SESSION_LIMIT_REACHED]


@pytest.mark.parametrize("reason", RETURNS)
def test_after_other_logouts_the_session_comes_back(server: FakeServer, reason: Reason) -> None:
    """PROTOCOL, A client that loses nothing: it logs on for the reports from the next on, and sends again what was not taken."""
    with OrderEntry(server.endpoint, "FIRM1", 3, heartbeat=5.0, cancel_on_disconnect="logout", secret="word", login_id=9) as session:
        session.wait_for(session.buy("AAPL", 1))
        server.reject = lambda frame: message(130, reason=reason)
        order = session.buy("AAPL", 2)
        while not len(server.commands) > 1:
            session.receive(0.01)
        server.reject = lambda frame: None
        assert session.wait_for(order).leaves_quantity == 2
        assert session.logon_count == 2
    assert server.taken == [1, 2]
    first, again = server.logons
    assert (first["next_report_sequence"][0], again["next_report_sequence"][0]) == (0, 12)
    assert first["session_flags"][0] == again["session_flags"][0] == 3
    assert first["secret"][0] == b"word"
    for name in ("participant_name", "session_number", "heartbeat_ms", "login_id", "secret"):
        assert first[name] == again[name]


def test_session_that_cannot_come_back_is_lost_after_a_while() -> None:
    """`reconnect` bounds it; meanwhile what would be sent waits for as long as it may."""
    server = FakeServer()
    session = OrderEntry(server.endpoint, "FIRM1", timeout=0.2, reconnect=0.8)
    server.close()
    assert list(session.reports(0.1)) == []
    with pytest.raises(TimedOut, match="0 of 1 frames sent: there is no connection"):
        session.buy("AAPL", 1)
    assert not session.is_connected
    with pytest.raises(SessionLost, match="closed by the server or the network"):
        session.receive(LONG)
    session.close()


def test_logon_that_is_refused_for_now_is_repeated(server: FakeServer) -> None:
    """PROTOCOL, Logon: BUSY, log on again; SESSION_IN_USE at a return is the session's own connection."""
    refusals = iter([Reason.BUSY, Reason.BUSY, Reason.NONE, Reason.SESSION_IN_USE, Reason.THROTTLED, Reason.NONE, Reason.BAD_SECRET])

    def answer(logon: Array) -> list[bytes]:
        reason = next(refusals)
        return server.admit(logon) if reason is Reason.NONE else [message(129, reason=reason)]

    server.logon_answer = answer
    session = OrderEntry(server.endpoint, "FIRM1", takeover=False)
    server.say(message(130, reason=Reason.ENGINE_STOPPED))
    while session.logon_count == 1:
        session.receive(0.05)
    assert len(server.logons) == 6
    assert session.wait_for(session.buy("AAPL", 1)).kind is EventKind.ACCEPTED
    server.say(message(130, reason=Reason.ENGINE_STOPPED))
    with pytest.raises(SessionLost, match="BAD_SECRET") as caught:
        session.receive(5.0)
    assert caught.value.reason is Reason.BAD_SECRET
    session.close()


def test_close_says_what_is_unanswered_where_nothing_else_did(server: FakeServer) -> None:
    """A program that only sends and closes learns of the loss as well; it is said once."""
    server.answer_frame = lambda frame: []
    session = OrderEntry(server.endpoint, "FIRM1", reconnect=None)
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
                row["kind"] = EventKind.ACCEPTED
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
    server.answer_frame = lambda frame: [b"?"] * count
    session = OrderEntry(server.endpoint, "FIRM1", timeout=0.5)
    session.send(new_orders(1))
    raised = 0
    while raised + session.errors_dropped < count - 1_000:
        time.sleep(0.05)  # each call then finds as many as it takes at once, and raises one
        with pytest.raises(InvalidValueError):
            session.receive(5.0)
        raised += 1
    assert raised < count - 1_000
    assert session.errors_dropped > 0
    with pytest.raises(InvalidValueError):  # those that are kept
        session.close()


# ---- With a server ----


def test_session_that_calls_nothing_is_ended_and_comes_back_and_one_that_waits_is_kept() -> None:
    """PROTOCOL, Heartbeats: three times the interval without a word."""
    with Server(venue_config(None, policy=Policy.MEMORY)) as server:
        with OrderEntry(server.orders_endpoint, "FIRM1", heartbeat=0.3) as waiting:
            assert len(waiting.receive(1.5)) == 0
            assert waiting.wait_for(waiting.buy("AAPL", 1)).kind is EventKind.ACCEPTED
            assert waiting.logon_count == 1
        with OrderEntry(server.orders_endpoint, "FIRM2", heartbeat=0.1) as idle:
            time.sleep(0.8)
            assert idle.wait_for(idle.buy("AAPL", 1)).kind is EventKind.ACCEPTED
            assert idle.logon_count == 2
        with OrderEntry(server.orders_endpoint, "FIRM3", heartbeat=0.1, reconnect=None) as lost:
            time.sleep(0.8)
            with pytest.raises(SessionLost, match="HEARTBEAT_TIMEOUT") as caught:
                lost.receive(5.0)
            assert caught.value.reason is Reason.HEARTBEAT_TIMEOUT


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
