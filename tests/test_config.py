"""The configuration file: what it sets, and every way to get it wrong with what the error then says."""

from __future__ import annotations

import ast
import os
import re
import resource
import shutil
import subprocess
import sys
import tomllib
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from venues import ANY

from ome.cli.main import main
from ome.config import _INSTRUMENT_KEYS, _KEYS, ConfigError, ServerConfig, load_config
from ome.enums import Policy
from ome.instruments import Instrument
from ome.messages import Limits
from ome.server import Server, ServerError

JOURNAL = '[journal]\ndirectory = "data"\n'
ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "conf" / "ome.toml"


def load(folder: Path, text: str, **overrides: object) -> ServerConfig:
    """The configuration in a file that holds `text`."""
    path = folder / "ome.toml"
    path.write_text(text)
    return load_config(path, **overrides)


def refused(directory: Path, text: str) -> ConfigError:
    """The error of a file; its message names the file, the value found and those allowed."""
    with pytest.raises(ConfigError) as error:
        load(directory, text)
    assert str(directory / "ome.toml") in str(error.value)
    assert "found " in str(error.value)
    assert "allowed: " in str(error.value)
    return error.value


def test_an_empty_file_but_for_the_journal_has_every_default(tmp_path: Path) -> None:
    """What is not in the file is as ServerConfig has it."""
    config = load(tmp_path, JOURNAL)
    assert config == ServerConfig(directory=Path("data"), source=str(tmp_path / "ome.toml"))
    assert (config.policy, config.limits, config.connections, config.wait) == (Policy.COMMIT, Limits(), 1_000, "block")
    with pytest.raises(FrozenInstanceError):
        config.wait = "spin"  # type: ignore[misc]


def test_every_key_sets_its_field(tmp_path: Path) -> None:
    """A file with all keys, each with a value that is not its default."""
    config = load(
        tmp_path,
        """
        [server]
        orders = "ipc:///tmp/orders"
        feed = "tcp://*:0"
        connections = 50
        participants = ["FIRM1", "FIRM2"]
        [journal]
        directory = "/var/lib/ome"
        policy = "async"
        segment_bytes = 65536
        low_water_bytes = 1000000
        flush_records = 64
        flush_delay_ms = 5
        [ring]
        slots = 1024
        stream_slots = 2048
        wait = "spin"
        [feed]
        snapshot_levels = 100
        [limits]
        orders = 10
        levels = 20
        instruments = 30
        sessions = 40
        [[instruments]]
        symbol = "AAPL"
        tick = "0.01"
        [[instruments]]
        symbol = "OIL"
        tick = "5"
        price_decimals = 2
        quantity_decimals = 3
        signed_prices = true
        """,
    )
    assert config == ServerConfig(
        directory=Path("/var/lib/ome"),
        orders_endpoint="ipc:///tmp/orders",
        feed_endpoint="tcp://*:0",
        policy=Policy.ASYNC,
        connections=50,
        wait="spin",
        ring_slots=1024,
        stream_slots=2048,
        segment_bytes=65_536,
        low_water_bytes=1_000_000,
        flush_records=64,
        flush_delay_ms=5,
        snapshot_levels=100,
        participants=("FIRM1", "FIRM2"),
        limits=Limits(order_count_max=10, level_count_max=20, instrument_count_max=30, session_count_max=40),
        instruments=(
            Instrument("AAPL", tick="0.01"),
            Instrument("OIL", tick=5, price_decimals=2, quantity_decimals=3, signed_prices=True),
        ),
        source=str(tmp_path / "ome.toml"),
    )


def test_the_commented_file_holds_every_key_with_its_default() -> None:
    """conf/ome.toml is the manual of the configuration: no key is missing in it, and each is set to its default."""
    tables = tomllib.loads(EXAMPLE.read_text())
    assert set(tables.pop("instruments")[0]) == set(_INSTRUMENT_KEYS)
    assert {table: set(entries) for table, entries in tables.items()} == {table: set(keys) for table, keys in _KEYS.items()}
    config = load_config(EXAMPLE)
    instruments = tuple(Instrument(symbol, tick="0.01") for symbol in ("AAPL", "AMZN", "MSFT"))
    assert config == ServerConfig(directory=Path("data"), instruments=instruments, source=str(EXAMPLE))


