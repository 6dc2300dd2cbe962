"""Pages that name what the schema has: each message that crosses the wire has its table in docs/PROTOCOL.md, and each table a message."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from venues import Wire, venue_config

from ome._native import ffi, lib
from ome.attributes import ATTRIBUTES
from ome.codec.layouts import HEADER_SIZE, TEMPLATES
from ome.codec.wire import encode_message
from ome.enums import Policy, Reason
from ome.server import Server

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

PROTOCOL = (ROOT / "docs" / "PROTOCOL.md").read_text("utf-8")
SBE = "{http://fixprotocol.io/2016/sbe}"
ATTRIBUTE, CLASS = "{urn:ome:schema}attribute", "{urn:ome:schema}class"
SCHEMA = ElementTree.parse(ROOT / "ome" / "codec" / "schema.xml").getroot()
IDS = {name: template for template, (name, _, _) in TEMPLATES.items()}


def message_tables() -> set[str]:
    """The messages that have a table."""
    return set(re.findall(r"^### (\w+) \(template \d+, block \d+ bytes\)$", PROTOCOL, re.MULTILINE))


def received() -> set[str]:
    """What the server's own sources send to a client: by template in C, by name or by the builder in Python."""
    constants = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper(): name for name in IDS}
    sent = set()
    for source in (*(ROOT / "csrc" / "wire").glob("*.c"), ROOT / "csrc" / "ome_requests_face.c"):
        text = source.read_text("utf-8")
        found = re.findall(r"(?:(?:ome_message_header_set|face_place)\([^,]+,|HEADER\()\s*OME_TEMPLATE_(\w+)", text)
        sent |= {constants[name] for name in found}
    for source in (ROOT / "ome" / "gateway").glob("*.py"):
        text = source.read_text("utf-8")
        sent |= set(re.findall(r'encode_message\(\s*"(\w+)"', text))
        built = re.findall(r"command_messages\(encode_commands\(\[(\w+)\(|\b(logout|heartbeat)_message\(", text)
        sent |= {constants[(command or message).upper()] for command, message in built}
    return sent


def test_each_message_that_a_client_may_send_has_a_table() -> None:
    """Every template of the schema is sent to a venue: one that is not refused as unknown is a client's to send."""
    tables = message_tables()
    sendable = set()
    with Server(venue_config(None, policy=Policy.MEMORY)) as server:
        for name in IDS:
            with Wire(server.orders_endpoint) as wire:
                wire.log_on("FIRM1")
                if name == "Heartbeat":  # has no answer
                    wire.say(encode_message(name))
                kind, answer = wire.ask(encode_message("TestRequest", request_id=1) if name == "Heartbeat" else encode_message(name))
                if kind != "FrameReject" or answer["reason"] not in (Reason.UNKNOWN_TEMPLATE, Reason.BAD_BLOCK_LENGTH):
                    sendable.add(name)
        for name in IDS:
            with Wire(server.requests_endpoint) as wire:
                wire.log_on("FIRM1")
                kind, answer = wire.ask(encode_message(name))
                if kind != "FrameReject" or answer["reason"] not in (Reason.UNKNOWN_TEMPLATE, Reason.BAD_BLOCK_LENGTH):
                    sendable.add(name)
    assert {"NewOrder", "OrderTerms", "MassCancel", "Logon", "Heartbeat", "TestRequest", "ResendRequest"} <= sendable
    assert {"OrdersRequest", "OrderStatusRequest", "InstrumentsRequest", "SessionsRequest", "FillsRequest"} <= sendable
    assert sendable <= tables


def test_each_message_that_a_client_may_receive_has_a_table() -> None:
    """What the server's sources send is described."""
    sent = received()
    assert {"LogonAnswer", "ExecutionReport", "FrameReject", "Heartbeat", "LevelSnapshot", "TopOfBook", "DefineInstrument"} <= sent
    assert sent <= message_tables()


