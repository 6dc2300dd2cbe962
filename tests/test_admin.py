"""What `ome-admin` reads from journals: reader, replay, verify, dump, state, diff, export; at rest, damaged, torn, and of a server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from flows import flow, record_of
from test_recovery import header, write_journal
from venues import contents, journal_commands, read_json, venue_config, whole

from ome.cli.admin import main
from ome.cli.main import main as ome_main
from ome.cli.terminal import json_text
from ome.client import OrderEntry
from ome.codec import COMMAND, EVENT, Records, define_limits, encode_commands, join_records, record_bytes, records_of
from ome.engine import Engine, EngineView, event_rows
from ome.enums import CommandFlags, CommandKind, EventKind, InstrumentFlags, OrderType, Reason, Side, Term
from ome.errors import InvariantError
from ome.journal import JournalError, JournalIntegrityError, JournalReader, Verdict
from ome.messages import (
    NULL_VALUE,
    AmendOrder,
    CancelOrder,
    DefineInstrument,
    DefineSession,
    Limits,
    MassCancel,
    NewOrder,
    OrderTerms,
)
from ome.recovery import Batch, Replay, listing as listing_module
from ome.recovery.directory import command_count, is_served, last_sequence_until
from ome.recovery.listing import Selection, listing
from ome.recovery.names import Names
from ome.recovery.wording import command_line, describe_commands
from ome.reference import ReferenceEngine
from ome.server import Server

LIMITS: Final = Limits(order_count_max=500, level_count_max=200, instrument_count_max=10, session_count_max=10, special_count_max=200)
READING: Final = (
    ("replay",),
    ("verify",),
    ("verify", "--reference"),
    ("dump",),
    ("dump", "--events"),
    ("state", "--orders"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """A journal that has every kind of command and event, and what an engine makes of it."""

    directory: Path
    commands: Records
    events: Records
    state_hash: int
    event_hash: int


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    """Written once, in two segments, read by many tests and changed by none."""
    directory = tmp_path_factory.mktemp("journal")
    with Engine(limits=LIMITS) as engine, Engine(limits=LIMITS) as told:
        unknown = records_of(record_of(kind=200, instrument=1, timestamp_ns=1_800_000_000_000_000_000), COMMAND)
        commands = join_records((flow(5, 1_200, limits=LIMITS, apply=told.apply_records), unknown), COMMAND)
        events = engine.apply_records(commands)
        assert {int(kind) for kind in CommandKind} <= set(commands["kind"].tolist())
        assert {int(kind) for kind in EventKind} == set(events["kind"].tolist())
        write_journal(directory, commands, segments=2)
        return Journal(directory=directory, commands=commands, events=events, state_hash=engine.state_hash, event_hash=engine.event_hash)


def small(*, price: int = 15_025, time_ns: int = 0) -> Records:
    """Ten records: limits, an instrument, a session, two orders of which the second trades, a stop with its terms, a cancel, two more."""
    limits = define_limits(LIMITS)
    owner: dict[str, Any] = {"instrument": 1, "participant": 1, "session": 1}
    stop = NewOrder(
        **owner, client_order_id=9, side=Side.BUY, quantity=7, order_type=OrderType.STOP, price=0, terms=((Term.STOP_PRICE, 16_000),)
    )
    return encode_commands(
        [
            limits,
            DefineInstrument(instrument=1, symbol=b"AAPL", price_decimals=2, quantity_decimals=1),
            DefineSession(participant=1, session=1, participant_name=b"FIRM1"),
            NewOrder(**owner, client_order_id=5, side=Side.SELL, quantity=100, price=price, timestamp_ns=time_ns + 1_000),
            NewOrder(**owner, client_order_id=6, side=Side.BUY, quantity=40, price=15_030, timestamp_ns=time_ns + 2_000, hidden=True),
            stop,
            CancelOrder(participant=1, session=1, client_order_id=5, timestamp_ns=time_ns + 3_000),
            NewOrder(**owner, client_order_id=7, side=Side.SELL, quantity=3, price=15_100, timestamp_ns=time_ns + 4_000),
            NewOrder(**owner, client_order_id=8, side=Side.BUY, quantity=3, price=15_000, timestamp_ns=time_ns + 4_000, account=77),
        ]
    )


def changed(commands: Records, index: int, offset: int, value: int) -> Records:
    """The commands with one byte of one record replaced."""
    data = bytearray(record_bytes(commands))
    assert data[index * 64 + offset] != value
    data[index * 64 + offset] = value
    return records_of(data, COMMAND)


def damaged(directory: Path, commands: Records, index: int) -> Path:
    """A journal of these commands whose record `index` is spoiled; returns the segment."""
    path = write_journal(directory, commands)
    data = bytearray(path.read_bytes())
    data[4096 + 74 * index + 30] ^= 4
    path.write_bytes(data)
    return path


def admin(*arguments: object, code: int = 0) -> Result:
    """Runs the command, which must end with this code and print no traceback."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    assert code != 0 or not isinstance(result.exception, Exception)
    return result


def json_of(*arguments: object, code: int = 0) -> Any:
    """The one object that a command prints."""
    return read_json(admin(*arguments, "--json", code=code).stdout)


