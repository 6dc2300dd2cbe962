"""The client and the transport, against a small server made of layouts: what docs/PROTOCOL.md says about the wire, seen from the client."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ome.client import FrameRejected, InstrumentDirectory, LogonRefused, MarketData, OrderEntry, ReportGap, SessionLost, TimedOut
from ome.codec import COMMAND, layouts
from ome.enums import CommandFlags, CommandKind, EventKind, OrderType, Policy, Reason, Side, TimeInForce
from ome.errors import InvalidTypeError, InvalidValueError, InvariantError
from ome.instruments import Instrument
from ome.marketdata import BookBuilder, Channel, split_frame, topic_of
from ome.messages import NULL_VALUE
from ome.transport import Context, EndpointError, Heartbeat, SendStatus, Socket, SocketClosedError, library_path, library_version

Array = npt.NDArray[np.void]
NUMBERED = {1: Instrument("AAPL", tick="0.01"), 2: Instrument("OIL", tick="0.5", price_decimals=1, quantity_decimals=3, signed_prices=True)}
DIRECTORY = InstrumentDirectory(NUMBERED)


def message(template: int, **fields: object) -> bytes:
    """One message of the schema, zero but for its header and these fields."""
    row = np.zeros(1, dtype=layouts.TEMPLATES[template][2])
    header = {"block_length": layouts.TEMPLATES[template][1], "template_id": template, "schema_id": 28525, "version": 1}
    for name, value in (header | fields).items():
        row[name] = value
    return row.tobytes()


def definitions() -> bytes:
    """A DefineInstrument for each instrument."""
    return b"".join(
        message(
            33,
            symbol=instrument.symbol.encode(),
            instrument=number,
            tick=instrument.tick_units,
            price_decimals=instrument.price_decimals,
            quantity_decimals=instrument.quantity_decimals,
            instrument_flags=instrument.flags,
        )
        for number, instrument in NUMBERED.items()
    )


class FakeServer:
    """A thread with a ROUTER that admits everybody and accepts every command; a test replaces what it answers."""

    def __init__(self, frame_message_count_max: int = 256) -> None:
        self.frame_message_count_max = frame_message_count_max
        self.commands: list[Array] = []  # frames of commands, as they came
        self.logons: list[Array] = []
        self.report_sequence = itertools.count(11)
        self.order_id = itertools.count(2**32 + 1)
        self.logon_answer: Callable[[Array], list[bytes]] = self.admit
        self.answer_frame: Callable[[Array], list[bytes]] = self.accept_all
        self.answer_logout: Callable[[], list[bytes]] = lambda: [message(130)]
        self.peer = b""
        self._context = Context()
        self._socket = self._context.bind_router("tcp://127.0.0.1:0", frame_size_max_bytes=65_536)
        self.endpoint = self._socket.endpoint
        self._is_stopping = False
        self._to_say: list[bytes] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._is_stopping = True
        self._thread.join()
        self._context.close()
        if self._error is not None:
            raise self._error

    def say(self, *frames: bytes) -> None:
        """Sends frames to the client that spoke last."""
        self._to_say.extend(frames)

    def admit(self, logon: Array) -> list[bytes]:
        answer = message(
            129,
            epoch=7,
            server_time_ns=1_700_000_000_123_456_789,
            engine_sequence=40,
            report_sequence=10,
            instrument_count=len(NUMBERED),
            frame_message_count_max=self.frame_message_count_max,
            participant=3,
            session=5,
            policy=Policy.COMMIT,
        )
        return [answer + definitions()]

    def report(self, command: np.void, **fields: object) -> bytes:
        """An execution report on a command: ACCEPTED unless the fields say otherwise."""
        echoed = {name: command[name] for name in ("client_order_id", "instrument", "account", "price")}
        usual = {
            "kind": EventKind.ACCEPTED,
            "side": command["side"],
            "leaves_quantity": command["quantity"],
            "order_id": next(self.order_id),
        }
        return message(132, **(echoed | usual | {"report_sequence": next(self.report_sequence), "engine_sequence": 41} | fields))

    def accept_all(self, frame: Array) -> list[bytes]:
        return [b"".join(self.report(command) for command in frame)]

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._socket.wait(0.002)
                while (received := self._socket.receive_from()) is not None:
                    self.peer, frame = received
                    for answer in self._answers(frame):
                        assert self._socket.send_to(self.peer, answer) == SendStatus.SENT
                while self._to_say:
                    assert self._socket.send_to(self.peer, self._to_say.pop(0)) == SendStatus.SENT
        except BaseException as error:
            self._error = error

    def _answers(self, frame: bytes) -> list[bytes]:
        template = int(np.frombuffer(frame, "<u2", count=4)[1])
        if template == 128:
            self.logons.append(np.frombuffer(frame, layouts.LOGON_MESSAGE))
            return self.logon_answer(self.logons[-1])
        if template == 130:
            return self.answer_logout()
        self.commands.append(np.frombuffer(frame, layouts.COMMAND_MESSAGE))
        return self.answer_frame(self.commands[-1])


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with closing(FakeServer()) as made:
        yield made


@pytest.fixture
def session(server: FakeServer) -> Iterator[OrderEntry]:
    with OrderEntry(server.endpoint, "FIRM1", 2) as made:
        yield made


def new_orders(count: int) -> Array:
    """Buy orders with client order ids from 1."""
    commands = np.zeros(count, dtype=COMMAND)
    commands["kind"] = CommandKind.NEW_ORDER
    commands["client_order_id"] = np.arange(1, count + 1)
    commands["price"] = 15_000
    commands["quantity"] = 10
    commands["instrument"] = 1
    commands["side"] = Side.BUY
    commands["order_type"] = OrderType.LIMIT
    commands["time_in_force"] = TimeInForce.GTC
    return commands


def receive_count(session: OrderEntry, count: int) -> Array:
    """So many reports, in arrays as they come."""
    parts: list[Array] = []
    while sum(len(part) for part in parts) < count:
        parts.append(session.receive(5.0))
        assert len(parts[-1]) > 0, f"{sum(len(part) for part in parts)} of {count} reports came"
    return np.concatenate(parts)


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
    """A server that goes away ends the session; nothing is sent to its successor."""
    server = FakeServer()
    session = OrderEntry(server.endpoint, "FIRM1")
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
    assert len(list(session.reports(0.2))) == 9  # the fake one answers every message
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


def accept_commands(server: FakeServer, frame: Array) -> list[bytes]:
    """One report for each command of a frame."""
    reports = [server.report(command) for command in frame if command["template_id"] != CommandKind.ORDER_TERMS]
    return [b"".join(reports)] if reports else []


def test_messages_of_a_command_stay_in_one_frame_and_count_once(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, Commands of several messages: a frame ends with a whole command; pending counts commands."""
    server.answer_frame = lambda frame: accept_commands(server, frame)
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

    def answer(frame: Array) -> list[bytes]:
        accepted = 2 if len(frame) > 2 and next(is_busy) else len(frame)
        return ([busy(frame, accepted)] if accepted < len(frame) else []) + accept_commands(server, frame[:accepted])

    server.answer_frame = answer
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
    server.answer_frame = lambda frame: [b"".join(server.report(frame[0], kind=kind, reason=reason) for kind, reason in kinds)]
    session.send(new_orders(10))
    receive_count(session, len(kinds))
    assert session.pending == 10 - 8
    server.say(*server.accept_all(new_orders(2)))
    receive_count(session, 2)
    assert session.pending == 0


