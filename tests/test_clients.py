"""Clients in other languages: the C header, the C library and its example, the client of docs/CLIENTS.md, and codecs of SBE tools."""

from __future__ import annotations

import io
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sbe
import zmq
from c_clients import CLIENTS, ROOT, STRICT, Client, Happened, Status, compiler, libzmq, run_compiler
from click.testing import CliRunner
from proxies import Proxy
from venues import ANY, VenueProcess, config_file, messages_of, venue_config
from zmq.utils import z85

from ome.cli.main import main
from ome.client.errors import explain
from ome.codec.layouts import EXECUTION_REPORT_MESSAGE, HEADER_SIZE, TEMPLATE_IDS, TEMPLATES
from ome.codec.schema import HEADER_FILE, SCHEMA_FILE, plain_schema
from ome.codec.wire import encode_message
from ome.enums import CommandFlags, CommandKind, EventKind, OrderType, Policy, Reason, Side, Term, TimeInForce
from ome.keys import AdmittedKey, Role, keys_file_text, make_key_pair, write_key_pair
from ome.server import Server

HEADER = CLIENTS / "ome_messages.h"
LIBRARY = tuple(CLIENTS / f"ome_{part}.c" for part in ("client", "connection", "unanswered"))
PAGE = (ROOT / "docs" / "CLIENTS.md").read_text("utf-8")
WIRE = sorted(re.findall(r"^### (\w+) \(template", (ROOT / "docs" / "PROTOCOL.md").read_text("utf-8"), re.MULTILINE))
ROUNDS = 12


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


# The header.


@pytest.mark.parametrize(
    ("names", "standard"), [(("gcc", "clang", "cc"), "c99"), (("gcc", "clang", "cc"), "c11"), (("g++", "clang++", "c++"), "c++17")]
)
def test_the_header_compiles_alone_without_a_warning(names: tuple[str, ...], standard: str, tmp_path: Path) -> None:
    """It needs nothing of csrc/, and its static assertions hold."""
    source = tmp_path / ("alone.cpp" if "+" in standard else "alone.c")
    source.write_text(
        f'#include "{HEADER}"\nint main() {{ return 0; }}\n' if "+" in standard else f'#include "{HEADER}"\ntypedef int alone_t;\n'
    )
    run_compiler(compiler(*names), f"-std={standard}", *STRICT, "-Wconversion", "-fsyntax-only", source)


def test_structs_of_the_header_are_the_layouts(tmp_path: Path) -> None:
    """Each message of docs/PROTOCOL.md has a struct with the size and the offsets of ome.codec.layouts, and what
    `ome_message_init` makes is an empty message."""
    lines, expected, empty = [], [], b""
    for name in WIRE:
        layout = TEMPLATES[TEMPLATE_IDS[name]][2]
        assert layout.fields is not None
        struct = re.search(rf"typedef struct\n{{([^}}]*)}} ome_{snake(name)}_t;", HEADER.read_text("utf-8"))
        assert struct is not None, f"{name} has no struct"
        fields = [field for field in re.findall(r"^    \w+ (\w+)(?:\[\d+\])?;", struct[1], re.MULTILINE) if field in layout.fields]
        lines.append(f"    show(sizeof(ome_{snake(name)}_t));\n")
        expected.append(layout.itemsize)
        for field in fields:
            lines.append(f"    show(offsetof(ome_{snake(name)}_t, {field}));\n")
            expected.append(layout.fields[field][1])
        lines.append(f"    ome_{snake(name)}_t {snake(name)};\n    memset(&{snake(name)}, 255, sizeof({snake(name)}));\n")
        lines.append(f"    ome_message_init(&{snake(name)}, OME_TEMPLATE_{snake(name).upper()});\n")
        lines.append(f"    fwrite(&{snake(name)}, sizeof({snake(name)}), 1, stderr);\n")
        empty += encode_message(name)
    source, program = tmp_path / "layout.c", tmp_path / "layout"
    body = "".join(lines)
    source.write_text(
        f'#include <stdio.h>\n#include "{HEADER}"\nstatic void show(size_t value)\n{{\n    printf("%zu\\n", value);\n}}\n'
        f"int main(void)\n{{\n{body}    return 0;\n}}\n"
    )
    run_compiler(compiler("gcc", "clang", "cc"), "-std=c11", *STRICT, source, "-o", program)
    shown = subprocess.run([program], capture_output=True, check=True)
    assert [int(line) for line in shown.stdout.split()] == expected
    assert shown.stderr == empty