def process_of(*arguments: object) -> subprocess.Popen[str]:
    """The command as a process of its own, with a buffer before its pipe as it has by default."""
    command = [sys.executable, "-c", "from ome.cli.admin import main; main()", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def dumped(*arguments: object, code: int = 0) -> list[dict[str, Any]]:
    """The objects that `dump` prints, one a line."""
    return [read_json(line) for line in admin("dump", *arguments, "--json", code=code).stdout.splitlines()]


# JSON


WIDE: Final = {
    "sequence", "client_order_id", "order_id", "resting_order_id", "resting_client_order_id", "timestamp_ns", "time_ns", "cutoff_ns",
    "session_sequence", "engine_sequence", "report_sequence", "trade_id", "epoch", "begins_behind", "first_sequence", "next_sequence",
    "snapshot_sequence", "order_ids", "price_units", "quantity_lots", "snapshot",
}  # fmt: skip


def check_json(value: object, name: str = "") -> None:
    """Fields of 64 bits are strings, numbers are small, and no text of a number has an exponent."""
    if isinstance(value, dict):
        for key, held in value.items():
            check_json(held, key)
    elif isinstance(value, list):
        for held in value:
            check_json(held, name)
    elif name in WIDE:
        assert value is None or isinstance(value, str), (name, value)
    elif isinstance(value, int):
        assert abs(value) < 2**53, (name, value)
    if isinstance(value, str) and name in ("price", "quantity", "tick", "leaves_quantity", "cumulative_quantity", "last_price"):
        assert "E" not in value, (name, value)


def tiny() -> Records:
    """A market of eight decimals, and ids that do not fit a number of JavaScript."""
    order = NewOrder(instrument=1, side=Side.SELL, price=1, quantity=3, client_order_id=2**60 + 1, timestamp_ns=2**60)
    commands = [
        define_limits(LIMITS),
        DefineInstrument(instrument=1, symbol=b"TINY", tick=1, price_decimals=8, quantity_decimals=8),
        order,
        NewOrder(instrument=1, side=Side.BUY, price=1, quantity=1, timestamp_ns=2**60 + 1),
        AmendOrder(client_order_id=2**60 + 1, instrument=1, terms=((Term.NEW_CLIENT_ORDER_ID, 2**60 + 3),)),
        MassCancel(instrument=9),
    ]
    return encode_commands(commands)


def test_json_has_64_bit_fields_as_strings_names_for_enumerations_and_plain_decimals(tmp_path: Path) -> None:
    """Whatever reads it gets what was written: JavaScript and jq keep 53 bits of a number, and 1E-8 is no price on a screen."""
    write_journal(tmp_path / "a", tiny())
    write_journal(tmp_path / "b", tiny()[:5])
    runs = (
        ("dump", "--events"),
        ("state", "--orders"),
        ("state", "--orders", "--at", 3),
        ("verify",),
        ("replay",),
        ("export", "x.parquet"),
    )
    for command, *options in runs:
        given = [tmp_path / str(option) if option == "x.parquet" else option for option in options]
        for line in admin(command, tmp_path / "a", *given, "--json").stdout.splitlines():
            check_json(json.loads(line))
    check_json(json.loads(admin("diff", tmp_path / "a", tmp_path / "b", "--json", code=1).stdout))
    told = [json.loads(line) for line in admin("dump", tmp_path / "a", "--events", "--json").stdout.splitlines()]
    assert (told[2]["client_order_id"], told[2]["timestamp_ns"], told[2]["kind"]) == (str(2**60 + 1), str(2**60), "new_order")
    assert (told[2]["price"], told[2]["quantity"]) == ("0.00000001", "0.00000003")
    assert [event["kind"] for event in told[3]["events"]] == ["accepted", "trade"]
    assert told[5]["terms"] == [{"term": "new_client_order_id", "value": str(2**60 + 3)}]
    text = admin("dump", tmp_path / "a", "--events").stdout + admin("state", tmp_path / "a", "--orders", "--at", 3).stdout
    assert "0.00000001" in text
    assert "E-" not in text


def test_json_text_is_understood_by_every_reader() -> None:
    """Enumerations, flags, decimals, dataclasses and mappings, however deep."""
    order = NewOrder(instrument=1, side=Side.BUY, quantity=1, client_order_id=2**63)
    flags = CommandFlags.HIDDEN | CommandFlags.CONTINUED
    value: dict[str, object] = {"order": order, "reasons": (Reason.BUSY, None), "flags": flags, "counters": {"a.b": 7}}
    read = json.loads(json_text(value | {"mixed": [{"order_ids": [1, 2]}, Decimal("1E-8"), 1.5, True]}))
    assert read["order"]["client_order_id"] == str(2**63)
    assert (read["order"]["side"], read["order"]["account"], read["reasons"]) == ("buy", 0, ["busy", None])
    assert sorted(read["flags"]) == ["continued", "hidden"]
    assert read["counters"] == {"a.b": "7"}
    assert read["mixed"] == [{"order_ids": ["1", "2"]}, "0.00000001", 1.5, True]


# The reader


@pytest.mark.parametrize("count", [1, 7, 600, 100_000])
def test_reader_gives_every_command_byte_for_byte(journal: Journal, count: int) -> None:
    """In batches of any size, over segments, with their sequences; at the end nothing, however often it is asked."""
    before = contents(journal.directory)
    with JournalReader(journal.directory) as reader:
        batches = []
        while len(batch := reader.read(count)):
            assert len(batch) <= count
            batches.append(batch)
        read = join_records(batches, COMMAND)
        assert len(reader.read()) == 0
        assert reader.is_at_end
        report = reader.report
    assert read["sequence"].tolist() == list(range(1, len(journal.commands) + 1))
    bodies = [np.frombuffer(record_bytes(records), np.uint8).reshape(-1, 64)[:, 8:] for records in (read, journal.commands)]
    assert (bodies[0] == bodies[1]).all()
    assert (report.verdict, report.last_sequence, report.segment_count, report.epoch) == (Verdict.CLEAN, len(read), 2, 1)
    assert contents(journal.directory) == before


@pytest.mark.parametrize("count", [1, 64, 1_000])
def test_replay_gives_commands_with_their_events(journal: Journal, count: int) -> None:
    """D1: what `read` returns is what an engine says to the same commands; the hashes are the engine's."""
    with Replay(journal.directory) as replay:
        batches = list(replay.batches(count))
        assert len(batches[0].commands) == 1
        assert record_bytes(join_records([batch.events for batch in batches], EVENT)) == record_bytes(journal.events)
        assert sum(len(batch.commands) for batch in batches) == len(journal.commands)
        assert replay.view is not None
        assert (replay.view.state_hash, replay.report.event_hash) == (journal.state_hash, journal.event_hash)
        batch = batches[-1]
        sequence = int(batch.commands["sequence"][-1])
        assert (batch.events_of(sequence)["sequence"] == sequence).all()


def test_reads_and_steps_of_a_replay_may_alternate(journal: Journal) -> None:
    """D1: whichever applied a command, the event hash is that of all events."""
    with Replay(journal.directory) as replay:
        while replay.step(13) and replay.read(17) is not None:
            pass
        assert replay.report.event_hash == journal.event_hash


def test_reader_gives_what_stands_before_damage_and_then_says_where(tmp_path: Path, journal: Journal) -> None:
    """The place is that which a replay names, and the answer stays the same."""
    path = damaged(tmp_path, journal.commands[:200], 100)
    with JournalReader(tmp_path) as reader, Replay(tmp_path) as replay:
        assert len(reader.read()) == 100
        assert [len(batch.commands) for batch in (replay.read(), replay.read()) if batch is not None] == [1, 99]
        for read in (reader.read, reader.read, replay.read):
            with pytest.raises(JournalIntegrityError, match=rf"journal in {path} at offset {4096 + 7400:,}: .*sequence 101$"):
                read()


def test_reader_needs_no_limits_and_no_engine(tmp_path: Path) -> None:
    """What no engine could be made of can be looked at all the same."""
    write_journal(tmp_path, small()[1:4])
    with JournalReader(tmp_path) as reader:
        assert len(reader.read()) == 3
    assert [fields["kind"] for fields in dumped(tmp_path)] == ["define_instrument", "define_session", "new_order"]
    assert "the first command of a journal must be DefineLimits" in admin("dump", tmp_path, "--events", code=3).stderr
    assert json_of("verify", tmp_path, code=3)["checks"][0]["is_ok"] is False


def test_what_is_no_directory_has_no_reader(tmp_path: Path) -> None:
    """The error names it."""
    with pytest.raises(JournalError, match="allowed: a directory that exists"):
        JournalReader(tmp_path / "missing")


# Every command, on whatever there is


@pytest.mark.parametrize("arguments", READING)
def test_a_directory_without_a_journal_is_said_not_to_have_one(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Nobody wants to hear that nothing is in order. A replay of nothing leads to nothing."""
    if arguments == ("replay",):
        assert json_of("replay", tmp_path)["sequence"] == 0
        return
    assert "found 'no segment'" in admin(arguments[0], tmp_path, *arguments[1:], code=1).stderr
    assert "does not exist" in admin(arguments[0], tmp_path / "missing", *arguments[1:], code=2).stderr


@pytest.mark.parametrize("arguments", READING)
def test_a_journal_without_a_command_is_read(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A segment that holds nothing yet is a journal of nothing, and clean."""
    (tmp_path / "journal-00000000000000000001.ome").write_bytes(header(1))
    admin(arguments[0], tmp_path, *arguments[1:])
    for line in admin(arguments[0], tmp_path, *arguments[1:], "--json").stdout.splitlines():
        assert read_json(line)["sequence"] == 0
    assert command_count(tmp_path) == 0
    assert json_of("diff", tmp_path, tmp_path)["equal"] is True


@pytest.mark.parametrize("arguments", READING)
def test_reading_commands_end_with_3_at_damage_and_say_where(tmp_path: Path, journal: Journal, arguments: tuple[str, ...]) -> None:
    """File and offset, whatever is read; nothing is changed."""
    path = damaged(tmp_path, journal.commands[:200], 100)
    before = contents(tmp_path)
    assert f"journal in {path} at offset 11,496" in admin(arguments[0], tmp_path, *arguments[1:], code=3).output
    assert contents(tmp_path) == before


@pytest.mark.parametrize("arguments", READING)
def test_a_torn_tail_is_no_fault(tmp_path: Path, journal: Journal, arguments: tuple[str, ...]) -> None:
    """It was never acknowledged: all before it is read, and where a verdict is printed it is told."""
    count = whole(journal.commands, 200)
    path = write_journal(tmp_path, journal.commands[:count], sealed=False)
    data = bytearray(path.read_bytes())
    data[4096 + 74 * count : 4096 + 74 * count + 50] = bytes(range(1, 51))
    path.write_bytes(data)
    result = admin(arguments[0], tmp_path, *arguments[1:])
    assert ("torn tail: 50 bytes in" in result.stdout) == (arguments[0] in ("replay", "verify"))
    assert command_count(tmp_path) == count
    assert path.read_bytes() == data


@pytest.mark.parametrize("count", [1, 30, 828])
def test_the_count_of_commands_is_found_in_the_last_segment(tmp_path: Path, journal: Journal, count: int) -> None:
    """With a seal behind them, or room, or neither."""
    write_journal(tmp_path, journal.commands[:count])
    assert command_count(tmp_path) == count
    assert command_count(journal.directory) == len(journal.commands)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that runs, with two orders of which one trades, and stays until the last test."""
    running = Server(venue_config(tmp_path_factory.mktemp("served")))
    running.start()
    with OrderEntry(running.orders_endpoint, participant="FIRM1") as session:
        for order in (session.sell("AAPL", 100, at="150.25"), session.buy("AAPL", 40, at="150.30")):
            session.wait_for(order)
        yield running
    running.close()


@pytest.mark.parametrize("arguments", [*READING, ("dump", "--instrument", "AAPL"), ("state", "--instrument", "AAPL")])
def test_reading_commands_work_while_a_server_runs(server: Server, arguments: tuple[str, ...]) -> None:
    """They end at the last complete record, and disturb nobody."""
    directory = server.config.directory
    assert directory is not None
    assert is_served(directory)
    admin(arguments[0], directory, *arguments[1:])
    lines = [read_json(line) for line in admin(arguments[0], directory, *arguments[1:], "--json").stdout.splitlines()]
    assert lines[-1]["sequence"] >= len(journal_commands(directory)) - 1
    if arguments[0] == "verify":
        assert (lines[0]["ok"], lines[0]["verdict"]) == (True, "reading")
    assert json_of("diff", directory, directory)["equal"] is True


def test_a_journal_that_no_server_writes_is_not_taken_for_one(tmp_path: Path, journal: Journal) -> None:
    """A server that has ended leaves its counters and its lock file behind."""
    assert not is_served(journal.directory)
    running = Server(venue_config(tmp_path))
    running.start()
    assert is_served(tmp_path)
    running.close()
    assert (tmp_path / "counters.dat").exists()
    assert not is_served(tmp_path)


# replay --until


def test_replay_until_a_moment_stops_before_the_first_later_command(journal: Journal) -> None:
    """Given in nanoseconds, or as ISO 8601 with its zone; the state is that after the command before."""
    times = journal.commands["timestamp_ns"]
    until = int(times[600])
    expected = int(np.flatnonzero(times > until)[0])
    assert json_of("replay", journal.directory, "--until", until)["sequence"] == expected
    at = json_of("state", journal.directory, "--at", expected)["state_hash"]
    assert json_of("replay", journal.directory, "--until", until)["state_hash"] == at
    assert json_of("replay", journal.directory, "--until", "2023-11-14T23:13:19+01:00")["sequence"] == 0
    assert json_of("replay", journal.directory, "--until", "2100-01-01T00:00:00Z")["sequence"] == len(times)
    assert last_sequence_until(journal.directory, until) == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--until", "yesterday"), "found 'yesterday', allowed: nanoseconds since 1970, or a time of ISO 8601 with its zone"),
        (("--until", "2026-03-01T09:30:00"), "a datetime with a time zone, or nanoseconds since 1970"),
        (("--until", str(2**63)), "0 to 9223372036854775807 nanoseconds since 1970"),
        (("--until", "1.5"), "found '1.5'"),
        (("--until", "5", "--to", "5"), "--to and --until exclude each other"),
        (("--to", "0"), "--to"),
    ],
)
def test_a_bad_end_of_a_replay_is_a_usage_error(journal: Journal, arguments: tuple[str, ...], said: str) -> None:
    """What, the value found and the values allowed."""
    assert said in admin("replay", journal.directory, *arguments, code=2).stderr


# verify


def test_verify_agrees_with_the_core_and_with_the_reference(journal: Journal) -> None:
    """D1: every check by name, with how much it looked at; the hashes are those of an engine that took the same commands."""
    found = json_of("verify", journal.directory, "--reference")
    checks = [(check["name"], check["is_ok"], check["count"], check["unit"]) for check in found["checks"]]
    records, events = len(journal.commands), len(journal.events)
    assert checks == [
        ("journal", True, records, "records"),
        ("replay", True, events, "events"),
        ("reference", True, events, "events"),
        ("events", True, 0, "events"),
        ("snapshots", True, 0, "snapshots"),
        ("manifest", True, 0, "segments"),
        ("audit", True, 0, "lines"),
    ]
    assert (found["ok"], found["sequence"], found["epochs"], found["segments"], found["verdict"]) == (True, records, 1, 2, "clean")
    assert (found["state_hash"], found["event_hash"]) == (f"{journal.state_hash:016x}", f"{journal.event_hash:016x}")
    lines = admin("verify", journal.directory).stdout.splitlines()
    names = ("journal", "replay", "events", "snapshots", "manifest", "audit")
    assert [line.split()[:2] for line in lines[:-1]] == [[name, "ok"] for name in names]
    assert f"state {journal.state_hash:016x}" in lines[-1]


@pytest.mark.parametrize("kept", [0, 1])
def test_verify_shows_both_sides_where_the_reference_says_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """The sequence, the command, both sides, exit 3: of an event that differs, and of one that is missing."""
    write_journal(tmp_path, small())
    honest = ReferenceEngine.apply_records

    def lie(engine: ReferenceEngine, commands: Records) -> Records:
        events = honest(engine, commands).copy()
        wrong = np.flatnonzero(events["kind"] == EventKind.TRADE)
        if len(wrong) and kept:
            data = bytearray(record_bytes(events))
            data[int(wrong[0]) * 64 + 32] ^= 1
            return records_of(data, EVENT)
        if len(wrong):
            data = bytearray(record_bytes(events))
            del data[int(wrong[0]) * 64 : (int(wrong[0]) + 1) * 64]
            return records_of(data, EVENT)
        return events

    monkeypatch.setattr(ReferenceEngine, "apply_records", lie)
    found = json_of("verify", tmp_path, "--reference", code=3)
    assert [check["is_ok"] for check in found["checks"]] == [True, True, False, True, True, True, True]
    disagreement = found["disagreement"]
    assert (disagreement["sequence"], disagreement["command"]["client_order_id"]) == (5, 6)
    assert [event["kind"] for event in disagreement["core"]] == ["accepted", "trade"]
    assert [event["kind"] for event in disagreement["reference"]] == ["accepted", "trade"][: 1 + kept]
    printed = admin("verify", tmp_path, "--reference", code=3).stdout
    assert "reference  FAILED" in printed
    assert "the events of command 5 differ" in printed


def test_verify_sees_a_state_that_differs_and_an_invariant_that_broke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all events agree, the state at the end must too; and it must be one that can be."""
    write_journal(tmp_path, small())
    monkeypatch.setattr(ReferenceEngine, "state_hash", 0x1234)
    found = json_of("verify", tmp_path, "--reference", code=3)
    assert "of the reference 0000000000001234" in found["checks"][2]["detail"]

    def broken(view: EngineView) -> None:
        raise InvariantError("a level is out of order")

    monkeypatch.setattr(EngineView, "check", broken)
    found = json_of("verify", tmp_path, code=3)
    check = found["checks"][1]
    assert (check["name"], check["is_ok"], check["count"], check["detail"]) == ("replay", False, 11, "a level is out of order")


# dump


def test_dump_says_all_of_a_command_in_words(tmp_path: Path) -> None:
    """Symbol, names and decimals from the definitions; terms with the decimals of the order that they belong to; flags by name."""
    write_journal(tmp_path, small(time_ns=1_772_357_400_000_000_000))
    told = dumped(tmp_path)
    assert [fields["sequence"] for fields in told] == list(range(1, 11))
    order = told[4]
    assert (order["time"], order["timestamp_ns"]) == ("2026-03-01T09:30:00.000002000Z", 1_772_357_400_000_002_000)
    expected = {
        "kind": "new_order",
        "participant": 1,
        "participant_name": "FIRM1",
        "symbol": "AAPL",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "gtc",
        "price": "150.30",
        "quantity": "4.0",
        "client_order_id": 6,
        "flags": ["hidden"],
    }
    assert {name: order[name] for name in expected} == expected
    assert told[6]["terms"] == [{"term": "stop_price", "value": "160.00"}]
    assert told[2]["participant_name"] == "FIRM1"
    lines = admin("dump", tmp_path).stdout.splitlines()
    assert lines[4] == (
        "         5  2026-03-01T09:30:00.000002000Z  FIRM1/1      AAPL     new_order          "
        "buy limit gtc 4.0 @ 150.30 client_order_id 6 flags hidden"
    )
    assert lines[6].endswith("AAPL     order_terms        terms stop_price=160.00")


def test_dump_has_a_line_for_every_command_and_every_event(journal: Journal) -> None:
    """Each event below the command that caused it, by the command's sequence; a kind that is none has its bytes."""
    told = dumped(journal.directory, "--events")
    assert [fields["sequence"] for fields in told] == list(range(1, len(journal.commands) + 1))
    assert Counter(event["kind"] for fields in told for event in fields["events"]) == Counter(
        EventKind(kind).name.lower() for kind in journal.events["kind"].tolist()
    )
    assert all(event["sequence"] == fields["sequence"] for fields in told for event in fields["events"])
    assert told[-1]["kind"] == 200
    assert bytes.fromhex(told[-1]["body"]) == record_bytes(journal.commands[-1:])[8:]
    assert len(admin("dump", journal.directory).stdout.splitlines()) == len(journal.commands)
    assert len(admin("dump", journal.directory, "--events").stdout.splitlines()) == len(journal.commands) + len(journal.events)


def test_what_is_not_known_stays_a_number() -> None:
    """An instrument that nobody defined has no decimals; a value that no enumeration has, no name."""
    order = NewOrder(instrument=9, side=3, quantity=7, price=5, order_type=99, flags=0x8000, participant=4)
    (fields,) = describe_commands(encode_commands([order]), Names())
    assert (fields["price_units"], fields["quantity_lots"], fields["symbol"]) == (5, 7, None)
    assert (fields["side"], fields["order_type"], fields["flags"]) == (3, 99, ["0x8000"])
    assert command_line(fields).endswith("4/0          #9       new_order          3 99 gtc 7 lots @ 5 units flags 0x8000")


def test_definitions_that_no_engine_takes_name_nothing(tmp_path: Path) -> None:
    """The second definition of a number, and one out of order, are rejected commands and no more."""
    commands = small()
    wrong = encode_commands([DefineInstrument(instrument=1, symbol=b"WRONG"), DefineInstrument(instrument=7, symbol=b"LATE")])
    write_journal(tmp_path, join_records((commands[:3], wrong, commands[3:]), COMMAND))
    told = dumped(tmp_path)
    assert [fields["symbol"] for fields in told[1:7]] == ["AAPL", None, "WRONG", "LATE", "AAPL", "AAPL"]


def renamed(*, is_refused_first: bool) -> Records:
    """A session of FIRM1 sends an order and cancels it; then its numbers, which leave gaps, are FIRM2's, who sends another."""
    first = DefineSession(participant=3, session=5, participant_name=b"FIRM1")
    second = replace(first, participant_name=b"FIRM2")
    order = NewOrder(instrument=1, participant=3, session=5, client_order_id=1, side=Side.SELL, quantity=1, price=15_000)
    refused = [second] if is_refused_first else []
    cancel = CancelOrder(participant=3, session=5, client_order_id=1)
    return join_records((small()[:2], encode_commands([first, order, *refused, cancel, second, order])), COMMAND)


@pytest.mark.parametrize("batch_count", [1, 3, 8_192])
def test_a_participants_number_means_who_has_it_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_count: int) -> None:
    """A number that is used again has another name from its definition on; one that was refused it never has. Wherever a batch ends."""
    monkeypatch.setattr(listing_module, "_BATCH_COUNT", batch_count)
    write_journal(tmp_path, renamed(is_refused_first=True))
    assert [fields["participant_name"] for fields in dumped(tmp_path, "--events")[3:]] == ["FIRM1", "FIRM2", "FIRM1", "FIRM2", "FIRM2"]
    told = dumped(tmp_path, "--events")
    assert [event["participant_name"] for fields in told[3:] for event in fields["events"]] == ["FIRM1"] * 3 + ["FIRM2"] * 2
    sequences = {
        name: [fields["sequence"] for fields in dumped(tmp_path, "--events", "--participant", name)] for name in ("FIRM1", "FIRM2")
    }
    assert sequences == {"FIRM1": [3, 4, 5, 6], "FIRM2": [7, 8]}
    assert "found 'FIRM3', allowed: FIRM1, FIRM2" in admin("dump", tmp_path, "--participant", "FIRM3", code=2).stderr


def test_a_participants_number_means_who_has_it_then_where_nothing_is_replayed(tmp_path: Path) -> None:
    """The same from the commands alone, and in the state at a command."""
    write_journal(tmp_path, renamed(is_refused_first=False))
    assert [fields["participant_name"] for fields in dumped(tmp_path)[2:]] == ["FIRM1"] * 3 + ["FIRM2"] * 2
    for at, name in ((4, "FIRM1"), (7, "FIRM2")):
        (instrument,) = json_of("state", tmp_path, "--at", at, "--orders")["instruments"]
        assert [order["participant_name"] for order in instrument["orders"]] == [name]


def test_gaps_between_sessions_are_no_difference_to_any_command(tmp_path: Path) -> None:
    """The reference agrees, a snapshot is the state, journals differ where their sessions do, and a replay goes on behind it."""
    left, right = tmp_path / "left", tmp_path / "right"
    commands = renamed(is_refused_first=True)
    for directory in (left, right):
        directory.mkdir()
    write_journal(left, commands)
    write_journal(right, changed(commands, 2, 46, 4))  # FIRM1 has session 4
    with Replay(left) as replay:
        replay.run(to=7)
        replay.snapshot()
        assert replay.view is not None
        assert [(session.session, session.participant) for session in replay.view.sessions] == [(5, 3)]
        assert Names.before(replay.view).participants == {3: "FIRM2"}
    found = json_of("verify", left, "--reference")
    assert [check["is_ok"] for check in found["checks"]] == [True] * len(found["checks"])
    difference = json_of("diff", left, right, code=1)["difference"]
    assert (difference["sequence"], difference["fields"][0]) == (3, "session")
    with Replay(left, from_snapshot=True) as again:
        again.run()
        assert again.view is not None
        assert f"{again.view.state_hash:016x}" == found["state_hash"]


SELECTIONS: Final[dict[str, tuple[tuple[object, ...], Callable[[Records], Any]]]] = {
    "from": (("--from", 300), lambda commands: commands["sequence"] >= 300),
    "to": (("--to", 300), lambda commands: commands["sequence"] <= 300),
    "both": (("--from", 250, "--to", 260), lambda commands: (commands["sequence"] >= 250) & (commands["sequence"] <= 260)),
    "since": (("--since", 1_700_000_000_000_200_000), lambda commands: commands["timestamp_ns"] >= 1_700_000_000_000_200_000),
    "until": (("--until", 1_700_000_000_000_200_000), lambda commands: commands["timestamp_ns"] <= 1_700_000_000_000_200_000),
    "participant": (("--participant", "FIRM2"), lambda commands: commands["participant"] == 2),
    "number": (("--participant", "2"), lambda commands: commands["participant"] == 2),
    "kind": (("--kind", "mass_cancel"), lambda commands: commands["kind"] == CommandKind.MASS_CANCEL),
    "kinds": (("--kind", "mass_cancel", "--kind", "cancel_order"), lambda commands: np.isin(commands["kind"], (2, 6))),
    "mixed": (
        ("--kind", "new_order", "--participant", "FIRM1", "--instrument", "I2"),
        lambda commands: (commands["kind"] == 1) & (commands["participant"] == 1) & (commands["instrument"] == 2),
    ),
    "nothing": (("--participant", "60000"), lambda commands: commands["sequence"] == 0),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_dump_gives_what_was_asked_for_and_nothing_else(journal: Journal, name: str) -> None:
    """Each filter against the plain condition; several must all hold."""
    arguments, condition = SELECTIONS[name]
    commands = journal.commands.copy()
    commands["sequence"] = np.arange(1, len(commands) + 1)
    assert [fields["sequence"] for fields in dumped(journal.directory, *arguments)] == commands["sequence"][condition(commands)].tolist()


@pytest.mark.parametrize("batch_count", [1, 2, 5, 8_192])
def test_dump_of_an_instrument_or_an_order_has_whole_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_count: int) -> None:
    """Terms go with their order, wherever a batch ends. An order is found by either id, in commands and in what others did to it."""
    monkeypatch.setattr(listing_module, "_BATCH_COUNT", batch_count)
    write_journal(tmp_path, small())
    assert [fields["sequence"] for fields in dumped(tmp_path, "--instrument", "AAPL")] == [2, 4, 5, 6, 7, 9, 10]
    assert [fields["sequence"] for fields in dumped(tmp_path, "--order", 5)] == [4, 5, 8]
    assert [fields["sequence"] for fields in dumped(tmp_path, "--order", 9)] == [6, 7]
    stop, stop_set = (event for fields in dumped(tmp_path, "--order", 9, "--events") for event in fields["events"])
    assert [fields["sequence"] for fields in dumped(tmp_path, "--order", stop["order_id"])] == [6, 7]
    assert (stop_set["kind"], stop_set["order_id"]) == ("stop_set", stop["order_id"])


def test_dump_shows_a_command_whose_terms_have_not_come(tmp_path: Path) -> None:
    """A journal may end inside a command; and terms may follow no command."""
    head = NewOrder(instrument=1, side=Side.BUY, quantity=1, price=1, flags=CommandFlags.CONTINUED)
    write_journal(tmp_path, join_records((small(), encode_commands([OrderTerms(), head])), COMMAND))
    told = dumped(tmp_path, "--events")
    assert [(fields["sequence"], fields["kind"]) for fields in told[-2:]] == [(11, "order_terms"), (12, "new_order")]
    assert [event["reason"] for event in told[-2]["events"]] == ["incomplete_command"]
    assert told[-1]["events"] == []


@pytest.mark.parametrize("option", ["--instrument", "--participant"])
def test_a_name_that_nobody_has_is_a_usage_error(journal: Journal, option: str) -> None:
    """With the names that there are."""
    error = admin("dump", journal.directory, option, "NOBODY", code=2).stderr
    assert "found 'NOBODY', allowed: " in error
    assert ("I1, I2" if option == "--instrument" else "FIRM1, FIRM2") in error


@pytest.mark.parametrize("is_short", [False, True])
def test_dump_into_a_pipe_that_closes_ends_quietly(journal: Journal, tmp_path: Path, is_short: bool) -> None:
    """As `head` does it: exit 0, and nothing on standard error; also where all of it fits in the buffer, and fails at the very end."""
    write_journal(tmp_path, small())
    with process_of("dump", tmp_path if is_short else journal.directory, "--events") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if not is_short:
            assert "define_limits" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(20) == 0


def test_dump_follows_a_server_until_it_is_interrupted(server: Server) -> None:
    """What is written while it waits is printed; Ctrl-C is no failure."""
    with (
        process_of("dump", server.config.directory, "--follow", "--events") as process,
        OrderEntry(server.orders_endpoint, participant="FOLLOWED") as session,
    ):
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            session.wait_for(session.buy("OIL", 5, at="70.5"))
            while "FOLLOWED" not in (line := process.stdout.readline()) or "new_order" not in line:
                assert line, process.stderr.read()
            assert "buy limit gtc 5 @ 70.5" in line
            assert "accepted  OIL buy 5 @ 70.5" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


def test_a_listing_that_follows_needs_no_journal_yet(tmp_path: Path) -> None:
    """It waits for one; the commands are those that are there when it looks."""
    entries = listing(tmp_path, Selection(), follow=True)
    write_journal(tmp_path, small(), sealed=False)
    assert [next(entries).command["sequence"] for _ in range(10)] == list(range(1, 11))
    entries.close()  # type: ignore[attr-defined]


# state


@pytest.mark.parametrize("at", [1, 40, 600, None])
def test_state_is_that_of_the_engine_after_the_command(journal: Journal, at: int | None) -> None:
    """D1: every level, every order in priority, what waits, and the hashes."""
    with Engine(limits=LIMITS) as engine:
        engine.apply_records(journal.commands[:at])
        found = json_of("state", journal.directory, "--orders", *(() if at is None else ("--at", at)))
        assert (found["sequence"], found["trades"]) == (engine.sequence, engine.trade_count)
        assert (found["state_hash"], found["event_hash"]) == (f"{engine.state_hash:016x}", f"{engine.event_hash:016x}")
        known = engine.instruments
        assert [one["symbol"] for one in found["instruments"]] == list(known)
        for one in found["instruments"]:
            number, instrument = known[one["symbol"]]
            for side, levels in ((Side.BUY, one["bids"]), (Side.SELL, one["asks"])):
                assert [(level["price"], level["quantity"], level["order_count"]) for level in levels] == [
                    (str(instrument.price(price)), str(instrument.quantity(lots)), count)
                    for price, lots, count in engine.levels(number, side)
                ]
            for query, orders in ((engine.orders, one["orders"]), (engine.waiting, one["waiting"])):
                expected = [order for side in Side for order in query(number, side)]
                assert [(order["order_id"], order["client_order_id"], order["leaves_quantity"]) for order in orders] == [
                    (order.order_id, order.client_order_id, str(order.leaves_quantity)) for order in expected
                ]
                for order, wanted in zip(orders, expected, strict=True):
                    marks = {"hidden": wanted.is_hidden, "post_only": wanted.is_post_only, "waiting": wanted.is_waiting}
                    assert set(order["marks"]) == {name for name, is_set in marks.items() if is_set}


def test_state_prints_the_book_and_its_orders(tmp_path: Path) -> None:
    """Asks above bids; orders with owner, quantity, price, and what is special about them."""
    write_journal(tmp_path, small())
    printed = admin("state", tmp_path, "--orders", "--instrument", "AAPL").stdout
    assert [line.split() for line in printed.splitlines()[1:5]] == [
        ["AAPL", "instrument", "1", "last", "150.25"],
        ["ask", "151.00", "0.3", "1", "orders"],
        ["-" * 44],
        ["bid", "150.00", "0.3", "1", "orders"],
    ]
    assert "FIRM1/1             0.3 @ 150.00       buy limit gtc client_order_id 8 account 77 displayed 0.3" in printed
    assert "buy stop gtc client_order_id 9 stop_price 160.00 marks waiting" in printed
    assert "orders" not in json_of("state", tmp_path)["instruments"][0]
    nothing = admin("state", tmp_path, "--at", 0).stdout
    assert nothing.startswith("sequence 0  time 1970-01-01T00:00:00.000000000Z  trades 0  state -")


def test_state_of_what_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    """A command beyond the end, or a symbol that no instrument has."""
    write_journal(tmp_path, small())
    assert "found 11, allowed: 0 to 10" in admin("state", tmp_path, "--at", 11, code=2).stderr
    assert "found 'ZZ', allowed: AAPL" in admin("state", tmp_path, "--instrument", "ZZ", code=2).stderr


# diff


def test_equal_journals_are_equal_however_they_are_cut(tmp_path: Path, journal: Journal) -> None:
    """Segments are not part of what was said."""
    write_journal(tmp_path, journal.commands, segments=3)
    found = json_of("diff", journal.directory, tmp_path)
    counts = {"begins_behind": 0, "commands": len(journal.commands), "events": len(journal.events)}
    assert found == counts | {"equal": True, "difference": None}
    assert admin("diff", journal.directory, tmp_path).stdout.startswith("equal: 1,201 commands, ")


def test_diff_shows_the_first_command_that_differs_and_the_book_before_it(tmp_path: Path) -> None:
    """Both sides with their events, the fields that differ, and the instrument as it was."""
    write_journal(tmp_path / "a", small())
    write_journal(tmp_path / "b", changed(small(), 4, 32, 41))
    found = json_of("diff", tmp_path / "a", tmp_path / "b", code=1)
    difference = found["difference"]
    assert (found["equal"], found["commands"], difference["kind"], difference["sequence"]) == (False, 4, "command", 5)
    assert (difference["left"]["command"]["quantity"], difference["right"]["command"]["quantity"]) == ("4.0", "4.1")
    assert difference["fields"] == ["quantity", "event 1 quantity", "event 2 quantity"]
    assert difference["instrument"]["asks"] == [{"price": "150.25", "quantity": "10.0", "order_count": 1}]
    assert [event["kind"] for event in difference["right"]["events"]] == ["accepted", "trade"]
    printed = admin("diff", tmp_path / "a", tmp_path / "b", code=1).stdout
    assert printed.startswith("different at command 5, in its record: quantity, event 1 quantity")
    assert "before it:\nAAPL  instrument 1" in printed


def test_diff_finds_the_book_of_an_order_that_is_named_without_its_instrument(tmp_path: Path) -> None:
    """A cancel by client order id; and terms, whose order says it."""
    write_journal(tmp_path / "a", small())
    write_journal(tmp_path / "b", changed(small(), 7, 40, 3))
    difference = json_of("diff", tmp_path / "a", tmp_path / "b", code=1)["difference"]
    assert (difference["sequence"], difference["fields"][0]) == (8, "account")
    assert difference["instrument"]["symbol"] == "AAPL"
    write_journal(tmp_path / "c", changed(small(), 6, 16, 1))
    difference = json_of("diff", tmp_path / "a", tmp_path / "c", code=1)["difference"]
    assert (difference["sequence"], difference["fields"][0], difference["instrument"]["symbol"]) == (7, "terms", "AAPL")


def test_diff_sees_bytes_that_no_field_has(tmp_path: Path) -> None:
    """Nothing is ignored: of a cancel, where an order has its price."""
    write_journal(tmp_path / "a", small())
    write_journal(tmp_path / "b", changed(small(), 7, 25, 1))
    difference = json_of("diff", tmp_path / "a", tmp_path / "b", code=1)["difference"]
    assert difference["sequence"] == 8
    assert difference["fields"] == ["bytes 25 of the record, which no field of the kind has"]


def test_diff_in_the_first_command_has_no_book(tmp_path: Path) -> None:
    """There is none yet."""
    write_journal(tmp_path / "a", small())
    write_journal(tmp_path / "b", changed(small(), 0, 16, 7))
    difference = json_of("diff", tmp_path / "a", tmp_path / "b", code=1)["difference"]
    assert (difference["sequence"], difference["fields"], difference["instrument"]) == (1, ["order_count_max"], None)


def test_diff_may_leave_the_time_out(tmp_path: Path) -> None:
    """Of commands and of events; whatever else differs is still found."""
    write_journal(tmp_path / "a", small())
    write_journal(tmp_path / "b", small(time_ns=10**9))
    write_journal(tmp_path / "c", small(time_ns=10**9, price=15_026))
    difference = json_of("diff", tmp_path / "a", tmp_path / "b", code=1)["difference"]
    assert (difference["sequence"], difference["fields"]) == (4, ["timestamp_ns", "event 1 timestamp_ns"])
    assert json_of("diff", "--ignore-time", tmp_path / "a", tmp_path / "b")["equal"] is True
    difference = json_of("diff", "--ignore-time", tmp_path / "a", tmp_path / "c", code=1)["difference"]
    assert (difference["sequence"], difference["fields"]) == (4, ["price", "event 1 price"])


def test_diff_without_time_still_compares_who_traded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a trade, the other order's id stands where other events have their time."""
    write_journal(tmp_path / "a", small())
    write_journal(tmp_path / "b", small())
    honest = Replay.read

    def lie(replay: Replay, count: int) -> Batch | None:
        batch = honest(replay, count)
        if batch is None or replay.directory.name == "a" or not (batch.events["kind"] == EventKind.TRADE).any():
            return batch
        events = bytearray(record_bytes(batch.events))
        events[int(np.flatnonzero(batch.events["kind"] == EventKind.TRADE)[0]) * 64 + 40] ^= 1
        return Batch(commands=batch.commands, events=records_of(events, EVENT))

    monkeypatch.setattr(Replay, "read", lie)
    difference = json_of("diff", "--ignore-time", tmp_path / "a", tmp_path / "b", code=1)["difference"]
    assert (difference["kind"], difference["sequence"], difference["fields"]) == ("events", 5, ["event 2 resting_order_id"])
    assert "in its events: event 2 resting_order_id" in admin("diff", tmp_path / "a", tmp_path / "b", code=1).stdout


def test_diff_sees_events_that_differ_where_the_commands_do_not(tmp_path: Path) -> None:
    """An order expires in one journal and not in the other, by a timestamp that was left out of the comparison."""
    deadline = NewOrder(
        instrument=1, side=Side.BUY, quantity=5, price=100, time_in_force=5, timestamp_ns=10, terms=((Term.EXPIRE_TIME, 5_000),)
    )
    for name, time_ns in (("a", 4_999), ("b", 5_000)):
        later = NewOrder(instrument=1, side=Side.BUY, quantity=1, price=50, timestamp_ns=time_ns)
        write_journal(tmp_path / name, join_records((small()[:2], encode_commands([deadline, later])), COMMAND))
    difference = json_of("diff", "--ignore-time", tmp_path / "a", tmp_path / "b", code=1)["difference"]
    assert (difference["kind"], difference["sequence"]) == ("events", 5)
    assert [[event["kind"] for event in difference[side]["events"]] for side in ("left", "right")] == [
        ["accepted"],
        ["cancelled", "accepted"],
    ]
    assert "event 2: only right has it" in difference["fields"]


@pytest.mark.parametrize("count", [1, 400, 1_200])
def test_a_journal_that_goes_on_longer_differs_in_length(tmp_path: Path, journal: Journal, count: int) -> None:
    """It is said after which command, and how long both are."""
    write_journal(tmp_path, journal.commands[:count], segments=2)
    difference = json_of("diff", journal.directory, tmp_path, code=1)["difference"]
    assert (difference["kind"], difference["sequence"]) == ("length", count)
    assert (difference["left"]["length"], difference["right"]["length"]) == (1_201, count)
    assert f"different in length after {count:,} equal commands: left 1,201 (" in admin("diff", journal.directory, tmp_path, code=1).stdout


def test_diff_with_a_damaged_journal_ends_with_3(tmp_path: Path, journal: Journal) -> None:
    """Whichever of the two it is."""
    path = damaged(tmp_path, journal.commands[:200], 100)
    for arguments in ((journal.directory, tmp_path), (tmp_path, journal.directory)):
        assert f"journal in {path} at offset" in admin("diff", *arguments, code=3).stderr


# export


def test_export_loses_nothing(tmp_path: Path, journal: Journal) -> None:
    """Every field of every kind by its name as an integer, null where the kind has none; symbol and decimals beside."""
    parquet = pytest.importorskip("pyarrow.parquet")
    written = json_of("export", journal.directory, tmp_path / "all.parquet", "--events")
    assert written["command_count"] == len(journal.commands)
    assert written["event_count"] == len(journal.events)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all-events.parquet", "all.parquet"]
    told = dumped(journal.directory, "--events")
    rows = parquet.read_table(tmp_path / "all.parquet").to_pylist()
    assert len(rows) == len(told)
    for row, fields, record in zip(rows, told, journal.commands, strict=True):
        assert (row["sequence"], row["kind"]) == (fields["sequence"], record["kind"])
        if record["kind"] in (CommandKind.NEW_ORDER, CommandKind.REDUCE_ORDER):
            is_order_id = record["kind"] == CommandKind.REDUCE_ORDER and record["flags"] & CommandFlags.BY_ORDER_ID
            ids = (None, record["client_order_id"]) if is_order_id else (record["client_order_id"], None)
            assert (row["quantity"], (row["client_order_id"], row["order_id"])) == (record["quantity"], ids)
        if record["kind"] == CommandKind.NEW_ORDER:
            is_distance = record["order_type"] == OrderType.TRAILING_STOP_LIMIT
            prices = (None, record["price"]) if is_distance else (record["price"], None)
            assert ((row["price"], row["limit_offset"]), row["flags"]) == (prices, record["flags"])
            assert row["side"] == record["side"]
        if record["kind"] == CommandKind.CANCEL_ORDER:
            assert row["price"] is None
        if record["kind"] == CommandKind.AMEND_ORDER:
            assert row["price"] == (None if record["price"] == NULL_VALUE else record["price"])
        if record["kind"] in (CommandKind.DEFINE_SESSION, CommandKind.DEFINE_INSTRUMENT):
            name = "participant_name" if record["kind"] == CommandKind.DEFINE_SESSION else "symbol"
            assert row[name] == fields[name]
        assert row["symbol"] == fields["symbol"]
    events = parquet.read_table(tmp_path / "all-events.parquet")
    for name in ("sequence", "kind", "instrument", "side", "reason"):
        assert events[name].to_pylist() == journal.events[name].tolist()
    rows = event_rows(journal.events)
    kinds = rows["kind"]
    for name, absent in (
        ("timestamp_ns", np.zeros(len(rows), np.bool_)),
        ("account", np.zeros(len(rows), np.bool_)),
        ("price", rows["price"] == NULL_VALUE),
        ("quantity", rows["quantity"] == NULL_VALUE),
        ("order_count", kinds != EventKind.COMPLETED),
        ("resting_order_id", ~np.isin(kinds, (EventKind.TRADE, EventKind.PREVENTED))),
    ):
        expected = [None if is_absent else value for value, is_absent in zip(rows[name].tolist(), absent.tolist(), strict=True)]
        assert events[name].to_pylist() == expected, name
    metadata = json.loads(events.schema.metadata[b"ome.enumerations"])
    assert metadata["InstrumentFlags"] == {flag.name: int(flag) for flag in InstrumentFlags}
    assert metadata["EventKind"]["TRADE"] == EventKind.TRADE


def test_export_keeps_a_definition_that_did_not_take_effect(tmp_path: Path) -> None:
    """What it says is its own, and names nothing else."""
    parquet = pytest.importorskip("pyarrow.parquet")
    late = DefineInstrument(instrument=7, symbol=b"LATE", price_decimals=3, quantity_decimals=1)
    order = NewOrder(instrument=7, side=Side.BUY, quantity=1, price=1)
    write_journal(tmp_path, join_records((small(), encode_commands([late, order])), COMMAND))
    admin("export", tmp_path, tmp_path / "x.parquet")
    rows = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    described = [(row["symbol"], row["price_decimals"], row["quantity_decimals"]) for row in (rows[1], rows[4], *rows[-2:])]
    assert described == [("AAPL", 2, 1), ("AAPL", 2, 1), ("LATE", 3, 1), (None, None, None)]


def test_export_of_a_damaged_journal_leaves_no_file(tmp_path: Path, journal: Journal) -> None:
    """And what had the name before stays."""
    pytest.importorskip("pyarrow")
    damaged(tmp_path / "journal", journal.commands[:200], 100)
    (tmp_path / "out.parquet").write_text("before")
    admin("export", tmp_path / "journal", tmp_path / "out.parquet", "--events", code=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal", "out.parquet"]
    assert (tmp_path / "out.parquet").read_text() == "before"
    assert "allowed: a file that can be written" in admin("export", journal.directory, tmp_path / "no" / "x.parquet", code=1).stderr


def test_export_without_pyarrow_names_the_extra(tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is optional, and the error says how to have it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error = admin("export", journal.directory, tmp_path / "x.parquet", code=1).stderr
    assert error.splitlines()[-1] == "error: export to Parquet: found 'no pyarrow', allowed: pyarrow: pip install pyarrow"


# ---- whatever goes wrong ----


@pytest.mark.parametrize("group", ["ome", "ome-admin"])
@pytest.mark.parametrize("error", [RuntimeError("first\nsecond"), MemoryError(), OSError(24, "Too many open files"), KeyError("label")])
def test_every_exception_in_every_command_is_one_line_and_exit_code_1(
    group: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback, unless OME_TRACEBACK asks for it."""
    commands = {"ome": ome_main, "ome-admin": main}[group]
    monkeypatch.delenv("OME_TRACEBACK", raising=False)

    def fail(context: click.Context) -> None:
        raise error

    assert len(commands.commands) > 5
    for name, command in commands.commands.items():
        with monkeypatch.context() as patch:
            patch.setattr(command, "parse_args", lambda context, arguments: [])
            patch.setattr(command, "invoke", fail)
            result = CliRunner().invoke(commands, [name])
            assert (result.exit_code, type(result.exception)) == (1, SystemExit), name
            assert result.output.startswith(f"error: {type(error).__name__}"), name
            assert result.output.count("\n") == 1, name
            patch.setenv("OME_TRACEBACK", "1")
            assert CliRunner().invoke(commands, [name]).exception is error


def test_an_exception_inside_a_command_is_one_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the command itself was called; what click has to say, it says as always."""

    def fail(directory: Path) -> None:
        raise RuntimeError("something is broken")

    monkeypatch.setattr(sys.modules["ome.cli.admin.stats"], "Counters", fail)
    result = CliRunner().invoke(main, ["stats", str(tmp_path)])
    assert (result.exit_code, result.output) == (1, "error: RuntimeError: something is broken\n")
    assert CliRunner().invoke(main, ["stats", "--unknown"]).exit_code == 2
    assert CliRunner().invoke(main, ["stats", "--help"]).exit_code == 0
    assert CliRunner().invoke(main, ["--version"]).exit_code == 0


def test_a_terminal_that_lacks_a_letter_gets_its_number(tmp_path: Path) -> None:
    """A path with letters that the locale does not have is no reason to fail."""
    place = tmp_path / "d\u20ac"
    with Server(venue_config(place)):
        pass
    command = [sys.executable, "-c", "from ome.cli.admin import main; main()", "snapshot", str(place)]
    shown = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": "latin-1"}, capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "d\\u20ac/snapshot-" in shown.stdout
