"""Small servers for the tests of the client: sockets of pyzmq and messages made of layouts, nothing of the server's own."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import zmq
from venues import ANY

from ome.client import InstrumentDirectory
from ome.codec import COMMAND, layouts
from ome.enums import CommandKind, EventKind, OrderType, Policy, Reason, Side, TimeInForce
from ome.instruments import Instrument
from ome.marketdata import Channel, topic_of
from ome.messages import NULL_VALUE

Array = npt.NDArray[np.void]
NUMBERED = {1: Instrument("AAPL", tick="0.01"), 2: Instrument("OIL", tick="0.5", price_decimals=1, quantity_decimals=3, signed_prices=True)}
DIRECTORY = InstrumentDirectory(NUMBERED)


def message(template: int, **fields: object) -> bytes:
    """One message of the schema, zero but for its header and these fields."""
    row = np.zeros(1, dtype=layouts.TEMPLATES[template][2])
    header = {"block_length": layouts.TEMPLATES[template][1], "template_id": template, "schema_id": 28525, "version": 2}
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


def bound(context: zmq.Context[zmq.Socket[bytes]], kind: int, endpoint: str) -> zmq.Socket[bytes]:
    """A socket that listens; also where the last one that listened there has just gone."""
    socket = context.socket(kind)
    deadline = time.monotonic() + 5.0
    while True:
        try:
            socket.bind(endpoint)
        except zmq.ZMQError:
            assert time.monotonic() < deadline, f"{endpoint} does not become free"
            time.sleep(0.01)
        else:
            return socket


_ANSWERS: dict[int, EventKind] = {
    CommandKind.NEW_ORDER: EventKind.ACCEPTED,
    CommandKind.CANCEL_ORDER: EventKind.CANCELLED,
    CommandKind.REDUCE_ORDER: EventKind.REDUCED,
    CommandKind.AMEND_ORDER: EventKind.AMENDED,
    CommandKind.MASS_CANCEL: EventKind.COMPLETED,
}


class FakeServer:
    """A thread with a ROUTER that admits everybody and accepts every command; a test replaces what it answers."""

    def __init__(self, endpoint: str = ANY, frame_message_count_max: int = 256) -> None:
        self.frame_message_count_max = frame_message_count_max
        self.commands: list[Array] = []  # frames of commands, as they came
        self.logons: list[Array] = []
        self.report_sequence = itertools.count(11)
        self.command_sequence = 0  # the last number that was taken
        self.taken: list[int] = []  # all of them
        self.takes: Callable[[Array], int] = len  # how many messages of a frame it takes
        self.refusal = Reason.BUSY  # of the others
        self.reject: Callable[[Array], bytes | None] = lambda frame: None  # a FrameReject for a whole frame, of which it takes none
        self.order_id = itertools.count(2**32 + 1)
        self.logon_answer: Callable[[Array], list[bytes]] = self.admit
        self.answer_frame: Callable[[Array], list[bytes]] = self.accept_all
        self.answer_logout: Callable[[], list[bytes]] = lambda: [message(130, reason=Reason.REQUESTED)]
        self.heartbeats: list[int] = []  # the request ids of those that came
        self.test_requests: list[int] = []
        self.resend_requests: list[int] = []  # the reports from which on they ask
        self.answer_test: Callable[[int], list[bytes]] = lambda request_id: [self.heartbeat(request_id)]
        self.answer_resend: Callable[[int], list[bytes]] = lambda wanted: [message(137, next_report_sequence=wanted)]
        self.peer = b""
        self._context = zmq.Context()
        self._socket = bound(self._context, zmq.ROUTER, endpoint)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.is_reading = True
        self._is_stopping = False
        self._to_say: list[bytes] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._is_stopping = True
        self._thread.join()
        self._context.destroy(linger=1_000)
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
            first_report_sequence=1,
            login_id=int(logon["login_id"][0]),
            command_sequence=self.command_sequence,
            heartbeat_ms=int(logon["heartbeat_ms"][0]) or 10_000,
            instrument_count=len(NUMBERED),
            frame_message_count_max=self.frame_message_count_max,
            participant=3,
            session=5,
            policy=Policy.COMMIT,
        )
        return [answer + definitions()]

    def heartbeat(self, request_id: int = 0) -> bytes:
        """A Heartbeat that says where the commands are."""
        return message(133, request_id=request_id, command_sequence=self.command_sequence)

    def report(self, command: np.void, **fields: object) -> bytes:
        """An execution report on a command: what answers it, unless the fields say otherwise."""
        echoed = {name: command[name] for name in ("client_order_id", "instrument", "account", "price")}
        usual = {
            "kind": _ANSWERS[int(command["template_id"])],
            "reason": Reason.REQUESTED if command["template_id"] == CommandKind.CANCEL_ORDER else Reason.NONE,
            "side": command["side"],
            "leaves_quantity": command["quantity"],
            "order_id": next(self.order_id),
        }
        if "kind" in fields:
            usual["reason"] = Reason.NONE
        if fields.get("kind", usual["kind"]) in (EventKind.REJECTED, EventKind.COMPLETED):
            usual["command_kind"] = command["template_id"]
        return message(132, **(echoed | usual | {"report_sequence": next(self.report_sequence), "engine_sequence": 41} | fields))

    def accept_all(self, frame: Array) -> list[bytes]:
        reports = [self.report(command) for command in frame if command["template_id"] != CommandKind.ORDER_TERMS]
        return [b"".join(reports)] if reports else []

    def refuse(self, frame: Array, count: int, reason: Reason, allowed: int = 0) -> bytes:
        """A FrameReject that takes the first `count` messages of a frame."""
        return message(
            131,
            reason=reason,
            field=b"session_sequence",
            found=frame["session_sequence"][count],
            allowed=allowed,
            message_index=count,
            byte_offset=64 * count,
            accepted_count=count,
            rejected_count=len(frame) - count,
        )

    def take(self, frame: Array) -> list[bytes]:
        """PROTOCOL, Commands: each number once and in order."""
        expected = self.command_sequence % (2**32 - 1) + 1
        reject = self.reject(frame)
        if reject is not None:
            return [reject]
        if frame["session_sequence"][0] != expected:
            return [self.refuse(frame, 0, Reason.SEQUENCE_GAP, expected)]
        count = self.takes(frame)
        self.taken += frame["session_sequence"][:count].tolist()
        self.command_sequence = int(frame["session_sequence"][count - 1]) if count else self.command_sequence
        refused = [self.refuse(frame, count, self.refusal)] if count < len(frame) else []
        return refused + (self.answer_frame(frame[:count]) if count else [])

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                if self.is_reading and self._socket.poll(2):
                    self.peer, frame = self._socket.recv_multipart()
                    for answer in self._answers(frame):
                        self._socket.send_multipart([self.peer, answer])
                while self._to_say:
                    self._socket.send_multipart([self.peer, self._to_say.pop(0)])
        except BaseException as error:
            self._error = error

    def _answers(self, frame: bytes) -> list[bytes]:
        template = int(np.frombuffer(frame, "<u2", count=4)[1])
        if template == 128:
            self.logons.append(np.frombuffer(frame, layouts.LOGON_MESSAGE))
            return self.logon_answer(self.logons[-1])
        if template == 130:
            return self.answer_logout()
        if template == 133:
            self.heartbeats.append(int(np.frombuffer(frame, layouts.HEARTBEAT_MESSAGE)["request_id"][0]))
            return []
        if template == 135:
            self.test_requests.append(int(np.frombuffer(frame, layouts.TEST_REQUEST_MESSAGE)["request_id"][0]))
            return self.answer_test(self.test_requests[-1])
        if template == 136:
            self.resend_requests.append(int(np.frombuffer(frame, layouts.RESEND_REQUEST_MESSAGE)["next_report_sequence"][0]))
            return self.answer_resend(self.resend_requests[-1])
        self.commands.append(np.frombuffer(frame, layouts.COMMAND_MESSAGE))
        return self.take(self.commands[-1])


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


def top_frame(number: int, sequence: int = 1, epoch: int = 1) -> bytes:
    """A top with a bid at the instrument's number."""
    fields = {"bid_price": number, "bid_quantity": 1, "ask_price": NULL_VALUE, "instrument": number, "epoch": epoch}
    return topic_of(Channel.TOP, number) + message(160, channel_sequence=sequence, **fields)