def test_overrides_replace_what_the_file_says(tmp_path: Path) -> None:
    """The command line wins, and is checked like the file."""
    config = load(tmp_path, JOURNAL, directory=tmp_path, policy=Policy.ASYNC)
    assert (config.directory, config.policy) == (tmp_path, Policy.ASYNC)
    with pytest.raises(ConfigError, match=r"journal\.directory"):
        load(tmp_path, JOURNAL, directory=None)


@pytest.mark.parametrize(
    ("text", "what", "found", "allowed"),
    [
        ("", "journal.directory", None, 'a directory, unless journal.policy is "memory"'),
        ('[journal]\npolicy = "sync"', "journal.policy", "sync", "commit, async, memory"),
        ("[journal]\npolicy = 1", "journal.policy", 1, "a value of type str"),
        ("[jurnal]\n", "table [jurnal]", "jurnal", "server, journal, security, ring, feed, log, limits, instruments"),
        ("server = 1\n", "table [server]", "server", "server, journal, security, ring, feed, log, limits, instruments"),
        (JOURNAL + "segment = 1", "key journal.segment", "segment", "directory, policy, segment_bytes, low_water_bytes, flush_records"),
        (JOURNAL + "segment_bytes = 65535", "journal.segment_bytes", 65_535, "65,536 to 1,099,511,627,776"),
        (JOURNAL + "segment_bytes = 65537", "journal.segment_bytes", 65_537, "a multiple of 4,096"),
        ("[server]\nmessages_in_flight = 4\n" + JOURNAL, "server.messages_in_flight", 4, "0, for no limit, or at least the 5 messages"),
        (JOURNAL + "low_water_bytes = -1", "journal.low_water_bytes", -1, "0 to 1,125,899,906,842,624"),
        (JOURNAL + "flush_records = 0", "journal.flush_records", 0, "1 to 16,777,216"),
        (JOURNAL + "flush_delay_ms = -1", "journal.flush_delay_ms", -1, "0 to 10,000"),
        (JOURNAL + "flush_delay_ms = true", "journal.flush_delay_ms", True, "a value of type int"),
        (JOURNAL + "flush_delay_ms = 1.5", "journal.flush_delay_ms", 1.5, "a value of type int"),
        (JOURNAL + '[ring]\nwait = "sleep"', "ring.wait", "sleep", "spin, yield, block"),
        (JOURNAL + "[ring]\nslots = 1000", "ring.slots", 1_000, "a power of two, 2 to 16,777,216"),
        (JOURNAL + "[ring]\nslots = 1", "ring.slots", 1, "a power of two, 2 to 16,777,216"),
        (JOURNAL + "[ring]\nstream_slots = 33554432", "ring.stream_slots", 33_554_432, "a power of two, 2 to 16,777,216"),
        (JOURNAL + '[server]\nparticipants = "FIRM1"', "server.participants", "FIRM1", "a value of type list"),
        (JOURNAL + "[server]\nparticipants = [1]", "server.participants", [1], "a list of strings"),
        (JOURNAL + '[server]\nparticipants = ["A B"]', "server.participants", "A B", "1 to 16 printable ASCII characters without space"),
        (JOURNAL + "[feed]\nsnapshot_levels = 0", "feed.snapshot_levels", 0, "1 to 131,072"),
        (JOURNAL + "[limits]\norders = 0", "limits.orders", 0, "1 to 1,073,741,824"),
        (JOURNAL + "[limits]\nsessions = 65536", "limits.sessions", 65_536, "1 to 65,535"),
        (JOURNAL + '[limits]\nlevels = "many"', "limits.levels", "many", "a value of type int"),
        (JOURNAL + "[[instruments]]\n", "[[instruments]]", {}, "a table with a symbol"),
        ("instruments = [1]\n" + JOURNAL, "[[instruments]]", 1, "a table with a symbol"),
        ("instruments = 1\n" + JOURNAL, "instruments", 1, "tables that begin with [[instruments]]"),
        (JOURNAL + '[instruments]\nsymbol = "A"', "instruments", {"symbol": "A"}, "tables that begin with [[instruments]]"),
        (JOURNAL + '[[instruments]]\nsymbol = "A"\ntick = 0.01', "instruments.tick", 0.01, 'a string, as in tick = "0.01"'),
        (JOURNAL + '[[instruments]]\nsymbol = "A"\ntick = "0"', "instruments.tick", "0", "above 0"),
        (JOURNAL + '[[instruments]]\nsymbol = "A B"', "instruments.symbol", "A B", "printable ASCII"),
        (JOURNAL + '[[instruments]]\nsymbol = "A"\nlot = 1', "key instruments.lot", "lot", "symbol, tick, price_decimals"),
        (JOURNAL + '[[instruments]]\nsymbol = "A"\nprice_decimals = 19', "instruments.price_decimals", 19, "0 to 18"),
        (JOURNAL + '[[instruments]]\nsymbol = "A"\nprice_decimals = true', "instruments.price_decimals", True, "type int"),
        (JOURNAL + '[[instruments]]\nsymbol = "A"\n[[instruments]]\nsymbol = "A"', "instruments.symbol", "A", "each symbol once"),
        (
            JOURNAL + '[limits]\ninstruments = 1\n[[instruments]]\nsymbol = "A"\n[[instruments]]\nsymbol = "B"',
            "instruments",
            2,
            "at most limits.instruments = 1",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_file_its_key_and_what_is_allowed(
    tmp_path: Path, text: str, what: str, found: object, allowed: str
) -> None:
    """The start of a server stops with an error that can be acted on."""
    error = refused(tmp_path, text)
    assert (error.what, error.found) == (what, found)
    assert allowed in error.allowed


@pytest.mark.parametrize(("data", "found"), [(b"[server", "Expected"), (b"\xff\xfe", "utf-8"), (b"a = 1\na = 2", "overwrite")])
def test_what_is_no_toml_is_named_as_such(tmp_path: Path, data: bytes, found: str) -> None:
    """The parser's own words, and the file."""
    (tmp_path / "ome.toml").write_bytes(data)
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path / "ome.toml"))) as error:
        load_config(tmp_path / "ome.toml")
    assert found in str(error.value.found)
    assert error.value.allowed == "TOML"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Not a traceback of the system's."""
    with pytest.raises(ConfigError, match=r"No such file or directory.*allowed: a file that can be read"):
        load_config(tmp_path / "none.toml")