def test_the_header_has_the_words_of_each_reason(tmp_path: Path) -> None:
    """Name and meaning, as the Python client has them; a number that is none is of a later version."""
    source, program = tmp_path / "words.c", tmp_path / "words"
    loop = "for (int reason = 0; reason < 256; reason++)\n    {\n        puts(ome_reason_words((uint8_t)reason));\n    }"
    source.write_text(f'#include <stdio.h>\n#include "{HEADER}"\nint main(void)\n{{\n    {loop}\n    return 0;\n}}\n')
    run_compiler(compiler("gcc", "clang", "cc"), "-std=c11", *STRICT, source, "-o", program)
    shown = subprocess.run([program], capture_output=True, check=True, text=True).stdout.splitlines()
    known = {int(reason) for reason in Reason}
    assert shown == [explain(reason) if reason in known else "a reason of a later version" for reason in range(256)]


def test_ome_schema_prints_the_schema_and_the_header() -> None:
    """`ome schema`, `--plain` and `--header`; the header of an installed ome is that of clients/c/."""
    runner = CliRunner()
    assert runner.invoke(main, ["schema"]).stdout == SCHEMA_FILE.read_text("utf-8")
    assert runner.invoke(main, ["schema", "--plain"]).stdout == plain_schema()
    assert runner.invoke(main, ["schema", "--header"]).stdout == HEADER.read_text("utf-8") == HEADER_FILE.read_text("utf-8")
    assert runner.invoke(main, ["schema", "--header", "--plain"]).exit_code == 2


# Codecs from the schema.


def sample(schema: sbe.Schema, name: str) -> tuple[dict[str, Any], dict[str, object]]:
    """Values for every field of a message: as the library of SBE has them, and as ours has them."""
    theirs: dict[str, Any] = {}
    ours: dict[str, object] = {}
    for place, field in enumerate(schema.messages[TEMPLATE_IDS[name]].fields, 3):
        kind = field.type
        if field.name.startswith("reserved_"):
            theirs[field.name] = "" if kind.primitiveType.value == "char" else 0
        elif isinstance(kind, sbe.Enum):
            value = kind.valid_values[place % len(kind.valid_values)]
            theirs[field.name], ours[field.name] = value.name, int(value.value)
        elif isinstance(kind, sbe.Set):
            theirs[field.name] = [choice.name for choice in kind.choices[place % 2 :]]
            ours[field.name] = sum(1 << choice.value for choice in kind.choices[place % 2 :])
        elif kind.primitiveType.value == "char":
            theirs[field.name], ours[field.name] = f"text-{place}", f"text-{place}".encode()
        else:
            signed = kind.primitiveType.value == "int64"
            value = {"uint8": 7 * place, "uint16": 700 * place, "uint32": 70_000_000 * place}.get(kind.primitiveType.value, place << 50)
            theirs[field.name] = ours[field.name] = -value if signed else value
    return theirs, ours


@pytest.mark.parametrize("name", WIRE)
def test_a_codec_of_an_sbe_library_reads_and_writes_each_message_byte_for_byte(name: str) -> None:
    """The PyPI package sbe, which knows nothing of ome and ignores offsets, with the plain schema."""
    schema = sbe.Schema.parse(io.StringIO(plain_schema().split("\n", 1)[1]))
    theirs, ours = sample(schema, name)
    data = encode_message(name, **ours)
    assert schema.encode(schema.messages[TEMPLATE_IDS[name]], theirs) == data
    decoded = schema.decode(data)
    assert decoded.message_name == name
    assert decoded.value == theirs
    assert decoded.header == {"blockLength": len(data) - HEADER_SIZE, "templateId": TEMPLATE_IDS[name], "schemaId": 28525, "version": 2}