def test_missing_reports_are_raised_once_and_nothing_that_came_is_lost(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, ExecutionReport: report_sequence counts without gaps."""

    def answer(frame: Array) -> list[bytes]:
        sequences = [11, 12, 15, 16, 16]
        return [b"".join(server.report(frame[0], report_sequence=sequence) for sequence in sequences)]

    server.answer_frame = answer
    session.send(new_orders(1))
    assert receive_count(session, 2)["report_sequence"].tolist() == [11, 12]
    with pytest.raises(ReportGap) as caught:
        session.receive(1.0)
    assert (caught.value.expected, caught.value.found) == (13, 15)
    assert session.receive(1.0)["report_sequence"].tolist() == [15, 16]
    with pytest.raises(ReportGap):
        session.receive(1.0)
    assert session.receive(1.0)["report_sequence"].tolist() == [16]


def busy(frame: Array, accepted_count: int) -> bytes:
    """A FrameReject that takes the first messages of a frame."""
    return message(
        131,
        reason=Reason.BUSY,
        field=b"session_sequence",
        found=frame["session_sequence"][accepted_count],
        message_index=accepted_count,
        byte_offset=64 * accepted_count,
        accepted_count=accepted_count,
        rejected_count=len(frame) - accepted_count,
    )


@pytest.mark.parametrize("seed", range(3))
def test_what_a_busy_server_refuses_is_sent_again_until_it_is_taken(server: FakeServer, session: OrderEntry, seed: int) -> None:
    """PROTOCOL, BUSY: each command is taken exactly once, with the session sequence that it had."""
    print(f"seed {seed}")
    random_source = random.Random(seed)
    taken: list[int] = []

    def answer(frame: Array) -> list[bytes]:
        accepted = len(frame) if random_source.random() < 0.5 else random_source.randrange(len(frame))
        taken.extend(frame["session_sequence"][:accepted].tolist())
        answers = [] if accepted == len(frame) else [busy(frame, accepted)]
        return answers + ([b"".join(server.report(command) for command in frame[:accepted])] if accepted else [])

    server.answer_frame = answer
    session.send(new_orders(500), messages_per_frame=17)
    reports = receive_count(session, 500)
    assert sorted(reports["client_order_id"].tolist()) == list(range(1, 501))
    assert sorted(taken) == list(range(1, 501))
    assert session.pending == 0


def test_server_that_stays_busy_times_out(server: FakeServer) -> None:
    """PROTOCOL, BUSY: the wait is bounded."""
    server.answer_frame = lambda frame: [busy(frame, 0)]
    session = OrderEntry(server.endpoint, "FIRM1", timeout=0.3)
    session.send(new_orders(3))
    with pytest.raises(TimedOut, match=r"server is busy.*found '3 commands refused'"):
        session.receive(5.0)
    with pytest.raises(TimedOut):
        session.close()


def test_logout_waits_until_what_was_refused_is_taken(server: FakeServer) -> None:
    """Nothing that was sent is left behind by a close."""
    count = itertools.count()
    server.answer_frame = lambda frame: [busy(frame, 1), server.report(frame[0])] if next(count) < 3 else server.accept_all(frame)
    with OrderEntry(server.endpoint, "FIRM1") as session:
        session.send(new_orders(5))
    assert sorted(receive_count(session, 5)["client_order_id"].tolist()) == [1, 2, 3, 4, 5]


def test_rejected_frame_is_raised_with_all_fields(server: FakeServer, session: OrderEntry) -> None:
    """PROTOCOL, FrameReject: what, where, found and allowed."""
    fields = {"message_index": 3, "byte_offset": 192, "accepted_count": 0, "rejected_count": 4}
    reject = message(131, reason=Reason.UNKNOWN_TEMPLATE, field=b"template_id", found=99, allowed=4, **fields)
    server.answer_frame = lambda frame: [reject]
    session.send(new_orders(4))
    with pytest.raises(FrameRejected, match=r"template_id of message 3, byte 192.*UNKNOWN_TEMPLATE.*found 99, allowed: 4") as caught:
        session.receive(5.0)
    error = caught.value
    assert (error.reason, error.field, error.found, error.value_allowed) == (Reason.UNKNOWN_TEMPLATE, "template_id", 99, 4)
    assert {name: getattr(error, name) for name in fields} == fields
    assert session.pending == 0
    server.answer_frame = server.accept_all
    session.send(new_orders(1))
    assert len(session.receive(5.0)) == 1, "the session goes on"


def test_busy_that_names_no_frame_is_raised(server: FakeServer, session: OrderEntry) -> None:
    """Nothing is sent twice on a guess."""
    server.answer_frame = lambda frame: [message(131, reason=Reason.BUSY, field=b"ring", found=1, rejected_count=1)]
    session.send(new_orders(1))
    with pytest.raises(FrameRejected, match="BUSY"):
        session.receive(5.0)
    assert len(server.commands) == 1


@pytest.mark.parametrize("frame", [b"", b"short", bytes(64), message(132)[:-1], message(1), message(130) + message(130)])
def test_bytes_that_are_not_the_protocols_are_refused(server: FakeServer, session: OrderEntry, frame: bytes) -> None:
    """A frame is whole messages of a known template."""
    server.answer_frame = lambda commands: [frame, *server.accept_all(commands)]
    session.send(new_orders(1))
    with pytest.raises(InvalidValueError):
        session.receive(5.0)
    assert len(session.receive(5.0)) == 1, "the session goes on"


def test_frame_that_mixes_reports_with_something_else_is_refused(server: FakeServer, session: OrderEntry) -> None:
    """A frame that opens with a report holds nothing else."""
    server.answer_frame = lambda frame: [server.report(frame[0]) + message(130) * 13]
    session.send(new_orders(1))
    with pytest.raises(InvalidValueError, match="message header"):
        session.receive(5.0)


# ---- Market data ----


class FakeFeed:
    """An XPUB in the test's own thread. `epoch` and `sequence` are those of the levels of instrument 1."""

    def __init__(self, endpoint: str = "tcp://127.0.0.1:0") -> None:
        self._context = Context()
        self.socket: Socket = self._context.bind_publisher(endpoint)
        self.epoch = 1
        self.sequence = 0

    def close(self) -> None:
        self._context.close()

    def wait_for_subscriptions(self, count: int) -> list[bytes]:
        """The next subscriptions and cancellations: a byte 1 or 0, then the topic."""
        found: list[bytes] = []
        deadline = time.monotonic() + 5.0
        while len(found) < count:
            assert time.monotonic() < deadline, f"{found} came, of {count}"
            self.socket.wait(0.1)
            while (frame := self.socket.receive()) is not None:
                found.append(frame)
        return found

    def levels_frame(self, rows: list[tuple[int, Side, int, int]], *, skip: int = 0) -> bytes:
        """Updates (engine sequence, side, price, quantity), after `skip` that get lost."""
        self.sequence += skip
        parts = [topic_of(Channel.LEVELS, 1)]
        for engine_sequence, side, price, quantity in rows:
            self.sequence += 1
            parts.append(self.update(self.sequence, engine_sequence, side, price, quantity))
        return b"".join(parts)

    def snapshot_frame(self, engine_sequence: int, rows: list[tuple[Side, int, int]]) -> bytes:
        fields = {"channel_sequence": self.sequence, "engine_sequence": engine_sequence, "instrument": 1, "epoch": self.epoch}
        updates = [self.update(0, engine_sequence, *row) for row in rows]
        return topic_of(Channel.LEVELS, 1) + message(163, level_count=len(rows), **fields) + b"".join(updates)

    def update(self, channel_sequence: int, engine_sequence: int, side: Side, price: int, quantity: int) -> bytes:
        fields = {"channel_sequence": channel_sequence, "engine_sequence": engine_sequence, "instrument": 1, "epoch": self.epoch}
        return message(162, side=side, price=price, quantity=quantity, order_count=1 if quantity else 0, **fields)

    def send(self, frame: bytes) -> None:
        assert self.socket.send(frame) == SendStatus.SENT


@pytest.fixture
def feed() -> Iterator[FakeFeed]:
    with closing(FakeFeed()) as made:
        yield made


def poll_until(market_data: MarketData, is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not is_reached():
        assert time.monotonic() < deadline, "the feed came to an end"
        market_data.poll(0.1)


def test_book_top_and_trades_are_kept_from_the_feed(feed: FakeFeed) -> None:
    """PROTOCOL, Market data: a snapshot, then updates; the top at once; trades."""
    with MarketData(feed.socket.endpoint, DIRECTORY) as market_data:
        market_data.subscribe("AAPL")
        assert feed.wait_for_subscriptions(3) == [b"\1" + topic_of(channel, 1) for channel in Channel]
        assert market_data.top("AAPL") is None
        assert market_data.book("AAPL").is_stale
        feed.send(feed.snapshot_frame(5, [(Side.BUY, 100, 7), (Side.BUY, 99, 1), (Side.SELL, 103, 2)]))
        top = {"channel_sequence": 1, "bid_price": 100, "bid_quantity": 7, "ask_price": NULL_VALUE, "instrument": 1, "epoch": 1}
        feed.send(topic_of(Channel.TOP, 1) + message(160, **top))
        feed.send(feed.levels_frame([(6, Side.SELL, 102, 4), (6, Side.BUY, 99, 0), (7, Side.SELL, 103, 3)]))
        trade = {"channel_sequence": 1, "trade_id": 3, "price": 100, "quantity": 2, "instrument": 1, "epoch": 1, "side": Side.SELL}
        feed.send(topic_of(Channel.TRADES, 1) + message(161, **trade))
        market_data.synchronize()
        poll_until(market_data, lambda: market_data.book("AAPL").engine_sequence == 7)
        assert market_data.levels("AAPL", Side.BUY) == [(100, 7, 1)]
        assert market_data.levels(1, Side.SELL) == [(102, 4, 1), (103, 3, 1)]
        assert market_data.levels(1, Side.SELL, depth=1) == [(102, 4, 1)]
        book = market_data.book("AAPL", depth=1)
        assert book.best_bid is not None
        assert (book.best_bid.price, book.best_bid.quantity, len(book.asks)) == (Decimal("1.00"), Decimal(7), 1)
        found = market_data.top("AAPL")
        assert found is not None
        assert (found.bid_price, found.ask_price) == (Decimal("1.00"), None)
        poll_until(market_data, lambda: bool(market_data._trades))
        prints = list(market_data.trades())
        assert [(p.symbol, p.price, p.quantity, p.side, p.trade_id) for p in prints] == [
            ("AAPL", Decimal("1.00"), Decimal(2), Side.SELL, 3)
        ]
        assert list(market_data.trades()) == []
        assert market_data.gap_count == 0


def test_gap_makes_the_book_stale_and_asks_for_a_snapshot_that_heals_it(feed: FakeFeed) -> None:
    """PROTOCOL, Levels: after a gap the client unsubscribes and subscribes again, and ignores updates until the snapshot comes."""
    with MarketData(feed.socket.endpoint) as market_data:
        market_data.subscribe(1, channels=(Channel.LEVELS,))
        feed.wait_for_subscriptions(1)
        feed.send(feed.snapshot_frame(1, [(Side.BUY, 100, 7)]))
        market_data.synchronize()
        time.sleep(0.5)  # the next request may come at once, because the last one is long ago
        feed.send(feed.levels_frame([(4, Side.BUY, 101, 1)], skip=2))
        poll_until(market_data, lambda: market_data.is_stale(1))
        assert feed.wait_for_subscriptions(2) == [b"\0" + topic_of(Channel.LEVELS, 1), b"\1" + topic_of(Channel.LEVELS, 1)]
        feed.send(feed.levels_frame([(5, Side.BUY, 98, 1)]))
        market_data.poll(0.1)
        assert market_data.levels(1, Side.BUY) == [(100, 7, 1)], "a stale book stays as it was"
        feed.send(feed.snapshot_frame(5, [(Side.BUY, 101, 1), (Side.BUY, 98, 1)]))
        feed.send(feed.levels_frame([(6, Side.BUY, 97, 3)]))
        poll_until(market_data, lambda: len(market_data.levels(1, Side.BUY)) == 3)
        assert market_data.levels(1, Side.BUY) == [(101, 1, 1), (98, 1, 1), (97, 3, 1)]
        assert not market_data.is_stale(1)
        assert market_data.gap_count == 1


def test_snapshot_that_does_not_come_is_asked_for_again(feed: FakeFeed) -> None:
    """A snapshot may get lost like any frame."""
    with MarketData(feed.socket.endpoint) as market_data:
        market_data.subscribe(1, channels=(Channel.LEVELS,))
        assert feed.wait_for_subscriptions(1)[0][0] == 1
        with pytest.raises(TimedOut, match="snapshots"):
            market_data.synchronize(0.7)
        assert [frame[0] for frame in feed.wait_for_subscriptions(2)] == [0, 1]


def test_publisher_that_starts_again_is_subscribed_to_again() -> None:
    """PROTOCOL, Epoch: a new epoch is a new stream."""
    feed = FakeFeed()
    with MarketData(feed.socket.endpoint) as market_data:
        market_data.subscribe(1, channels=(Channel.LEVELS,))
        feed.wait_for_subscriptions(1)
        feed.send(feed.snapshot_frame(9, [(Side.BUY, 100, 7)]))
        market_data.synchronize()
        endpoint = feed.socket.endpoint
        feed.close()
        with closing(FakeFeed(endpoint)) as successor:
            successor.epoch = 2
            while (subscription := successor.socket.receive()) is None:
                market_data.poll(0.01)  # a subscriber repeats its subscriptions when it is polled
            assert subscription == b"\1" + topic_of(Channel.LEVELS, 1)
            successor.send(successor.snapshot_frame(9, [(Side.BUY, 50, 1)]))
            poll_until(market_data, lambda: market_data.levels(1, Side.BUY) == [(50, 1, 1)])
            assert market_data.gap_count == 1


def test_gaps_of_tops_and_trades_are_counted_and_repeats_are_not(feed: FakeFeed) -> None:
    """PROTOCOL, Market data: channel_sequence counts; a top is sent again for a new subscriber."""
    with MarketData(feed.socket.endpoint) as market_data:
        market_data.subscribe(1, channels=(Channel.TOP, Channel.TRADES))
        feed.wait_for_subscriptions(2)
        for channel, template in ((Channel.TOP, 160), (Channel.TRADES, 161)):
            for sequence in (5, 5, 6, 8, 9):
                feed.send(topic_of(channel, 1) + message(template, channel_sequence=sequence, instrument=1, epoch=1))
        seen = 0
        while seen < 10:
            updates = market_data.poll(5.0)
            assert updates, f"{seen} of 10 came"
            seen += len(updates)
        assert market_data.gap_count == 2


def test_numbers_need_no_directory_and_symbols_do(feed: FakeFeed) -> None:
    """What cannot be answered is refused with what is allowed."""
    with MarketData(feed.socket.endpoint) as market_data:
        with pytest.raises(InvalidValueError, match="numbers only"):
            market_data.subscribe("AAPL")
        with pytest.raises(InvalidValueError, match="subscribe first"):
            market_data.levels(1, Side.BUY)
        market_data.subscribe(1)
        market_data.unsubscribe(1)
        subscriptions = feed.wait_for_subscriptions(6)
        assert [frame[0] for frame in subscriptions] == [1, 1, 1, 0, 0, 0]
        with pytest.raises(InvalidValueError):
            market_data.is_stale(1)


def test_books_can_be_moved_to_an_exact_engine_sequence(feed: FakeFeed) -> None:
    """PROTOCOL, Levels: each update names its command, so that a book can stand after any of them."""
    with MarketData(feed.socket.endpoint) as market_data:
        market_data.subscribe(1, channels=(Channel.LEVELS,))
        feed.wait_for_subscriptions(1)
        feed.send(feed.snapshot_frame(3, [(Side.BUY, 100, 7)]))
        feed.send(feed.levels_frame([(4, Side.BUY, 101, 1), (6, Side.BUY, 102, 1), (6, Side.BUY, 101, 0), (9, Side.BUY, 102, 0)]))
        seen = 0
        while seen < 2:
            seen += len(market_data.poll(5.0, apply=False))
        expected = {2: [], 3: [100], 4: [101, 100], 5: [101, 100], 6: [102, 100], 8: [102, 100], 9: [100], 10: [100]}
        for engine_sequence, prices in expected.items():
            market_data.apply_until(engine_sequence)
            assert [price for price, _, _ in market_data.levels(1, Side.BUY)] == prices
            assert market_data.is_stale(1) == (engine_sequence < 3)


# ---- The book builder ----


@pytest.mark.parametrize("seed", range(20))
def test_book_is_exact_or_stale_whatever_the_feed_loses_or_repeats(seed: int) -> None:
    """A book that says it is not stale equals the publisher's book at its last update, under lost frames and snapshots for others."""
    print(f"seed {seed}")
    random_source = random.Random(seed)
    source = FakeFeed()
    source.close()
    builder = BookBuilder()
    books: dict[int, dict[tuple[Side, int], int]] = {0: {}}
    book: dict[tuple[Side, int], int] = {}
    exact_count = stale_count = 0
    for engine_sequence in range(1, 300):
        rows = []
        for _ in range(random_source.randrange(1, 4)):
            side = random_source.choice((Side.BUY, Side.SELL))
            price = random_source.randrange(90, 100) if side == Side.BUY else random_source.randrange(100, 110)
            quantity = random_source.choice((0, 1, 5))
            rows.append((engine_sequence, side, price, quantity))
            book[side, price] = quantity
        books[engine_sequence] = {key: quantity for key, quantity in book.items() if quantity}
        frame = source.levels_frame(rows)
        if random_source.random() < 0.9:
            builder.take(split_frame(frame))
        if random_source.random() < 0.1:
            levels = [(side, price, quantity) for (side, price), quantity in books[engine_sequence].items()]
            builder.take(split_frame(source.snapshot_frame(engine_sequence, levels)))
        if random_source.random() < 0.05:
            source.epoch += 1
        if random_source.random() < 0.5:
            builder.apply(engine_sequence - random_source.randrange(3))
            builder.check()
            if builder.is_stale:
                stale_count += 1
            else:
                exact_count += 1
                found = {(side, p): q for side in (Side.BUY, Side.SELL) for p, q, _ in builder.levels(side)}
                assert found == books[builder.engine_sequence]
    assert exact_count > 10
    assert stale_count > 10
    assert builder.gap_count > 3


def builder_with(source: FakeFeed) -> BookBuilder:
    """A builder in step with a source: bid 100 for 7 lots, five updates so far."""
    source.close()
    source.sequence = 5
    builder = BookBuilder()
    builder.take(split_frame(source.snapshot_frame(5, [(Side.BUY, 100, 7)])))
    builder.apply()
    return builder


def test_updates_that_a_snapshot_includes_are_ignored() -> None:
    """PROTOCOL, Keeping a book, 3: they may be older than what the snapshot says."""
    source = FakeFeed()
    builder = builder_with(source)
    source.sequence = 3
    builder.take(split_frame(source.levels_frame([(4, Side.BUY, 100, 1)])))
    builder.take(split_frame(source.levels_frame([(5, Side.BUY, 99, 1), (6, Side.BUY, 98, 2)])))
    builder.apply()
    assert builder.levels(Side.BUY) == [(100, 7, 1), (98, 2, 1)]
    assert (builder.gap_count, builder.channel_sequence, builder.engine_sequence) == (0, 6, 6)


def test_update_of_another_epoch_is_a_gap_although_its_sequence_is_the_next() -> None:
    """PROTOCOL, Keeping a book, 4: another epoch is another stream."""
    source = FakeFeed()
    builder = builder_with(source)
    source.epoch += 1
    builder.take(split_frame(source.levels_frame([(6, Side.BUY, 98, 2)])))
    builder.apply()
    assert (builder.needs_snapshot, builder.is_stale, builder.gap_count) == (True, True, 1)
    assert builder.levels(Side.BUY) == [(100, 7, 1)]


@pytest.mark.parametrize(("sequence", "epoch"), [(6, 1), (2, 2)])
def test_snapshot_for_somebody_else_heals_a_book_that_did_not_know_of_its_gap(sequence: int, epoch: int) -> None:
    """PROTOCOL, Keeping a book, 5: one that is ahead, or of another epoch, is taken; one that says nothing new is not."""
    source = FakeFeed()
    builder = builder_with(source)
    builder.take(split_frame(source.snapshot_frame(5, [(Side.BUY, 1, 1)])))
    builder.apply()
    assert builder.levels(Side.BUY) == [(100, 7, 1)]
    source.sequence, source.epoch = sequence, epoch
    builder.take(split_frame(source.snapshot_frame(9, [(Side.BUY, 97, 3)])))
    builder.take(split_frame(source.levels_frame([(10, Side.BUY, 96, 1)])))
    builder.apply()
    assert builder.levels(Side.BUY) == [(97, 3, 1), (96, 1, 1)]
    assert (builder.is_stale, builder.gap_count) == (False, 1)


def test_check_finds_a_crossed_book() -> None:
    """BookBuilder.check asserts what always holds."""
    source = FakeFeed()
    source.close()
    builder = BookBuilder()
    builder.take(split_frame(source.snapshot_frame(1, [(Side.BUY, 100, 7), (Side.SELL, 100, 1)])))
    builder.apply()
    with pytest.raises(InvariantError, match="best bid and ask"):
        builder.check()


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        topic_of(Channel.LEVELS, 1),
        topic_of(Channel.LEVELS, 1) + message(162)[:-1],
        topic_of(Channel.LEVELS, 1) + message(162) + message(160),
        topic_of(Channel.LEVELS, 1) + bytes(80),
        topic_of(Channel.LEVELS, 1) + message(163) + message(163),
    ],
)
def test_frame_of_market_data_that_is_not_whole_is_refused(frame: bytes) -> None:
    """A frame is a topic and whole messages of one template, a snapshot's header apart."""
    with pytest.raises(InvalidValueError):
        split_frame(frame)