@pytest.mark.parametrize("fields", [{"policy": Policy.MEMORY}, {"policy": Policy.MEMORY, "directory": Path("x")}])
def test_policy_memory_needs_no_directory_and_may_have_one(fields: dict[str, Any]) -> None:
    """Without a journal the directory holds the counters only."""
    assert ServerConfig(**fields).policy is Policy.MEMORY


# ---- files as people write them ----


@pytest.mark.parametrize("data", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path, data: bytes) -> None:
    """Editors of some systems write one at the beginning of UTF-8."""
    path = tmp_path / "ome.toml"
    path.write_bytes(data + b'[journal]\r\ndirectory = "d\xc3\xbc"\r\n# \xe2\x82\xac\r\n')
    assert load_config(path).directory == Path("dü")


def test_a_file_is_utf_8_whatever_the_locale_says(tmp_path: Path) -> None:
    """Also in the locale C, without Python's UTF-8 mode."""
    path = tmp_path / "ome.toml"
    path.write_text('[journal]\ndirectory = "data"\n# Umsatz \u20ac\n', encoding="utf-8")
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    script = "import sys; from ome.config import load_config; print(load_config(sys.argv[1]).directory)"
    command = [sys.executable, "-c", script, str(path)]
    assert subprocess.run(command, env=environment, capture_output=True, check=True).stdout == b"data\n"


