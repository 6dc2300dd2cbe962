"""What the tests of running venues share: a small configuration, a client that says any bytes, a reader of journals, a process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import zmq

from ome.codec import COMMAND, EVENT, Records, records_of
from ome.codec.layouts import HEADER_SIZE, MESSAGE_CLASSES, TEMPLATES
from ome.codec.wire import decode_message, encode_message
from ome.config import ServerConfig
from ome.enums import CommandKind, EventKind, MessageClass, OrderType, Side, TimeInForce
from ome.instruments import Instrument
from ome.messages import Limits

ANY: Final = "tcp://127.0.0.1:0"
LIMITS: Final = Limits(order_count_max=2_000, level_count_max=1_000, instrument_count_max=200, session_count_max=200)
TIMEOUT_MS: Final = 5_000
QUIET_MS: Final = 50
START_S: Final = 60.0
_SEGMENT_HEADER_SIZE: Final = 4_096
_PREFIX: Final = struct.Struct("<QHI")  # sequence, type, length; data and a checksum of 4 bytes follow

Message = tuple[str, dict[str, Any]]
_CLIENT_COMMANDS: Final = frozenset(template for template, sent in MESSAGE_CLASSES.items() if sent is MessageClass.ORDER)


GATEWAY = os.environ.get("OME_TEST_GATEWAY", "thread")
COUNTERS_DELAY_S = 0.05 if GATEWAY == "process" else 0.0  # another process's counters are shown every 20 ms


def venue_config(directory: Path | None, **fields: Any) -> ServerConfig:
    """A venue that starts fast: any free ports, two instruments, small limits, small segments, the gateway in this process.

    With OME_TEST_GATEWAY=process the gateway has its own, as under `ome run`: the same tests hold for both.
    """
    defaults: dict[str, Any] = {
        "gateway": GATEWAY,
        "orders_endpoint": ANY,
        "feed_endpoint": ANY,
        "requests_endpoint": ANY,
        "segment_bytes": 1 << 20,
        "low_water_bytes": 0,
        "limits": LIMITS,
        "instruments": (Instrument("AAPL", tick="0.01"), Instrument("OIL", tick="0.5", price_decimals=1)),
    }
    return ServerConfig(directory=directory, **(defaults | fields))


def new_order(**fields: Any) -> bytes:
    """A good limit order to buy 10 of instrument 1 at 100, but for `fields`."""
    defaults = {
        "instrument": 1,
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "price": 100,
        "quantity": 10,
    }
    return encode_message("NewOrder", **(defaults | fields))


def messages_of(frame: bytes) -> list[Message]:
    """The messages of a frame, by name and fields."""
    found, offset = [], 0
    while offset < len(frame):
        name, fields = decode_message(frame, offset)
        found.append((name, fields))
        offset += HEADER_SIZE + TEMPLATES[fields["template_id"]][1]
    return found


def numbered(frame: bytes, last: int) -> tuple[bytes, int]:
    """A frame whose commands without a session sequence have those after `last`; and the last one's. Anything else is left as it is."""
    messages = bytearray(frame)
    for offset in range(0, len(frame) - len(frame) % 64, 64):
        template = int.from_bytes(frame[offset + 2 : offset + 4], "little")
        if template in _CLIENT_COMMANDS and frame[offset + 48 : offset + 52] == bytes(4):
            last = last % (2**32 - 1) + 1
            messages[offset + 48 : offset + 52] = last.to_bytes(4, "little")
    return bytes(messages), last