def test_null_values_are_none_in_the_plain_schema() -> None:
    """An amend that keeps its price."""
    schema = sbe.Schema.parse(io.StringIO(plain_schema().split("\n", 1)[1]))
    assert schema.decode(encode_message("AmendOrder", price=-(2**63), quantity=5, kind=4)).value["price"] is None


# The C library and its example.


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built as its page says."""
    program = tmp_path_factory.mktemp("example") / "example"
    sources = (CLIENTS / "example.c", *LIBRARY)
    run_compiler(compiler("gcc", "clang", "cc"), "-std=c11", "-O2", *STRICT, "-Wconversion", "-Wshadow", *sources, *libzmq(), "-o", program)
    return program


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C library as a shared one, to be called from here."""
    path = tmp_path_factory.mktemp("library") / "libome_client.so"
    run_compiler(compiler("gcc", "clang", "cc"), "-std=c11", "-O2", "-shared", "-fPIC", *STRICT, *LIBRARY, *libzmq(), "-o", path)
    return path


def test_the_c_client_can_be_used_from_cpp(tmp_path: Path) -> None:
    """Its header has C linkage."""
    source = tmp_path / "client.cpp"
    source.write_text('#include "ome_client.h"\nint main() { return ome_client_create(nullptr) != nullptr; }\n')
    run_compiler(compiler("g++", "clang++", "c++"), "-std=c++17", *STRICT, "-fsyntax-only", f"-I{CLIENTS}", source)


class Example:
    """The example while it runs; what it prints goes to a file."""

    def __init__(self, program: Path, endpoint: str, folder: Path, rounds: int = ROUNDS) -> None:
        self.rounds = rounds
        self._out = folder / "example.out"
        with self._out.open("w") as out:
            self._process = subprocess.Popen([program, endpoint, "FIRM1", "AAPL", str(rounds)], stdout=out, stderr=subprocess.STDOUT)

    def wait_for(self, text: str) -> None:
        """Waits until it has printed this."""
        deadline = time.monotonic() + 10
        while text not in self._out.read_text():
            assert time.monotonic() < deadline, f"{text!r} is not in {self._out.read_text()}"
            time.sleep(0.005)

    def check(self) -> str:
        """It ends well, with each report once and in order, and has traded what it was to trade; gives what it printed."""
        try:
            status = self._process.wait(60)
        finally:
            self._process.kill()
        out = self._out.read_text()
        assert status == 0, out
        numbers = [int(number) for number in re.findall(r"^ *(\d+)  \w", out, re.MULTILINE)]
        assert numbers == list(range(1, len(numbers) + 1))
        totals = f"bought {50 * self.rounds}  sold {50 * self.rounds}  reports {len(numbers)}  unanswered 0"
        assert out.splitlines()[-1] == totals
        assert "triggered" in out
        return out


def test_the_c_example_trades_with_stops_and_icebergs(example: Path, tmp_path: Path) -> None:
    """On a connection that holds."""
    with Server(venue_config(None, policy=Policy.MEMORY)) as server:
        out = Example(example, server.orders_endpoint, tmp_path).check()
    assert "disconnected" not in out
    assert "stop set" in out


@pytest.mark.parametrize("first", [301, 1_009, 2_003])
def test_the_c_example_survives_a_connection_that_is_cut(example: Path, tmp_path: Path, first: int) -> None:
    """Cut in the middle of a logon's answer, of a report and between them."""
    cuts = tuple(range(first, first + 4_000, 1_117))
    with Server(venue_config(None, policy=Policy.MEMORY)) as server, Proxy(server.orders_endpoint, cuts) as proxy:
        Example(example, proxy.endpoint, tmp_path).check()
        assert proxy.connection_count == len(cuts) + 1