def test_every_text_file_is_opened_as_utf_8() -> None:
    """No call in ome/ leaves the encoding to the locale: open, read_text, write_text, fdopen, and pipes of text."""
    left = []
    for path in sorted((ROOT / "ome").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _leaves_encoding_open(node):
                left.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert left == []


def _leaves_encoding_open(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in given:
        return False
    if name in ("Popen", "run") and "text" in given:
        return True
    receiver = call.func.value.id if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) else ""
    if name in ("read_text", "write_text"):
        return True
    if name not in ("open", "fdopen") or (
        receiver in ("os", "archive", "self") and name == "open"
    ):  # descriptors, members of a zip: bytes; no file
        return False
    parts = [part for argument in (*call.args, *given.values()) for part in ast.walk(argument)]
    modes = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return not any("b" in mode and set(mode) <= set("rwaxb+") for mode in modes)


# ---- the machine ----


class Counting(str):
    """A symbol that counts how often it is compared."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counting.compared += 1
        return str.__eq__(self, other)


def test_checking_many_instruments_takes_a_number_of_comparisons_in_proportion() -> None:
    """Not each with each: 20,000 instruments are a few comparisons each."""
    count = 20_000
    instruments = tuple(Instrument(Counting(f"I{number}")) for number in range(count))
    assert isinstance(instruments[0].symbol, Counting)
    Counting.compared = 0
    ServerConfig(policy=Policy.MEMORY, instruments=instruments, limits=Limits(instrument_count_max=count))
    assert Counting.compared < 5 * count


def test_messages_are_bounded_whatever_is_wrong() -> None:
    """A thousand symbols that are there twice, or a value of a million characters, are no message of that size."""
    twice = tuple(Instrument(f"I{number:04}") for number in range(1_000)) * 2
    with pytest.raises(ConfigError, match=r"I0000, I0001, .*I0009 and 990 more") as error:
        ServerConfig(policy=Policy.MEMORY, instruments=twice)
    assert len(str(error.value)) < 1_000
    with pytest.raises(ConfigError) as error:
        ServerConfig(policy=Policy.MEMORY, wait="x" * 1_000_000)
    assert len(str(error.value)) < 1_000
    assert "(1,000,002 characters)" in str(error.value)


def test_segments_that_the_disk_has_no_room_for_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    """The largest segment that is allowed is 1 TiB; the message has what is free and the key."""
    (tmp_path / "data").mkdir()
    free_bytes = shutil.disk_usage(tmp_path).free
    segment_bytes = min(1 << 40, (free_bytes // 4096 + 1) * 4096)
    config = ServerConfig(
        directory=tmp_path / "data", segment_bytes=segment_bytes, orders_endpoint=ANY, feed_endpoint=ANY, requests_endpoint=""
    )
    with pytest.raises(ServerError, match=rf"free space in .*journal\.segment_bytes = {segment_bytes:,}"):
        Server(config).start()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["lock"]


def test_limits_that_the_machine_cannot_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than its memory, or than the process may reserve: the message has both sizes and what to change."""
    config = ServerConfig(policy=Policy.MEMORY, orders_endpoint=ANY, feed_endpoint=ANY, requests_endpoint="")
    sysconf = os.sysconf
    with monkeypatch.context() as patch:
        patch.setattr(os, "sysconf", lambda name: 10_000 if name == "SC_PHYS_PAGES" else sysconf(name))
        with pytest.raises(ServerError, match=r"limits in .* bytes for an engine that is full.*lower limits\.orders"):
            Server(config).start()
    with monkeypatch.context() as patch:
        patch.setattr(resource, "getrlimit", lambda which: (100_000_000, resource.RLIM_INFINITY))
        with pytest.raises(ServerError, match=r"limits in .* bytes of address space to reserve.*ulimit -v"):
            Server(config).start()


def test_a_limited_address_space_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    """As on shared hosts and in batch queues."""
    limit = 500_000_000
    options = ["--directory", str(tmp_path / "data"), "--orders", ANY, "--feed", ANY, "--requests", ""]
    ended = subprocess.run(
        [sys.executable, "-c", "from ome.cli.main import main; main()", "run", *options],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1


def test_ome_config_prints_a_configuration_that_can_be_started_with(tmp_path: Path) -> None:
    """What the wheel has, with its comments: every key, each with its default."""
    result = CliRunner().invoke(main, ["config"])
    assert result.exit_code == 0
    assert result.output == EXAMPLE.read_text("utf-8")
    assert load(tmp_path, result.output).directory == Path("data")