def test_snapshot_with_another_count_than_its_levels_is_refused() -> None:
    """LevelSnapshot.level_count says how many updates follow; an empty book has none."""
    builder = BookBuilder()
    with pytest.raises(InvalidValueError, match="level_count"):
        builder.take(split_frame(topic_of(Channel.LEVELS, 1) + message(163, level_count=2) + message(162)))
    builder.take(split_frame(topic_of(Channel.LEVELS, 1) + message(163)))
    builder.apply()
    assert not builder.is_stale
    with pytest.raises(InvalidValueError, match="levels channel"):
        builder.take(split_frame(topic_of(Channel.LEVELS, 1) + message(160)))


# ---- Transport ----


def test_library_is_recent_and_its_file_is_there() -> None:
    """C takes libzmq's functions from the file that pyzmq loaded."""
    assert library_version() >= (4, 3, 4)
    assert Path(library_path()).is_file()


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("tcp://127.0.0.1:99999", "tcp://ADDRESS:PORT"),
        ("tcp://127.0.0.1", "tcp://ADDRESS:PORT"),
        ("udpx://127.0.0.1:1", "tcp://ADDRESS:PORT"),
        ("tcp://192.0.2.1:0", "an address of this machine"),
        ("ipc:///nowhere/at/all", "in a directory that exists"),
    ],
)
def test_endpoint_that_cannot_be_bound_is_refused_with_what_is_allowed(endpoint: str, message: str) -> None:
    """A bad address stops the start, and says which and why."""
    with Context() as context, pytest.raises(EndpointError, match=message) as caught:
        context.bind_publisher(endpoint)
    assert caught.value.found == endpoint


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_address_in_use_is_refused(transport: str, tmp_path: Path) -> None:
    """Also for ipc, where libzmq would take the path away from the other server."""
    wanted = "tcp://127.0.0.1:0" if transport == "tcp" else f"ipc://{tmp_path}/socket"
    with Context() as context:
        first = context.bind_router(wanted, frame_size_max_bytes=1000)
        assert not first.endpoint.endswith(":0")
        with pytest.raises(EndpointError, match=r"Address already in use.*ROUTER.*nobody listens"):
            context.bind_router(first.endpoint, frame_size_max_bytes=1000)
        first.close()
    with Context() as context:
        context.bind_router(wanted, frame_size_max_bytes=1000)  # a path that was left behind is taken