def test_each_table_is_of_something_on_the_wire() -> None:
    """No table of a message that never crosses, and of no enumeration that no such message uses; none that is used is missing."""
    tables = message_tables()
    types = SCHEMA.find("types")
    assert types is not None
    enumerations = {element.attrib["name"] for element in types if element.tag in ("enum", "set")}
    used = {
        field.attrib["type"]
        for message in SCHEMA.findall(f"{SBE}message")
        if message.attrib["name"] in tables
        for field in message.findall("field")
    }
    used |= {term.attrib[ATTRIBUTE] for term in types.findall("enum[@name='Term']/validValue") if ATTRIBUTE in term.attrib}
    described = set(re.findall(r"^### (\w+) \((?:enumeration|bit set), \w+\)$", PROTOCOL, re.MULTILINE))
    assert described == used & enumerations
    client = {message.attrib["name"] for message in SCHEMA.findall(f"{SBE}message") if message.attrib[CLASS] in ("order", "request")}
    assert tables == client | received() | {"Logon", "Logout", "ResendRequest"}


@pytest.mark.parametrize("name", sorted(message_tables()))
def test_each_table_has_the_fields_of_its_message(name: str) -> None:
    """All of them, and no other: name, offset and length, as the layout has them."""
    section = PROTOCOL.split(f"### {name} (template", 1)[1].split("\n### ", 1)[0]
    rows = [(row[0], int(row[1]), int(row[2])) for row in re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \|", section, re.MULTILINE)]
    layout = TEMPLATES[IDS[name]][2]
    assert layout.fields is not None
    for field, offset, length in rows:
        kind, place = layout.fields[field][:2]
        assert (place - HEADER_SIZE, kind.itemsize) == (offset, length)
    message = SCHEMA.find(f"{SBE}message[@name='{name}']")
    assert message is not None
    attributes = ATTRIBUTES if message.find("{urn:ome:schema}attributes") is not None else ()
    assert {row[0] for row in rows} == {field.attrib["name"] for field in message.findall("field")} | set(attributes)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_tests_and_files_that_a_page_names_exist(page: Path) -> None:
    """A control without a test is not a control, and a name that leads nowhere costs the reader time."""
    text = page.read_text("utf-8")
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text):
        assert f"def {name}(" in (ROOT / file).read_text("utf-8"), f"{page.name}: {file}::{name}"
    for file in re.findall(r"`((?:tests|tools|csrc|ome|bench|conf)/[\w/.]+)`", text):
        assert (ROOT / file).exists(), f"{page.name}: {file}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    """To a file, and to a heading of it where the link names one."""
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text("utf-8")):
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}, (
                f"{page.name}: {target}"
            )


def engine_size(**limits: int) -> int:
    """Bytes of an engine, by default that of the example in EMBEDDING.md."""
    example = {"order": 1_000_000, "level": 65_536, "special": 65_536, "instrument": 100, "session": 1_000}
    sizes = {f"{name}_count_max": count for name, count in (example | limits).items()}
    return int(lib.ome_engine_size_bytes(ffi.new("ome_limits_t *", sizes)))


def test_memory_that_the_page_of_the_library_gives_is_what_an_engine_needs() -> None:
    """EMBEDDING, Memory: what one more order, level, special order, instrument, session and account take, and the example."""
    page = (ROOT / "docs" / "EMBEDDING.md").read_text("utf-8")
    rows = re.findall(r"^\| ([a-z ]+) \| ([\d,]+)(?: to ([\d,]+))? \|", page, re.MULTILINE)
    table = {name: [int(number.replace(",", "")) for number in (least, most or least)] for name, least, most in rows}
    one_more = {
        "order": [(engine_size(order=count, special=0) - engine_size(order=1, special=0)) / count for count in (786_431, 786_433)],
        "price level": [(engine_size(level=165_536) - engine_size()) / 100_000] * 2,
        "special order": [(engine_size(special=165_536) - engine_size()) / 100_000] * 2,
        "instrument": [(engine_size(instrument=count) - engine_size(instrument=1)) / count for count in (524_288, 524_289)],
        "session": [(engine_size(session=11_000) - engine_size()) / 10_000] * 2,
        "account": [(engine_size(account=count) - engine_size()) / count for count in (524_288, 524_289)],
    }
    assert table == {name: [pytest.approx(bytes_, abs=1) for bytes_ in both] for name, both in one_more.items()}
    assert f"are {engine_size() / 1e6:.0f} MB" in page
