"""The client and the transport, against a small server made of layouts: what docs/PROTOCOL.md says about the wire, seen from the client."""

from __future__ import annotations

import itertools
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_servers import DIRECTORY, NUMBERED, Array, FakeFeed, FakeServer, definitions, message, new_orders

from ome.client import FrameRejected, LogonRefused, MarketData, OrderEntry, OrdersRefused, ReportGap, SessionLost, TimedOut
from ome.codec import COMMAND, layouts
from ome.enums import CommandFlags, CommandKind, EventKind, OrderType, Policy, Reason, Side, TimeInForce
from ome.errors import InvalidTypeError, InvalidValueError
from ome.marketdata import Channel
from ome.messages import NULL_VALUE
from ome.transport import Context, SendStatus, SocketClosedError, library_path, library_version


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with closing(FakeServer()) as made:
        yield made


@pytest.fixture
def session(server: FakeServer) -> Iterator[OrderEntry]:
    with OrderEntry(server.endpoint, "FIRM1", 2) as made:
        yield made


def receive_count(session: OrderEntry, count: int) -> Array:
    """So many reports, in arrays as they come."""
    parts: list[Array] = []
    while sum(len(part) for part in parts) < count:
        parts.append(session.receive(5.0))
        assert len(parts[-1]) > 0, f"{sum(len(part) for part in parts)} of {count} reports came"
    return np.concatenate(parts)


def receive_to_the_end(session: OrderEntry, counts: list[int]) -> None:
    """Receives until that raises something; `counts` gets how many reports came each time."""
    while True:
        counts.append(len(session.receive(5.0)))


# ---- Logon and logout ----