def test_router_refuses_a_peer_that_is_unknown_and_cuts_off_a_frame_that_is_too_long() -> None:
    """ROUTER_MANDATORY: nothing is dropped silently. MAXMSGSIZE: no client makes the server allocate at will."""
    with Context() as context:
        router = context.bind_router("tcp://127.0.0.1:0", frame_size_max_bytes=100)
        client = context.connect_client(router.endpoint)
        assert router.send_to(b"nobody", b"x") is SendStatus.NOT_FOUND
        client.send(b"y" * 100)
        router.wait(5.0)
        received = router.receive_from()
        assert received is not None
        assert received[1] == b"y" * 100
        client.send(b"y" * 101)
        deadline = time.monotonic() + 5.0
        while not client.is_lost and time.monotonic() < deadline:
            client.wait(0.1)
            client.read_connection()
        assert client.is_lost
        assert router.receive_from() is None


def test_peer_that_does_not_read_fills_up() -> None:
    """A full peer is told, and never blocks the server."""
    with Context() as context:
        router = context.bind_router("tcp://127.0.0.1:0", frame_size_max_bytes=100, high_water_mark_frames=2)
        client = context.connect_client(router.endpoint, high_water_mark_frames=2)
        client.send(b"hello")
        router.wait(5.0)
        received = router.receive_from()
        assert received is not None
        statuses = {router.send_to(received[0], bytes(100_000)) for _ in range(1000)}
        assert statuses == {SendStatus.SENT, SendStatus.FULL}