class FakeFeed:
    """An XPUB in the test's own thread. `epoch` and `sequence` are those of the levels of instrument 1."""

    def __init__(self, endpoint: str = ANY) -> None:
        self._context = zmq.Context()
        self._socket = bound(self._context, zmq.XPUB, endpoint)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.epoch = 1
        self.sequence = 0

    def close(self) -> None:
        self._context.destroy(linger=0)

    def receive(self) -> bytes | None:
        """The next subscription, or None."""
        return self._socket.recv() if self._socket.poll(0) else None

    def wait_for_subscriptions(self, count: int) -> list[bytes]:
        """The next subscriptions and cancellations: a byte 1 or 0, then the topic."""
        found: list[bytes] = []
        while len(found) < count:
            assert self._socket.poll(5_000), f"{found} came, of {count}"
            found.append(self._socket.recv())
        return found

    def levels_frame(self, rows: list[tuple[int, Side, int, int]], *, skip: int = 0) -> bytes:
        """Updates (engine sequence, side, price, quantity), after `skip` that get lost."""
        self.sequence += skip
        parts = [topic_of(Channel.LEVELS, 1)]
        for engine_sequence, side, price, quantity in rows:
            self.sequence += 1
            parts.append(self.update(self.sequence, engine_sequence, side, price, quantity))
        return b"".join(parts)

    def snapshot_frame(self, engine_sequence: int, rows: list[tuple[Side, int, int]], left_out: tuple[int, int] = (0, 0)) -> bytes:
        """All levels, or without so many bids and asks."""
        fields = {"channel_sequence": self.sequence, "engine_sequence": engine_sequence, "instrument": 1, "epoch": self.epoch}
        fields |= {"bids_left_out": left_out[0], "asks_left_out": left_out[1]}
        updates = [self.update(0, engine_sequence, *row) for row in rows]
        return topic_of(Channel.LEVELS, 1) + message(163, level_count=len(rows), **fields) + b"".join(updates)

    def update(self, channel_sequence: int, engine_sequence: int, side: Side, price: int, quantity: int) -> bytes:
        fields = {"channel_sequence": channel_sequence, "engine_sequence": engine_sequence, "instrument": 1, "epoch": self.epoch}
        return message(162, side=side, price=price, quantity=quantity, order_count=1 if quantity else 0, **fields)

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)