def test_the_c_example_survives_a_server_that_stops_and_starts_again(example: Path, tmp_path: Path) -> None:
    """It trades on with the server that has recovered the journal."""
    config = venue_config(tmp_path / "journal")
    with Server(config) as server, Proxy(server.orders_endpoint) as proxy:
        running = Example(example, proxy.endpoint, tmp_path, 80)
        running.wait_for("cancelled")
        server.close()
        with Server(config) as again:
            proxy.target = again.orders_endpoint
            assert running.check().count("logged on") >= 2


@pytest.mark.slow
def test_the_c_example_survives_a_server_that_is_killed(example: Path, tmp_path: Path) -> None:
    """No command is lost, and none is taken twice."""
    venue = VenueProcess(config_file(tmp_path))
    venue.start()
    try:
        with Proxy(venue.orders_endpoint) as proxy:
            running = Example(example, proxy.endpoint, tmp_path, 80)
            for round in (10, 40):
                running.wait_for(f"order {3 * round}  ")
                venue.kill()
                venue.start()
                proxy.target = venue.orders_endpoint
            assert running.check().count("logged on") >= 3
    finally:
        venue.kill()


# The C library, step by step, with a server that says what the test wants.


class Scripted:
    """A ROUTER in the test's own thread. While it waits for the client, it lets that work."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(ANY)
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._peer = b""
        self.client: Client | None = None

    def close(self) -> None:
        self._context.destroy(linger=0)

    def hear(self) -> list[tuple[str, dict[str, Any]]]:
        """The messages of the next frame that is no Heartbeat by itself."""
        deadline = time.monotonic() + 5
        while True:
            while not self._socket.poll(5):
                assert time.monotonic() < deadline, "the client said nothing"
                assert self.client is None or self.client.poll(5).kind == Happened.NOTHING
            self._peer, frame = self._socket.recv_multipart()
            messages = messages_of(frame)
            if messages[0][0] != "Heartbeat" or messages[0][1]["request_id"]:
                return messages

    def hears_nothing(self) -> bool:
        return not self._socket.poll(50)

    def hear_numbers(self) -> list[int]:
        """The session sequences of the next frame."""
        return [fields["session_sequence"] for _, fields in self.hear()]

    def say(self, *messages: bytes) -> None:
        self._socket.send_multipart([self._peer, b"".join(messages)])

    def report(self, number: int, **fields: object) -> bytes:
        return encode_message("ExecutionReport", **({"report_sequence": number, "kind": EventKind.ACCEPTED} | fields))

    def reject(self, reason: Reason, found: int, **fields: object) -> None:
        self.say(encode_message("FrameReject", **({"reason": reason, "found": found, "rejected_count": 1} | fields)))


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()


def log_on(server: Scripted, client: Client, **fields: object) -> dict[str, Any]:
    """The client's logon is answered by these fields; gives the logon."""
    server.client = client
    ((name, logon),) = server.hear()
    assert name == "Logon"
    usual = {"heartbeat_ms": 10_000, "frame_message_count_max": 256, "instrument_count": 1, "login_id": logon["login_id"]}
    definition = encode_message("DefineInstrument", symbol=b"AAPL", instrument=1, tick=1)
    server.say(encode_message("LogonAnswer", **(usual | fields)) + definition)
    return logon