def test_parts_of_one_message_are_frames_of_one_peer() -> None:
    """A message of several parts is not the protocol's; each part is judged by itself."""

    with Context() as context:
        router = context.bind_router("tcp://127.0.0.1:0", frame_size_max_bytes=100)
        client = context.connect_client(router.endpoint)
        client._raw.send_multipart([b"one", b"two"])
        router.wait(5.0)
        first, second = router.receive_from(), router.receive_from()
        assert first is not None
        assert second is not None
        assert (first[1], second[1]) == (b"one", b"two")
        assert first[0] == second[0]


def test_wait_returns_for_an_event_and_reads_it_empty() -> None:
    """The loops are woken by an event descriptor."""
    event_fd = os.eventfd(0, os.EFD_NONBLOCK)
    with Context() as context:
        socket = context.bind_publisher("tcp://127.0.0.1:0")
        os.eventfd_write(event_fd, 3)
        started = time.monotonic()
        socket.wait(5.0, event_fd=event_fd)
        assert time.monotonic() - started < 4.0
        with pytest.raises(BlockingIOError):
            os.eventfd_read(event_fd)
        socket.wait(0.01, event_fd=event_fd)
    os.close(event_fd)


def test_closed_socket_says_so() -> None:
    """No ZeroMQ exception comes out of the transport."""
    with Context() as context:
        socket = context.bind_publisher("tcp://127.0.0.1:0")
        socket.close()
        socket.close()
        with pytest.raises(SocketClosedError):
            socket.receive()
        with pytest.raises(SocketClosedError):
            socket.send(b"x")