class Wire:
    """A connection that says any bytes, and hears messages as name and fields.

    It numbers the commands that have no session sequence, from what the last logon's answer says on, or the refusal of the last frame; not
    where `numbers` is False.
    """

    def __init__(self, endpoint: str, routing_id: bytes = b"") -> None:
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        if routing_id:
            self._socket.setsockopt(zmq.ROUTING_ID, routing_id)
        self._socket.connect(endpoint)
        self._heard: list[Message] = []
        self.numbers = True
        self.last_number = 0
        self._number_before = 0  # the last frame

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Goes away without a word."""
        self._socket.close(0)
        self._context.term()

    def say(self, *parts: bytes) -> None:
        """Sends one message of these parts."""
        sent = []
        self._number_before = self.last_number
        for part in parts:
            frame, last = numbered(part, self.last_number)
            sent.append(frame if self.numbers else part)
            self.last_number = last if self.numbers else self.last_number
        self._socket.send_multipart(sent)

    def hear(self) -> Message:
        """The next message that came. Fails where none comes."""
        while not self._heard:
            assert self._socket.poll(TIMEOUT_MS), "the server said nothing"
            self._heard += messages_of(self._socket.recv())
        name, fields = self._heard.pop(0)
        if name == "FrameReject":
            self.last_number = self._number_before + fields["accepted_count"]
        return name, fields

    def hear_report(self) -> dict[str, Any]:
        """The next message, which is an execution report; its kind as an EventKind."""
        name, fields = self.hear()
        assert name == "ExecutionReport", (name, fields)
        return fields | {"kind": EventKind(fields["kind"])}

    def hears_nothing(self) -> bool:
        """Whether nothing comes for a while."""
        return not self._heard and not self._socket.poll(QUIET_MS)

    def ask(self, frame: bytes) -> Message:
        """Says one frame and hears one message."""
        self.say(frame)
        return self.hear()

    def log_on(self, name: bytes | str, number: int = 0, **fields: Any) -> dict[str, Any]:
        """The answer to a logon; what follows it in the frame is dropped."""
        participant = name.encode("ascii") if isinstance(name, str) else name
        kind, answer = self.ask(encode_message("Logon", participant_name=participant, session_number=number, **fields))
        assert kind == "LogonAnswer", (kind, answer)
        self.last_number = answer["command_sequence"]
        definitions, self._heard = self._heard[: answer["instrument_count"]], self._heard[answer["instrument_count"] :]
        return answer | {"instruments": [fields for _, fields in definitions]}


def whole(commands: Records, count: int) -> int:
    """The most of the first `count` records that end with a whole command."""
    while count < len(commands) and commands["kind"][count] == CommandKind.ORDER_TERMS:
        count -= 1
    return count


def journal_commands(directory: Path, count: int | None = None) -> Records:
    """The first `count` commands of a journal (None: all), with their sequences.

    Reads records as docs/JOURNAL.md has them, checks no checksum.
    """
    records = bytearray()
    expected = 1
    for path in sorted(directory.glob("journal-*.ome")):
        for sequence, kind, body in _segment(path.read_bytes()):
            if kind & 0x7FFF == 0 or (count is not None and expected > count):  # a seal
                break
            if sequence != expected:
                assert count is None, f"sequence {sequence} where {expected} is expected"
                break
            records += sequence.to_bytes(8, "little") + body
            expected += 1
    assert count is None or expected == count + 1, f"{expected - 1} commands of {count}"
    return records_of(records, COMMAND)


def logged_events(directory: Path) -> Records:
    """All events of an event log, whose numbers count from 1. Reads records as docs/JOURNAL.md has them, checks no checksum."""
    records = bytearray()
    count = 0
    for path in sorted(directory.glob("events-*.ome")):
        for number, kind, body in _segment(path.read_bytes()):
            if kind & 0x3FFF == 0:  # a seal
                break
            count += 1
            assert number == count, f"event {number} where {count} is expected"
            records += body
    return records_of(records, EVENT)


def _segment(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = _SEGMENT_HEADER_SIZE
    while offset + _PREFIX.size <= len(data):
        sequence, kind, length = _PREFIX.unpack_from(data, offset)
        if sequence == 0:
            return
        yield sequence, kind, data[offset + _PREFIX.size : offset + _PREFIX.size + length]
        offset += _PREFIX.size + length + 4


def journal_end(directory: Path) -> tuple[Path, int]:
    """The last segment that has records or none after it, and where its records (and seal) end."""
    path = max(directory.glob("journal-*.ome"))
    end = _SEGMENT_HEADER_SIZE + sum(_PREFIX.size + len(body) + 4 for _, _, body in _segment(path.read_bytes()))
    return path, end


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of a journal by name: to see that nothing changed."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir()) if path.name.startswith("journal-")}


def read_json(text: str) -> Any:
    """What a command printed with --json. Fields of 64 bits, which are strings there, are integers."""
    return json.loads(text, object_hook=_with_integers)


def _with_integers(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: int(value) if isinstance(value, str) and _WIDE.search(name) else value for name, value in fields.items()}


_WIDE = re.compile("sequence$|_id$|_ns$|^epoch$|^begins_behind$|^snapshot$")


class VenueProcess:
    """`ome run` in a process of its own, run by the command `under` where one is given. `start` returns when it is open for orders.

    `descriptor_limit` is its limit, soft and hard.
    """

    def __init__(self, config: Path, under: tuple[str, ...] = (), *, descriptor_limit: int | None = None) -> None:
        self._command = [*under, sys.executable, "-c", "from ome.cli.main import main; main()", "run", "--json", "--config", str(config)]
        if descriptor_limit is not None:
            self._command = ["/bin/sh", "-c", f'ulimit -n {descriptor_limit}; exec "$@"', "sh", *self._command]
        self._process: subprocess.Popen[str] | None = None
        self.orders_endpoint = ""
        self.feed_endpoint = ""
        self.requests_endpoint = ""

    def start(self) -> dict[str, Any]:
        """Starts it and returns the start's summary. Fails with what it printed where it does not start."""
        process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._process = process
        assert process.stdout is not None, "the output is a pipe"
        if not select.select([process.stdout], [], [], START_S)[0]:
            self.kill()
            raise AssertionError(f"the venue did not start within {START_S} s")
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"the venue did not start: {process.communicate()[1]}")
        started = read_json(line)
        self.orders_endpoint, self.feed_endpoint, self.requests_endpoint = started["orders"], started["feed"], started["requests"]
        summary: dict[str, Any] = started["summary"]
        return summary

    def kill(self) -> None:
        """SIGKILL: it has no chance to do anything."""
        assert self._process is not None, "it was started"
        self._process.kill()
        self._process.communicate()
        self._process = None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None, "it was started"
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process is None or self._process.poll() is not None

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends by itself in so many seconds: its clients may see it first."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process is not None:
                self._process.wait(seconds)
        return self.has_ended

    def wait_for_failure(self) -> tuple[int, str]:
        """Waits until it ends by itself: its exit code, and what it printed as error."""
        assert self._process is not None, "it was started"
        _, errors = self._process.communicate(timeout=20)
        code = self._process.returncode
        self._process = None
        return code, errors

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        assert self._process is not None, "it was started"
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> dict[str, Any]:
        """SIGTERM, or another signal: returns what it printed at its end."""
        assert self._process is not None, "it was started"
        self._process.send_signal(number)
        output, errors = self._process.communicate(timeout=20)
        assert self._process.returncode == 0, errors
        self._process = None
        stopped: dict[str, Any] = read_json(output)
        return stopped

    def __enter__(self) -> VenueProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self.kill()


def config_file(
    directory: Path,
    *,
    policy: str = "commit",
    low_water_bytes: int = 0,
    keys_file: Path | None = None,
    accounts_file: Path | None = None,
) -> Path:
    """A configuration file for `ome run` whose journal is in `directory` / journal."""
    path = directory / "ome.toml"
    path.write_text(
        f"""
        [server]
        orders = "{ANY}"
        feed = "{ANY}"
        requests = "{ANY}"
        [journal]
        directory = "{directory / "journal"}"
        policy = "{policy}"
        segment_bytes = {1 << 18}
        low_water_bytes = {low_water_bytes}
        snapshot_commands = 500
        [security]
        keys = "{keys_file or ""}"
        accounts = "{accounts_file or ""}"
        [limits]
        orders = {LIMITS.order_count_max}
        levels = {LIMITS.level_count_max}
        instruments = {LIMITS.instrument_count_max}
        sessions = {LIMITS.session_count_max}
        [[instruments]]
        symbol = "AAPL"
        tick = "0.01"
        [[instruments]]
        symbol = "OIL"
        tick = "0.5"
        price_decimals = 1
        """
    )
    return path