def buy(client_order_id: int) -> bytes:
    fields = {"instrument": 1, "side": Side.BUY, "order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "price": 5, "quantity": 1}
    return encode_message("NewOrder", client_order_id=client_order_id, **fields)


def cancel(client_order_id: int) -> bytes:
    return encode_message("CancelOrder", client_order_id=client_order_id)


def test_a_command_with_terms_is_one_frame_with_continued(server: Scripted, library: Path) -> None:
    """Four terms need two OrderTerms; the client numbers all three messages."""
    with Client(library, server.endpoint) as client:
        assert client.send(buy(1)) == Status.NOT_YET
        logon = log_on(server, client, command_sequence=2**32 - 3)
        assert (logon["participant_name"], logon["next_report_sequence"]) == (b"FIRM1", 1)
        assert client.poll().kind == Happened.LOGGED_ON
        assert (
            client.send(buy(1), *((int(term), 10 * term) for term in (Term.STOP_PRICE, Term.DISPLAY_QUANTITY, Term.CAPACITY, Term.ALGO_ID)))
            == Status.OK
        )
        order, first, second = (fields for _, fields in server.hear())
        assert [fields["session_sequence"] for fields in (order, first, second)] == [2**32 - 2, 2**32 - 1, 1]
        assert [fields["flags"] for fields in (order, first, second)] == [CommandFlags.CONTINUED, CommandFlags.CONTINUED, 0]
        assert [first[f"term_{i}"] for i in (1, 2, 3)] == [Term.STOP_PRICE, Term.DISPLAY_QUANTITY, Term.CAPACITY]
        assert (second["term_1"], second["value_1"], second["term_2"], second["value_2"]) == (Term.ALGO_ID, 10 * Term.ALGO_ID, 0, 0)
        assert client.unanswered == 3
        server.say(server.report(1, client_order_id=1))
        event = client.poll()
        assert (event.kind, client.unanswered, client.next_report) == (Happened.REPORT, 0, 2)
        assert np.frombuffer(bytes(event.report), EXECUTION_REPORT_MESSAGE)[0]["client_order_id"] == 1


def test_what_it_cannot_send_has_a_status(server: Scripted, library: Path) -> None:
    """The ring is bounded, and what is no command of a client is not sent."""
    with Client(library, server.endpoint, message_count_max=2) as client:
        log_on(server, client)
        assert client.poll().kind == Happened.LOGGED_ON
        assert client.send(encode_message("Logon")) == Status.INVALID
        assert client.send(cancel(1), (int(Term.STOP_PRICE), 1)) == Status.INVALID
        assert [client.send(buy(number)) for number in (1, 2, 3)] == [Status.OK, Status.OK, Status.FULL]


def test_what_a_busy_server_refuses_is_sent_again_in_order(server: Scripted, library: Path) -> None:
    """With the same numbers, in one frame, after a pause; what was behind it and came too early stays in its place."""
    with Client(library, server.endpoint) as client:
        log_on(server, client)
        assert client.poll().kind == Happened.LOGGED_ON
        for number in (1, 2, 3):
            client.send(buy(number))
            assert server.hear_numbers() == [number]
        server.say(server.report(1, client_order_id=1))
        server.reject(Reason.BUSY, 2)
        server.reject(Reason.SEQUENCE_GAP, 3, allowed=2)
        assert client.poll().kind == Happened.REPORT
        assert server.hear_numbers() == [2, 3]
        server.reject(Reason.THROTTLED, 3, accepted_count=1)
        assert server.hear_numbers() == [3]
        server.say(server.report(2, client_order_id=2), server.report(3, client_order_id=3))
        assert [client.poll().kind for _ in range(2)] == [Happened.REPORT] * 2
        assert client.unanswered == 0
        assert server.hears_nothing()


def test_an_answer_counts_also_where_its_command_was_to_be_sent_again(server: Scripted, library: Path) -> None:
    """BUSY, but a copy of the frame that the network made was taken: nothing waits for ever, and nothing is sent again."""
    with Client(library, server.endpoint) as client:
        log_on(server, client)
        assert client.poll().kind == Happened.LOGGED_ON
        client.send(buy(1))
        assert server.hear_numbers() == [1]
        server.reject(Reason.BUSY, 1)
        server.say(server.report(1, client_order_id=1))
        assert (client.poll().kind, client.unanswered) == (Happened.REPORT, 0)
        assert server.hears_nothing()
        client.send(buy(2))
        assert server.hear_numbers() == [2]


def test_orders_that_low_storage_refuses_are_left_out(server: Scripted, library: Path) -> None:
    """They are named, and the cancel behind them is numbered anew."""
    with Client(library, server.endpoint) as client:
        log_on(server, client)
        assert client.poll().kind == Happened.LOGGED_ON
        client.send(buy(1), (int(Term.DISPLAY_QUANTITY), 1))
        client.send(cancel(9))
        client.send(buy(2))
        assert [server.hear_numbers() for _ in range(3)] == [[1, 2], [3], [4]]
        server.reject(Reason.STORAGE_LOW, 1, rejected_count=2)
        events = [client.poll() for _ in range(2)]
        assert [(event.kind, event.client_order_id) for event in events] == [(Happened.ORDER_REFUSED, 1), (Happened.ORDER_REFUSED, 2)]
        ((name, fields),) = server.hear()
        assert (name, fields["client_order_id"], fields["session_sequence"], client.unanswered) == ("CancelOrder", 9, 1, 1)
        client.send(buy(3))
        assert server.hear_numbers() == [2]


def test_each_report_comes_out_once_and_in_order(server: Scripted, library: Path) -> None:
    """Those that came are dropped, those that are missing asked for."""
    with Client(library, server.endpoint) as client:
        log_on(server, client)
        assert client.poll().kind == Happened.LOGGED_ON
        server.say(server.report(1), server.report(1), server.report(3))
        assert client.poll().kind == Happened.REPORT
        assert server.hear()[0][1]["next_report_sequence"] == 2
        server.say(encode_message("ResendAnswer", next_report_sequence=2, report_sequence=3))
        server.say(server.report(2), server.report(3))
        assert [client.poll().kind for _ in range(2)] == [Happened.REPORT] * 2
        assert client.next_report == 4


def test_what_another_session_does_to_an_order_is_no_answer(server: Scripted, library: Path) -> None:
    """Nor is the mass cancel of a session that had lost its connection. An amend's answer has the new id."""
    with Client(library, server.endpoint) as client:
        log_on(server, client)
        assert client.poll().kind == Happened.LOGGED_ON
        client.send(encode_message("AmendOrder", client_order_id=1, quantity=5), (int(Term.NEW_CLIENT_ORDER_ID), 2))
        server.say(
            server.report(1, kind=EventKind.COMPLETED, command_kind=CommandKind.MASS_CANCEL),
            server.report(2, kind=EventKind.CANCELLED, reason=Reason.REQUESTED, client_order_id=7),
            server.report(3, kind=EventKind.AMENDED, client_order_id=7),
            server.report(4, kind=EventKind.AMENDED, client_order_id=2),
        )
        assert [(client.poll().kind, client.unanswered) for _ in range(4)] == [(Happened.REPORT, 2)] * 3 + [(Happened.REPORT, 0)]


def test_it_resumes_the_session_and_sends_what_was_not_taken(server: Scripted, library: Path) -> None:
    """After a Logout of a server that stops. Messages that were taken wait for their answers."""
    with Client(library, server.endpoint) as client:
        log_on(server, client)
        assert client.poll().kind == Happened.LOGGED_ON
        for number in (1, 2, 3):
            client.send(buy(number))
            server.hear()
        server.say(server.report(1, client_order_id=1), encode_message("Logout", reason=Reason.ENGINE_STOPPED))
        assert [client.poll().kind for _ in range(2)] == [Happened.REPORT, Happened.DISCONNECTED]
        client.send(buy(4))
        assert log_on(server, client, command_sequence=2)["next_report_sequence"] == 2
        assert client.poll().kind == Happened.LOGGED_ON
        assert server.hear_numbers() == [3, 4]
        server.say(*(server.report(number, client_order_id=number) for number in (2, 3, 4)))
        assert [client.poll().kind for _ in range(3)] == [Happened.REPORT] * 3
        assert client.unanswered == 0


def test_it_says_when_the_venue_has_lost_its_past(server: Scripted, library: Path) -> None:
    """Reports that are gone, and a count of messages that does not fit."""
    with Client(library, server.endpoint, next_report_sequence=5) as client:
        log_on(server, client, command_sequence=7, report_sequence=9)
        assert client.poll().kind == Happened.LOGGED_ON
        server.say(encode_message("ResendAnswer", next_report_sequence=9, reason=Reason.REPORTS_GONE))
        event = client.poll()
        assert (event.kind, event.reason, client.next_report) == (Happened.REPORTS_LOST, Reason.REPORTS_GONE, 9)
        client.send(buy(1))
        assert server.hear_numbers() == [8]
        server.say(encode_message("Logout", reason=Reason.ENGINE_STOPPED))
        assert client.poll().kind == Happened.DISCONNECTED
        log_on(server, client, command_sequence=3)
        assert [client.poll().kind for _ in range(2)] == [Happened.SESSION_CHANGED, Happened.LOGGED_ON]
        assert client.unanswered == 0
        client.send(buy(2))
        assert server.hear_numbers() == [4]


def test_signs_of_life(server: Scripted, library: Path) -> None:
    """It sends heartbeats, answers a TestRequest, asks a silent server, and gives it up."""
    with Client(library, server.endpoint, heartbeat_ms=100) as client:
        assert log_on(server, client, heartbeat_ms=100)["heartbeat_ms"] == 100
        assert client.poll().kind == Happened.LOGGED_ON
        server.say(encode_message("TestRequest", request_id=77))
        event = client.poll(1_000)
        heard = [server.hear()[0] for _ in range(2)]
        assert event.kind == Happened.DISCONNECTED
        assert "sign of life" in client.error
        assert heard[0][0] == "Heartbeat"
        assert heard[0][1]["request_id"] == 77
        assert heard[1][0] == "TestRequest"


def test_it_ends_where_going_on_makes_no_sense(server: Scripted, library: Path) -> None:
    """A refused logon, and a session that somebody took over."""
    with Client(library, server.endpoint) as client:
        log_on(server, client, reason=Reason.BAD_SECRET)
        event = client.poll()
        assert (event.kind, event.reason) == (Happened.ENDED, Reason.BAD_SECRET)
        assert f"is refused: {explain(Reason.BAD_SECRET)}" in client.error
        assert client.poll(0).kind == Happened.ENDED
    with Client(library, server.endpoint) as client:
        log_on(server, client)
        assert client.poll().kind == Happened.LOGGED_ON
        server.say(encode_message("Logout", reason=Reason.SESSION_TAKEN_OVER))
        event = client.poll()
        assert (event.kind, event.reason) == (Happened.ENDED, Reason.SESSION_TAKEN_OVER)
        assert client.send(buy(1)) == Status.LEAVING


def test_it_logs_out_when_all_is_answered(server: Scripted, library: Path) -> None:
    """Not before."""
    with Client(library, server.endpoint) as client:
        log_on(server, client)
        assert client.poll().kind == Happened.LOGGED_ON
        client.send(buy(1))
        client.log_out()
        server.hear()
        assert client.poll(50).kind == Happened.NOTHING
        assert server.hears_nothing()
        server.say(server.report(1, kind=EventKind.REJECTED, command_kind=CommandKind.NEW_ORDER, client_order_id=1))
        assert client.poll().kind == Happened.REPORT
        assert server.hear()[0][0] == "Logout"
        server.say(encode_message("Logout", reason=Reason.REQUESTED))
        event = client.poll()
        assert (event.kind, event.reason) == (Happened.ENDED, Reason.REQUESTED)


@pytest.mark.parametrize("limits", [{"messages_in_flight": 8}, {"ring_slots": 8}], ids=["throttled", "busy"])
def test_what_a_real_server_refuses_for_now_is_taken_once_and_in_order(library: Path, limits: dict[str, int]) -> None:
    """Many orders at once for a server that takes only a few; each is accepted once."""
    accepted: list[int] = []
    with Server(venue_config(None, policy=Policy.MEMORY, **limits)) as server, Client(library, server.orders_endpoint) as client:
        assert client.poll().kind == Happened.LOGGED_ON
        for number in range(1, 301):
            assert client.send(buy(number), (int(Term.CAPACITY), 1)) == Status.OK
        while client.unanswered:
            event = client.poll()
            assert event.kind == Happened.REPORT, client.error
            report = np.frombuffer(bytes(event.report), EXECUTION_REPORT_MESSAGE)[0]
            accepted += [int(report["client_order_id"])] if report["kind"] == EventKind.ACCEPTED else []
    assert accepted == list(range(1, 301))


def test_it_uses_the_keys_of_a_venue_that_has_some(library: Path, tmp_path: Path) -> None:
    """CURVE with the key of the participant; with another key it ends and says so."""
    own, other, venue = make_key_pair(), make_key_pair(), make_key_pair()
    write_key_pair(tmp_path / "server", venue)
    entry = AdmittedKey(participant="FIRM1", public=own.public, roles=frozenset({Role.TRADE}))
    (tmp_path / "keys.toml").write_text(keys_file_text([entry]), encoding="utf-8")
    files = {"keys_file": tmp_path / "keys.toml", "server_key_file": tmp_path / "server", "curve": "always"}
    with Server(venue_config(None, policy=Policy.MEMORY, **files)) as server:
        for pair, kind in ((own, Happened.LOGGED_ON), (other, Happened.ENDED)):
            texts = {"server_key": venue.public, "public_key": pair.public, "secret_key": pair.secret}
            keys = {name: z85.encode(key) for name, key in texts.items()}
            with Client(library, server.orders_endpoint, **keys) as client:
                event = client.poll()
                assert event.kind == kind, client.error
        assert event.reason == Reason.NOT_PERMITTED
        assert "does not admit" in client.error


# The page.


def test_the_page_names_every_source_and_its_c_compiles(tmp_path: Path) -> None:
    """The command that builds the example, and the pieces of C one after the other."""
    command = re.search(r"^cc .*$", PAGE, re.MULTILINE)
    assert command is not None
    assert set(re.findall(r"\w+\.c\b", command[0])) == {path.name for path in CLIENTS.glob("*.c")}
    pieces = "".join(re.findall(r"^```c\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    source = tmp_path / "pieces.c"
    source.write_text(f'#include "ome_client.h"\nint main(void)\n{{\n{pieces}return (int)status;\n}}\n')
    run_compiler(compiler("gcc", "clang", "cc"), "-std=c11", *STRICT, "-fsyntax-only", f"-I{CLIENTS}", source)


@pytest.fixture
def page() -> tuple[dict[str, Any], str]:
    """What the first sample of the page defines, and the second sample."""
    definitions, usage = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(definitions, names)
    return names, usage


def test_the_sample_of_the_page_runs(page: tuple[dict[str, Any], str], capsys: pytest.CaptureFixture[str]) -> None:
    """As it stands, but for the address."""
    names, usage = page
    with Server(venue_config(None, policy=Policy.MEMORY)) as server:
        exec(usage.replace("tcp://127.0.0.1:5555", server.orders_endpoint), names)
        names["client"].socket.close(0)
    assert capsys.readouterr().out.splitlines()[-1].startswith("resume with ")


def test_the_client_of_the_page_loses_nothing(page: tuple[dict[str, Any], str], tmp_path: Path) -> None:
    """Each order once, each report once, over connections that are cut and a server that stops and starts again."""
    names, _ = page
    config = venue_config(tmp_path / "journal")
    reports: list[tuple[int, ...]] = []
    with Server(config) as server, Proxy(server.orders_endpoint, (700, 1_300)) as proxy:
        client = names["Client"](proxy.endpoint, b"FIRM1")
        for order_id in range(1, 13):
            client.buy(order_id, 15_000, 10, stop=14_000 if order_id % 2 else 0)
            reports += client.reports()
        server.close()
        client.buy(13, 15_000, 10)
        with Server(config) as again:
            proxy.target = again.orders_endpoint
            while client.unanswered:
                reports += client.reports()
        client.socket.close(0)
    assert [report[0] for report in reports] == list(range(1, len(reports) + 1))
    assert [report[4] for report in reports if report[12] == EventKind.ACCEPTED] == list(range(1, 14))
    assert sum(report[12] == EventKind.STOP_SET for report in reports) == 6
