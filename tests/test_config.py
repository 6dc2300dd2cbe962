"""The configuration file: what it sets, and every way to get it wrong with what the error then says."""

from __future__ import annotations

import re
import tomllib
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from ome.config import _INSTRUMENT_KEYS, _KEYS, ConfigError, ServerConfig, load_config
from ome.enums import Policy
from ome.instruments import Instrument
from ome.messages import Limits

JOURNAL = '[journal]\ndirectory = "data"\n'
EXAMPLE = Path(__file__).parent.parent / "conf" / "ome.toml"


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
        ("[jurnal]\n", "table [jurnal]", "jurnal", "server, journal, ring, feed, limits, instruments"),
        ("server = 1\n", "table [server]", "server", "server, journal, ring, feed, limits, instruments"),
        (JOURNAL + "segment = 1", "key journal.segment", "segment", "directory, policy, segment_bytes, low_water_bytes, flush_records"),
        (JOURNAL + "segment_bytes = 65535", "journal.segment_bytes", 65_535, "65,536 to 1,099,511,627,776"),
        (JOURNAL + "segment_bytes = 65537", "journal.segment_bytes", 65_537, "a multiple of 4,096"),
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
        (JOURNAL + "[feed]\nsnapshot_levels = 0", "feed.snapshot_levels", 0, "1 to 1,048,576"),
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