def test_logon_tells_instruments_policy_and_numbers(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, Logon: the answer carries the session's numbers and the instruments."""
    assert dict(session.instruments) == {"AAPL": NUMBERED[1], "OIL": NUMBERED[2]}
    assert session.instruments.number("OIL") == 2
    assert session.policy is Policy.COMMIT
    assert (session.logon.participant, session.logon.session, session.logon.epoch) == (3, 5, 7)
    assert session.report_sequence == 10
    assert (server.logons[0]["participant_name"][0], server.logons[0]["session_number"][0]) == (b"FIRM1", 2)
    with pytest.raises(InvalidValueError, match="allowed: AAPL, OIL"):
        session.buy("MSFT", 1)


def test_refused_logon_raises_with_its_reason(server: FakeServer) -> None:
    """PROTOCOL, Logon: an answer with a reason refuses."""
    server.logon_answer = lambda logon: [message(129, reason=Reason.SESSION_LIMIT_REACHED)]
    with pytest.raises(LogonRefused, match=r"SESSION_LIMIT_REACHED: No session number is free.*FIRM1") as caught:
        OrderEntry(server.endpoint, "FIRM1")
    assert caught.value.found is Reason.SESSION_LIMIT_REACHED


def test_logon_that_nobody_answers_times_out_and_says_whether_there_was_a_connection(server: FakeServer) -> None:
    """A server that is silent is told from one that is not there."""
    server.logon_answer = lambda logon: []
    with pytest.raises(TimedOut, match="no answer"):
        OrderEntry(server.endpoint, "FIRM1", timeout=0.2)
    with pytest.raises(TimedOut, match="no connection"):
        OrderEntry("tcp://127.0.0.1:1", "FIRM1", timeout=0.2)


@pytest.mark.parametrize(("participant", "number"), [("", 0), ("x" * 17, 0), ("two words", 0), ("FIRM1", -1), ("FIRM1", 65_536)])
def test_bad_name_or_number_is_refused_before_anything_is_sent(server: FakeServer, participant: str, number: int) -> None:
    """A participant has 1 to 16 printable characters, a session number 16 bits."""
    with pytest.raises(InvalidValueError):
        OrderEntry(server.endpoint, participant, number)
    assert server.logons == []


def test_reports_that_come_before_the_logout_is_answered_are_not_lost(server: FakeServer) -> None:
    """PROTOCOL, Logout: the client waits for the answers to its commands, and then for the server's logout."""

    def answer(frame: Array) -> list[bytes]:
        threading.Timer(0.1, lambda: server.say(*server.accept_all(frame))).start()
        return []

    server.answer_frame = answer
    server.answer_logout = lambda: [server.report(server.commands[0][0], kind=EventKind.TRADE), message(130)]
    with OrderEntry(server.endpoint, "FIRM1") as session:
        order = session.buy("AAPL", 1, at="150.00")
    assert session.wait_for(order).kind is EventKind.ACCEPTED
    assert session.wait_for(order).kind is EventKind.TRADE
    with pytest.raises(SessionLost):
        session.receive()
    session.close()


def test_logout_without_an_answer_times_out(server: FakeServer) -> None:
    """Closing comes to an end whatever the server does."""
    server.answer_logout = list
    session = OrderEntry(server.endpoint, "FIRM1", timeout=0.1)
    with pytest.raises(TimedOut, match="answer to the logout"):
        session.close()


def test_session_taken_over_is_lost_for_good(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, Logon: a second logon of the same session ends the first connection."""
    server.say(message(130, reason=Reason.SESSION_TAKEN_OVER))
    for _ in range(2):
        with pytest.raises(SessionLost, match="SESSION_TAKEN_OVER"):
            session.receive(5.0)
    with pytest.raises(SessionLost):
        session.buy("AAPL", 1)


def test_lost_connection_is_noticed_and_what_came_before_is_read_first() -> None:
    """A server that goes away ends a session that is not to come back."""
    server = FakeServer()
    session = OrderEntry(server.endpoint, "FIRM1", reconnect=None)
    order = session.buy("AAPL", 1)
    while not server.commands:
        time.sleep(0.01)
    time.sleep(0.05)
    server.close()
    assert session.wait_for(order).kind is EventKind.ACCEPTED
    started = time.monotonic()
    with pytest.raises(SessionLost, match="closed by the server or the network"):
        session.receive(5.0)
    assert time.monotonic() - started < 2.0, "noticed when it happens, not when the timeout is over"
    session.close()


# ---- Commands and reports ----


def test_commands_are_written_as_the_schema_says(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, Commands: what the server writes is zero, session_sequence counts up from 1, prices and quantities are units."""
    order = session.buy("OIL", "1.5", at="-70.5", tif="fok", account=9, client_order_id=77)
    session.sell("AAPL", 3)
    session.cancel(order)
    session.reduce(order, "0.25")
    session.amend(order, at="-71")
    session.amend(order, quantity=2)
    session.amend(order, at="-70", open_quantity="0.001")
    assert len(list(session.reports(0.2))) == 7
    frames = server.commands
    assert [len(frame) for frame in frames] == [1] * 7
    sent = np.concatenate(frames)
    assert sent["template_id"].tolist() == [1, 1, 2, 3, 4, 4, 4]
    assert set(sent["block_length"]) == {56}
    assert sent["session_sequence"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert not any(sent[name].any() for name in ("timestamp_ns", "participant", "session", "kind"))
    assert sent["instrument"].tolist() == [2, 1, 2, 2, 2, 2, 2]
    assert sent["client_order_id"][[0, 2, 3, 4, 5, 6]].tolist() == [77] * 6
    assert sent["price"].tolist() == [-705, 0, 0, 0, -710, NULL_VALUE, -700]
    assert sent["quantity"].tolist() == [1500, 3, 0, 250, NULL_VALUE, 2000, 1]
    assert sent["flags"].tolist() == [0, 0, 0, 0, 0, 0, CommandFlags.OPEN_QUANTITY]
    assert sent["account"].tolist() == [9, 0, 0, 0, 0, 0, 0]
    assert sent["side"].tolist() == [Side.BUY, Side.SELL, 0, 0, 0, 0, 0]
    assert sent["order_type"].tolist()[:2] == [OrderType.LIMIT, OrderType.MARKET]
    assert sent["time_in_force"].tolist()[:2] == [TimeInForce.FOK, TimeInForce.GTC]


def test_client_order_ids_that_are_made_differ_between_sessions_and_logons(server: FakeServer, session: OrderEntry) -> None:
    """A6: a client order id is unique among the participant's live orders, which outlive a session and are shared by its sessions."""
    ids = [session.buy("AAPL", 1).client_order_id for _ in range(3)]
    assert ids == [ids[0], ids[0] + 1, ids[0] + 2]
    assert ids[0] >> 48 == session.logon.session
    assert ids[0] & (2**48 - 1) == session.logon.server_time_ns // 1000 % 2**48


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"quantity": 1.0}, InvalidTypeError),
        ({"quantity": 0}, InvalidValueError),
        ({"quantity": 1, "at": 150.0}, InvalidTypeError),
        ({"quantity": 1, "at": "150.001"}, InvalidValueError),
        ({"quantity": 1, "tif": "never"}, InvalidValueError),
        ({"quantity": 1, "account": 2**32}, InvalidValueError),
        ({"quantity": 1, "client_order_id": -1}, InvalidValueError),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_sent(
    server: FakeServer, session: OrderEntry, arguments: dict[str, Any], error: type[Exception]
) -> None:
    """Floats are refused, and what the wire cannot carry."""
    with pytest.raises(error):
        session.buy("AAPL", **arguments)
    order = session.buy("AAPL", 1)
    with pytest.raises(InvalidValueError, match="one of them"):
        session.amend(order, quantity=1, open_quantity=1)
    session.wait_for(order)
    assert len(server.commands) == 1


def test_reports_become_objects_in_the_instruments_numbers(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, ExecutionReport: units and lots become decimal numbers."""

    def answer(frame: Array) -> list[bytes]:
        command = frame[0]
        accepted = server.report(command, leaves_quantity=1500)
        trade = server.report(
            command,
            kind=EventKind.TRADE,
            price=-710,
            last_quantity=1500,
            leaves_quantity=0,
            cumulative_quantity=1500,
            trade_id=4,
            is_aggressor=1,
            timestamp_ns=99,
        )
        refused = {"kind": EventKind.REJECTED, "price": NULL_VALUE, "reason": Reason.UNKNOWN_INSTRUMENT, "command_kind": 4}
        return [accepted + trade, server.report(command, instrument=9, side=0, **refused)]

    server.answer_frame = answer
    order = session.buy("OIL", "1.5", at="-70.5", account=8)
    accepted, trade, rejected = session.reports(0.3)
    assert (accepted.kind, accepted.leaves_quantity, accepted.is_final) == (EventKind.ACCEPTED, Decimal("1.5"), False)
    assert (trade.price, trade.last_quantity, trade.cumulative_quantity) == (Decimal("-71.0"), Decimal("1.5"), Decimal("1.5"))
    assert (trade.symbol, trade.side, trade.trade_id, trade.is_aggressor) == ("OIL", Side.BUY, 4, True)
    assert (trade.account, trade.timestamp_ns, trade.report_sequence, trade.engine_sequence) == (8, 99, 12, 41)
    assert (trade.is_final, trade.client_order_id) == (True, order.client_order_id)
    assert (rejected.reason, rejected.command_kind) == (Reason.UNKNOWN_INSTRUMENT, CommandKind.AMEND_ORDER)
    assert (rejected.symbol, rejected.side, rejected.price, rejected.is_final) == ("", None, None, False)


def test_wait_for_leaves_the_reports_of_other_orders(server: FakeServer, session: OrderEntry) -> None:
    """Each report is given once, and in order."""
    first, second = session.buy("AAPL", 1), session.buy("AAPL", 2)
    assert session.wait_for(second).leaves_quantity == 2
    assert [report.client_order_id for report in session.reports(0.1)] == [first.client_order_id]
    with pytest.raises(TimedOut, match="client order id 5"):
        session.wait_for(5, timeout=0.05)


# ---- Arrays ----


@pytest.mark.parametrize("layout", [COMMAND, layouts.COMMAND_MESSAGE])
def test_arrays_are_cut_into_frames_and_come_back_as_arrays(server: FakeServer, session: OrderEntry, layout: np.dtype[np.void]) -> None:
    """Frames hold as many messages as asked; every byte of a body but what the server writes goes through."""
    commands = new_orders(1000)
    commands.view("u1").reshape(-1, 64)[:, 62] = 1  # a reserved byte: the server's to refuse
    if layout == layouts.COMMAND_MESSAGE:
        commands = commands.view(layout)
        commands["template_id"] = 1
    before = commands.tobytes()
    session.send(commands, messages_per_frame=64)
    assert session.pending == 1000
    reports = receive_count(session, 1000)
    assert [len(frame) for frame in server.commands] == [64] * 15 + [40]
    sent = np.concatenate([frame.view("u1").reshape(-1, 64) for frame in server.commands])
    assert commands.tobytes() == before, "the caller's array stays as it is"
    written_by_us = [*range(8), *range(48, 52), 56]
    expected = np.delete(np.frombuffer(before, "u1").reshape(-1, 64), written_by_us, axis=1)
    assert (np.delete(sent, written_by_us, axis=1) == expected).all()
    sequences = np.concatenate([frame["session_sequence"] for frame in server.commands])
    assert (sequences == np.arange(1, 1001)).all()
    assert (reports["client_order_id"] == np.arange(1, 1001)).all()
    assert session.pending == 0
    assert session.report_sequence == 1010
    assert len(session.receive()) == 0


def test_orders_with_terms_are_written_as_the_messages_of_one_command(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, Commands of several messages: flags, terms three to a message, one number each, all in one frame; amend and mass cancel."""
    iceberg = session.sell(
        "OIL", 5, at="70.5", display="0.5", minimum=1, self_trade="decrement", self_trade_group=4, expires=9, hidden=False
    )
    stop = session.buy("AAPL", 7, stop="1.50", tif="day", account=2)
    moved = session.amend(stop, stop="1.25", client_order_id=88)
    session.mass_cancel("AAPL", "sell", account=2, session=5)
    session.mass_cancel()
    assert moved.client_order_id == 88
    assert moved.quantity == 7
    assert iceberg.time_in_force is TimeInForce.GTD
    assert len(list(session.reports(0.2))) == 5
    assert [frame["template_id"].tolist() for frame in server.commands] == [[1, 5, 5], [1, 5], [4, 5], [6], [6]]
    sent = np.concatenate(server.commands)
    data = b"".join(frame.tobytes() for frame in server.commands)
    words = np.frombuffer(data, "<i8").reshape(-1, 8)
    terms = np.frombuffer(data, "u1").reshape(-1, 64)[:, 57:60]
    given = {(int(term), int(value)) for row in (1, 2, 4, 6) for term, value in zip(terms[row], words[row, 2:5], strict=True)}
    assert given - {(0, 0)} == {(4, 500), (5, 1000), (6, 9), (9, 4), (1, 150), (1, 125), (10, 88)}
    assert sent["flags"].tolist() == [4, 4, 0, 4, 0, 4, 0, CommandFlags.BY_ACCOUNT | CommandFlags.BY_SESSION, 0]
    assert sent["session_sequence"].tolist() == list(range(1, 10))
    assert sent["order_type"][3] == OrderType.STOP
    assert (sent["side"][7], sent["account"][7]) == (Side.SELL, 2)
    assert np.frombuffer(data, "<u2").reshape(-1, 32)[7, 16] == 5, "target_session"
    with pytest.raises(InvalidValueError, match="one of them"):
        session.amend(stop, at=1, limit_offset=1)


def icebergs(count: int) -> Array:
    """Orders of two messages each, at their client order ids."""
    commands = np.repeat(new_orders(count), 2)
    commands["kind"][1::2] = CommandKind.ORDER_TERMS
    commands["flags"][::2] = CommandFlags.CONTINUED
    return commands


def test_messages_of_a_command_stay_in_one_frame_and_count_once(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, Commands of several messages: a frame ends with a whole command; pending counts commands."""
    session.send(icebergs(20), messages_per_frame=7)
    assert session.pending == 20
    receive_count(session, 20)
    assert [len(frame) for frame in server.commands] == [6] * 6 + [4]
    assert session.pending == 0
    with pytest.raises(InvalidValueError, match="more than 1 messages"):
        session.send(icebergs(1), messages_per_frame=1)


def test_refused_commands_of_several_messages_are_sent_again_whole(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, BUSY: messages are counted, and a refusal begins with a command."""
    is_busy = itertools.cycle([True, False])
    server.takes = lambda frame: 2 if len(frame) > 2 and next(is_busy) else len(frame)
    session.send(icebergs(20), messages_per_frame=6)
    reports = receive_count(session, 20)
    assert sorted(reports["client_order_id"].tolist()) == list(range(1, 21))
    assert session.pending == 0


@pytest.mark.parametrize("count", [0, 257])
def test_frames_longer_than_the_server_allows_are_refused(session: OrderEntry, count: int) -> None:
    """LogonAnswer.frame_message_count_max is the limit."""
    with pytest.raises(InvalidValueError, match="1 to 256"):
        session.send(new_orders(1), messages_per_frame=count)
    with pytest.raises(InvalidTypeError, match="COMMAND_MESSAGE"):
        session.send(np.zeros(1, dtype=layouts.EVENT))


def test_pending_counts_answers_and_not_what_follows_from_them(server: FakeServer, session: OrderEntry) -> None:
    """RULES, What each command says: of several reports on a command exactly one answers it."""
    kinds = [
        (EventKind.ACCEPTED, Reason.NONE),
        (EventKind.TRADE, Reason.NONE),
        (EventKind.CANCELLED, Reason.IMMEDIATE_OR_CANCEL),
        (EventKind.CANCELLED, Reason.REQUESTED),
        (EventKind.REJECTED, Reason.UNKNOWN_ORDER),
        (EventKind.REDUCED, Reason.NONE),
        (EventKind.CANCELLED, Reason.REDUCED_AWAY),
        (EventKind.AMENDED, Reason.NONE),
        (EventKind.CANCELLED, Reason.AMENDED_AWAY),
        (EventKind.CANCELLED, Reason.NO_LIQUIDITY),
        (EventKind.PREVENTED, Reason.NONE),
        (EventKind.REDUCED, Reason.SELF_TRADE_PREVENTION),
        (EventKind.CANCELLED, Reason.SELF_TRADE_PREVENTION),
        (EventKind.TRIGGERED, Reason.NONE),
        (EventKind.CANCELLED, Reason.EXPIRED),
        (EventKind.CANCELLED, Reason.MASS_CANCELLED),
        (EventKind.COMPLETED, Reason.NONE),
    ]
    commands = np.repeat(new_orders(1), 8)
    commands["kind"] = [1, 2, 2, 3, 3, 4, 4, 6]
    commands["client_order_id"] = 1
    answered = {EventKind.REJECTED: 2, EventKind.COMPLETED: 6}

    def answer(frame: Array) -> list[bytes]:
        reports = [server.report(frame[0], kind=kind, reason=reason, command_kind=answered.get(kind, 0)) for kind, reason in kinds]
        return [b"".join(reports)]

    server.answer_frame = answer
    session.send(commands)
    receive_count(session, len(kinds))
    assert session.pending == 0


def test_what_another_session_does_to_an_order_answers_nothing(server: FakeServer, session: OrderEntry) -> None:
    """RULES, CancelOrder: its owner gets CANCELLED (REQUESTED), as if it had asked; and after a loss COMPLETED, for which nobody asked."""
    foreign = [{"kind": EventKind.CANCELLED, "reason": Reason.REQUESTED, "client_order_id": 9}]
    foreign += [{"kind": EventKind.COMPLETED, "command_kind": 6, "client_order_id": 0}]
    server.answer_frame = lambda frame: [server.report(frame[0], **fields) for fields in foreign]
    session.send(new_orders(2))
    receive_count(session, 2)
    assert session.unanswered == (1, 2)
    server.say(*server.accept_all(server.commands[0]))
    receive_count(session, 2)
    assert session.pending == 0


def test_reports_that_are_missing_are_asked_for_and_those_seen_before_are_dropped(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, Resend: the stream begins again at the number that is asked for; the user sees each report once, in order."""
    made: dict[int, bytes] = {}

    def answer(frame: Array) -> list[bytes]:
        made.update({number: server.report(frame[0], report_sequence=number) for number in range(11, 17)})
        return [b"".join(made[number] for number in (11, 12, 12, 15)), made[16], made[11]]

    server.answer_frame = answer
    server.answer_resend = lambda wanted: [message(137, next_report_sequence=wanted), *(made[number] for number in range(wanted, 17))]
    session.send(new_orders(1))
    assert receive_count(session, 6)["report_sequence"].tolist() == [11, 12, 13, 14, 15, 16]
    assert server.resend_requests == [13]


@pytest.mark.parametrize(("reason", "following"), [(Reason.REPORTS_GONE, 15), (Reason.SEQUENCE_GAP, 11)])
def test_reports_that_the_server_does_not_have_are_an_error_and_the_session_goes_on(
    server: FakeServer, session: OrderEntry, reason: Reason, following: int
) -> None:
    """PROTOCOL, Resend: REPORTS_GONE, it has none that old; SEQUENCE_GAP, it has lost them."""
    server.answer_frame = lambda frame: [server.report(frame[0], report_sequence=number) for number in (11, 12, 14)]
    server.answer_resend = lambda wanted: [
        message(137, next_report_sequence=following, reason=reason),
        server.report(server.commands[0][0], report_sequence=following),
    ]
    session.send(new_orders(1))
    counts: list[int] = []
    with pytest.raises(ReportGap, match=reason.name) as caught:
        receive_to_the_end(session, counts)
    while sum(counts) < 3:
        counts.append(len(session.receive(5.0)))
    assert session.report_sequence == following
    assert (caught.value.expected, caught.value.found, caught.value.reason) == (13, following, reason)


@pytest.mark.parametrize("reason", [Reason.BUSY, Reason.THROTTLED])
@pytest.mark.parametrize("seed", range(3))
def test_what_a_server_refuses_for_now_is_sent_again_until_it_is_taken(
    server: FakeServer, session: OrderEntry, seed: int, reason: Reason
) -> None:
    """PROTOCOL, Commands: each command is taken exactly once, in order, with the number that it had."""
    print(f"seed {seed}")
    random_source = random.Random(seed)
    busy_count = itertools.count()
    most = 40 if reason is Reason.BUSY else 3
    server.takes = lambda frame: (
        len(frame) if random_source.random() < 0.5 or next(busy_count) > most else random_source.randrange(len(frame))
    )
    server.refusal = reason
    session.send(new_orders(500), messages_per_frame=17)
    reports = receive_count(session, 500)
    assert reports["client_order_id"].tolist() == list(range(1, 501))
    assert server.taken == list(range(1, 501))
    assert session.pending == 0


def test_new_orders_that_find_storage_low_are_refused_and_the_rest_is_sent_without_them(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, STORAGE_LOW: they leave no trace, and what is left is numbered anew."""
    commands = new_orders(8)
    commands["kind"][[1, 4, 5]] = CommandKind.CANCEL_ORDER
    commands["kind"][3] = CommandKind.ORDER_TERMS
    commands["flags"][2] = CommandFlags.CONTINUED
    server.refusal = Reason.STORAGE_LOW
    server.takes = lambda frame: next((place for place, kind in enumerate(frame["template_id"]) if kind == 1), len(frame))
    session.send(commands, messages_per_frame=4)
    with pytest.raises(OrdersRefused, match="STORAGE_LOW") as caught:
        receive_to_the_end(session, [])
    assert caught.value.client_order_ids == (1, 3, 7, 8)
    while session.pending:
        session.receive(5.0)
    assert server.taken == [1, 2, 3]
    server.takes = len
    session.wait_for(session.buy("AAPL", 1))
    assert server.taken == [1, 2, 3, 4]


def test_server_that_stays_busy_times_out(server: FakeServer) -> None:
    """PROTOCOL, BUSY: the wait is bounded."""
    server.takes = lambda frame: 0
    session = OrderEntry(server.endpoint, "FIRM1", timeout=0.3)
    session.send(new_orders(3))
    with pytest.raises(TimedOut, match=r"server is busy.*found '3 commands unanswered \(BUSY\)'"):
        session.receive(5.0)
    with pytest.raises((TimedOut, SessionLost)):
        session.close()


def test_logout_waits_until_what_was_refused_is_taken(server: FakeServer) -> None:
    """Nothing that was sent is left behind by a close."""
    count = itertools.count()
    server.takes = lambda frame: 1 if next(count) < 3 else len(frame)
    with OrderEntry(server.endpoint, "FIRM1") as session:
        session.send(new_orders(5))
    assert receive_count(session, 5)["client_order_id"].tolist() == [1, 2, 3, 4, 5]


def test_session_sends_no_more_than_the_venue_says_that_it_takes(server: FakeServer) -> None:
    """PROTOCOL, LogonAnswer: in_flight_max messages without an answer, message_rate_max in a second."""
    limits = {"in_flight_max": 7, "message_rate_max": 100}
    server.logon_answer = lambda logon: [message(129, frame_message_count_max=256, policy=1, heartbeat_ms=9_000, **limits)]
    server.answer_frame = lambda frame: []
    session = OrderEntry(server.endpoint, "FIRM1", timeout=0.3)
    with pytest.raises(TimedOut, match="room for commands"):
        session.send(new_orders(20), messages_per_frame=2)
    assert [len(frame) for frame in server.commands] == [2, 2, 2]
    with pytest.raises(SessionLost, match="6 commands are unanswered"):
        session.close()
    limits["in_flight_max"] = server.command_sequence = 0
    server.report_sequence = itertools.count(1)
    server.answer_frame = server.accept_all
    with OrderEntry(server.endpoint, "FIRM1") as session:
        started = time.monotonic()
        session.send(new_orders(150))
        assert time.monotonic() - started > 0.3


def test_rejected_frame_is_raised_with_all_fields(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, FrameReject: what, where, found and allowed."""
    fields = {"message_index": 3, "byte_offset": 192, "accepted_count": 0, "rejected_count": 4}
    reject = message(131, reason=Reason.UNKNOWN_TEMPLATE, field=b"template_id", found=99, allowed=4, **fields)
    server.reject = lambda frame: reject if len(frame) == 4 else None
    server.is_reading = False
    for count in (2, 4, 3):
        session.send(new_orders(count))
    server.is_reading = True
    counts: list[int] = []
    with pytest.raises(FrameRejected, match=r"template_id of message 3, byte 192.*UNKNOWN_TEMPLATE.*found 99, allowed: 4") as caught:
        receive_to_the_end(session, counts)
    error = caught.value
    assert (error.reason, error.field, error.found, error.value_allowed) == (Reason.UNKNOWN_TEMPLATE, "template_id", 99, 4)
    assert {name: getattr(error, name) for name in fields} == fields
    assert len(receive_count(session, 5 - sum(counts))) == 5 - sum(counts), "what was behind it is sent again, with its numbers"
    assert server.taken == [1, 2, 3, 4, 5]
    assert session.pending == 0


def test_busy_that_names_no_frame_is_raised(server: FakeServer, session: OrderEntry) -> None:
    """Nothing is sent twice on a guess."""
    server.reject = lambda frame: message(131, reason=Reason.BUSY, field=b"ring", found=1, rejected_count=1)
    session.send(new_orders(1))
    with pytest.raises(FrameRejected, match="BUSY"):
        session.receive(5.0)
    assert len(session.receive(0.1)) == 0
    assert len(server.commands) == 1


@pytest.mark.parametrize("frame", [b"", b"short", bytes(64), message(132)[:-1], message(1), message(130) + message(130)])
def test_bytes_that_are_not_the_protocols_are_refused(server: FakeServer, session: OrderEntry, frame: bytes) -> None:
    """A frame is whole messages of a known template."""
    server.answer_frame = lambda commands: [frame, *server.accept_all(commands)]
    session.send(new_orders(1))
    counts: list[int] = []
    with pytest.raises(InvalidValueError):
        receive_to_the_end(session, counts)
    assert sum(counts) or len(session.receive(5.0)) == 1, "the session goes on"


def test_message_of_a_later_server_is_ignored(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, Versions: new messages, kinds and reasons may come."""
    later = np.array([(56, 999, 28525, 2)], "<4u2").tobytes() + bytes(56)
    server.answer_frame = lambda frame: [later, server.report(frame[0], kind=200), server.report(frame[0])]
    order = session.buy("AAPL", 1)
    assert session.wait_for(order).kind is EventKind.ACCEPTED


def test_frame_that_mixes_reports_with_something_else_is_refused(server: FakeServer) -> None:
    """A frame that opens with a report holds nothing else."""
    server.answer_frame = lambda frame: [server.report(frame[0]) + message(130) * 7]
    session = OrderEntry(server.endpoint, "FIRM1", timeout=0.3)
    session.send(new_orders(1))
    with pytest.raises(InvalidValueError, match="message header"):
        session.receive(5.0)
    with pytest.raises(SessionLost, match="1 commands are unanswered"):
        session.close()


# ---- Transport ----


def test_library_is_recent_and_its_file_is_there() -> None:
    """C takes libzmq's functions from the file that pyzmq loaded."""
    assert library_version() >= (4, 3, 4)
    assert Path(library_path()).is_file()


def test_queue_that_is_full_says_so() -> None:
    """A server that does not read is not waited for, and nothing is dropped."""
    with socket.create_server(("127.0.0.1", 0)) as listener, Context() as context:
        client = context.connect_client(f"tcp://127.0.0.1:{listener.getsockname()[1]}", high_water_mark_frames=2)
        assert [client.send(b"x") for _ in range(3)] == [SendStatus.SENT, SendStatus.SENT, SendStatus.FULL]
        client.close(0)


def test_closed_socket_says_so(server: FakeServer) -> None:
    """No ZeroMQ exception comes out of the transport."""
    with Context() as context:
        client = context.connect_client(server.endpoint)
        client.close()
        client.close()
        with pytest.raises(SocketClosedError):
            client.receive()
        with pytest.raises(SocketClosedError):
            client.send(b"x")


def test_session_whose_context_was_closed_is_lost(server: FakeServer) -> None:
    """The context is the caller's to close; the session says what happened."""
    context = Context()
    session = OrderEntry(server.endpoint, "FIRM1", context=context)
    context.close()
    with pytest.raises(SessionLost, match="closed with its context"):
        session.buy("AAPL", 1)
    session.close()


def test_sessions_may_share_a_context(server: FakeServer) -> None:
    """A shared context outlives the sessions made with it."""
    with Context() as context:
        for number in (1, 2):
            with OrderEntry(server.endpoint, "FIRM1", number, context=context) as session:
                session.wait_for(session.buy("AAPL", 1))
                server.report_sequence = itertools.count(11)


# ---- The page ----


def example_bytes(index: int) -> bytes:
    """The bytes of a dump in docs/PROTOCOL.md, by its place among them."""
    page = (Path(__file__).parent.parent / "docs" / "PROTOCOL.md").read_text()
    dump = page.split("## Example")[1].split("```")[2 * index + 1]
    return bytes.fromhex("".join(line[4:] for line in dump.strip("\n").splitlines()))


def test_example_of_the_protocol_page_is_what_the_client_sends_and_reads(server: FakeServer) -> None:
    """PROTOCOL, Example: byte for byte."""
    server.logon_answer = lambda logon: [message(129, frame_message_count_max=256, policy=1, instrument_count=2) + definitions()]
    server.answer_frame = lambda frame: [example_bytes(2)]
    with OrderEntry(server.endpoint, "FIRM1") as session:
        report = session.wait_for(session.buy("AAPL", 100, at="150.25", client_order_id=1))
    assert server.logons[0].tobytes() == example_bytes(0)
    assert server.commands[0].tobytes() == example_bytes(1)
    assert (report.kind, report.symbol, report.price, report.leaves_quantity) == (
        EventKind.ACCEPTED,
        "AAPL",
        Decimal("150.25"),
        Decimal(100),
    )
    assert (report.order_id, report.engine_sequence, report.side) == (2**32 + 1, 7, Side.BUY)
    with closing(FakeFeed()) as feed, MarketData(feed.endpoint, DIRECTORY) as market_data:
        market_data.subscribe("AAPL", channels=(Channel.TOP,))
        feed.wait_for_subscriptions(1)
        feed.send(example_bytes(3))
        market_data.synchronize()
        top = market_data.top("AAPL")
        assert top is not None
        assert (top.bid_price, top.bid_quantity, top.ask_price) == (Decimal("150.25"), Decimal(100), None)