def test_sessions_may_share_a_context(server: FakeServer) -> None:
    """A shared context outlives the sessions made with it."""
    with Context() as context:
        for number in (1, 2):
            with OrderEntry(server.endpoint, "FIRM1", number, context=context) as session:
                session.wait_for(session.buy("AAPL", 1))
                server.report_sequence = itertools.count(11)
    assert Heartbeat().interval_ms < Heartbeat().timeout_ms


# ---- The page ----


def example_bytes(index: int) -> bytes:
    """The bytes of a dump in docs/PROTOCOL.md, by its place among them."""
    page = (Path(__file__).parent.parent / "docs" / "PROTOCOL.md").read_text()
    dump = page.split("## Example")[1].split("```")[2 * index + 1]
    return bytes.fromhex("".join(line[4:] for line in dump.strip("\n").splitlines()))


def test_example_of_the_protocol_page_is_what_the_client_sends_and_reads(server: FakeServer, feed: FakeFeed) -> None:
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
    with MarketData(feed.socket.endpoint, DIRECTORY) as market_data:
        market_data.subscribe("AAPL", channels=(Channel.TOP,))
        feed.wait_for_subscriptions(1)
        feed.send(example_bytes(3))
        market_data.synchronize()
        top = market_data.top("AAPL")
        assert top is not None
        assert (top.bid_price, top.bid_quantity, top.ask_price) == (Decimal("150.25"), Decimal(100), None)
