"""The configuration of a server: defaults, a TOML file, and errors that name file, key, value and what is allowed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Any

from ome.enums import LimitFlags, Policy
from ome.errors import InvalidTypeError, InvalidValueError, OmeError, one_of
from ome.instruments import NAME_SIZE, Instrument
from ome.messages import Limits

__all__ = ["EXAMPLE_FILE", "LIMIT_KEYS", "ConfigError", "ServerConfig", "listed", "load_config"]

EXAMPLE_FILE = Path(__file__).with_name("ome.toml")
"""Every key with its default, and comments that say what it is."""

_POLICIES = {policy.name.lower(): policy for policy in Policy}
_WAITS = ("spin", "yield", "block")
_GATEWAYS = ("process", "thread")
_CURVES = ("auto", "always", "never")
_LOG_FORMATS = ("text", "json")
_LISTED = 10
_COMMAND_MESSAGE_COUNT_MAX = 5


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first ten, and how many more there are.

    >>> listed(["A", "B"])
    'A, B'
    """
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


class ConfigError(OmeError):
    """A configuration is not one that a server can start with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Everything a server is started with. `ome config` prints what each is, its unit, range and default.

    Raises ConfigError for a value outside its range.
    """

    directory: Path | None = None
    orders_endpoint: str = "tcp://127.0.0.1:5555"
    feed_endpoint: str = "tcp://127.0.0.1:5557"
    requests_endpoint: str = "tcp://127.0.0.1:5556"
    policy: Policy = Policy.COMMIT
    connections: int = 1_000
    sessions_per_participant: int = 32
    gateway: str = "process"
    wait: str = "block"
    ring_slots: int = 32_768
    stream_slots: int = 32_768
    segment_bytes: int = 64 << 20
    low_water_bytes: int = 512 << 20
    flush_records: int = 1_000
    flush_delay_ms: int = 10
    snapshot_commands: int = 100_000
    snapshots_kept: int = 3
    event_log: bool = True
    check_bytes_per_second: int = 4 << 20
    snapshot_levels: int = 65_536
    log_format: str = "text"
    log_file: str = ""
    participants: tuple[str, ...] = ()
    keys_file: Path | None = None
    accounts_file: Path | None = None
    server_key_file: Path | None = None
    curve: str = "auto"
    reports_in_memory: int = 262_144
    messages_per_second: int = 0
    messages_in_flight: int = 0
    logons_per_minute: int = 0
    add_instruments: bool = False
    day_end: time | None = None
    limits: Limits = field(default_factory=Limits)
    instruments: tuple[Instrument, ...] = ()
    source: str = "configuration"

    def __post_init__(self) -> None:
        if self.policy is not Policy.MEMORY and self.directory is None:
            raise ConfigError("journal.directory", where=self.source, found=None, allowed='a directory, unless journal.policy is "memory"')
        for key, value, choices in (
            ("server.gateway", self.gateway, _GATEWAYS),
            ("ring.wait", self.wait, _WAITS),
            ("log.format", self.log_format, _LOG_FORMATS),
            ("security.curve", self.curve, _CURVES),
        ):
            if value not in choices:
                raise ConfigError(key, where=self.source, found=value, allowed=one_of(choices))
        for key, count, least in (
            ("ring.slots", self.ring_slots, 2),
            ("ring.stream_slots", self.stream_slots, 2),
            ("server.reports_in_memory", self.reports_in_memory, 4_096),
        ):
            if not least <= count <= 1 << 24 or count & (count - 1):
                raise ConfigError(key, where=self.source, found=count, allowed=f"a power of two, {least:,} to 16,777,216")
        self._in_range("journal.segment_bytes", self.segment_bytes, 64 << 10, 1 << 40)
        if self.segment_bytes % 4096:
            raise ConfigError("journal.segment_bytes", where=self.source, found=self.segment_bytes, allowed="a multiple of 4,096")
        self._in_range("journal.low_water_bytes", self.low_water_bytes, 0, 1 << 50)
        self._in_range("journal.flush_records", self.flush_records, 1, 1 << 24)
        self._in_range("journal.flush_delay_ms", self.flush_delay_ms, 0, 10_000)
        self._in_range("journal.snapshot_commands", self.snapshot_commands, 0, 1 << 40)
        self._in_range("journal.snapshots_kept", self.snapshots_kept, 1, 1_000)
        self._in_range("journal.check_bytes_per_second", self.check_bytes_per_second, 0, 1 << 40)
        self._in_range("feed.snapshot_levels", self.snapshot_levels, 1, 1 << 17)
        self._in_range("server.connections", self.connections, 1, 100_000)
        self._in_range("server.sessions_per_participant", self.sessions_per_participant, 1, 65_535)
        self._in_range("server.logons_per_minute", self.logons_per_minute, 0, (1 << 32) - 1)
        for key in ("messages_per_second", "messages_in_flight"):
            value = getattr(self, key)
            self._in_range(f"server.{key}", value, 0, (1 << 32) - 1)
            if 0 < value < _COMMAND_MESSAGE_COUNT_MAX:
                allowed = f"0, for no limit, or at least the {_COMMAND_MESSAGE_COUNT_MAX} messages that one command may have"
                raise ConfigError(f"server.{key}", where=self.source, found=value, allowed=allowed)
        for name in self.participants:
            if not 1 <= len(name) <= NAME_SIZE or not all("!" <= character <= "~" for character in name):
                allowed = f"1 to {NAME_SIZE} printable ASCII characters without space"
                raise ConfigError("server.participants", where=self.source, found=name, allowed=allowed)
        symbols = Counter(instrument.symbol for instrument in self.instruments)
        twice = sorted(symbol for symbol, count in symbols.items() if count > 1)
        if twice:
            raise ConfigError("instruments.symbol", where=self.source, found=listed(twice), allowed="each symbol once")
        if len(symbols) > self.limits.instrument_count_max:  # each symbol is there once
            raise ConfigError(
                "instruments",
                where=self.source,
                found=len(symbols),
                allowed=f"at most limits.instruments = {self.limits.instrument_count_max}",
            )

    @property
    def behaviour_hash(self) -> int:
        """A hash, 64 bits, of what decides how the venue answers: policy, participants, end of day, limits and instruments in their order.

        Not of addresses and paths, nor of how fast it is. It is kept in the headers of the journal's segments.

        >>> ServerConfig(policy=Policy.MEMORY).behaviour_hash == ServerConfig(policy=Policy.MEMORY, ring_slots=16).behaviour_hash
        True
        """
        values = {
            "policy": self.policy.name,
            "participants": sorted(set(self.participants)),
            "day_end": None if self.day_end is None else self.day_end.isoformat(),
            "limits": dataclasses.asdict(self.limits),
            "instruments": [
                (one.symbol, one.tick_units, one.price_decimals, one.quantity_decimals, one.flags, one.collar_ticks)
                for one in self.instruments
            ],
        }
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")

    def _in_range(self, key: str, value: int, least: int, most: int) -> None:
        if not least <= value <= most:
            raise ConfigError(key, where=self.source, found=value, allowed=f"{least:,} to {most:,}")


@dataclass(frozen=True, slots=True)
class _Key:
    """A key of the file: which field of ServerConfig it sets, and how."""

    field: str
    kind: type
    convert: Callable[[Any], Any] = lambda value: value


def _policy(value: str) -> Policy:
    if value not in _POLICIES:
        raise InvalidValueError("policy", found=value, allowed=one_of(_POLICIES))
    return _POLICIES[value]


def _day_end(value: str) -> time | None:
    if value == "off":
        return None
    try:
        moment = time.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None or moment.microsecond:
        raise InvalidValueError("day_end", found=value, allowed='"off", or a time of day in UTC as in "21:00" or "21:00:30"')
    return moment


_KEYS: Mapping[str, Mapping[str, _Key]] = {
    "server": {
        "orders": _Key("orders_endpoint", str),
        "feed": _Key("feed_endpoint", str),
        "requests": _Key("requests_endpoint", str),
        "gateway": _Key("gateway", str),
        "connections": _Key("connections", int),
        "sessions_per_participant": _Key("sessions_per_participant", int),
        "participants": _Key("participants", list, tuple),
        "reports_in_memory": _Key("reports_in_memory", int),
        "messages_per_second": _Key("messages_per_second", int),
        "messages_in_flight": _Key("messages_in_flight", int),
        "logons_per_minute": _Key("logons_per_minute", int),
        "day_end": _Key("day_end", str, _day_end),
        "add_instruments": _Key("add_instruments", bool),
    },
    "journal": {
        "directory": _Key("directory", str, Path),
        "policy": _Key("policy", str, _policy),
        "segment_bytes": _Key("segment_bytes", int),
        "low_water_bytes": _Key("low_water_bytes", int),
        "flush_records": _Key("flush_records", int),
        "flush_delay_ms": _Key("flush_delay_ms", int),
        "snapshot_commands": _Key("snapshot_commands", int),
        "snapshots_kept": _Key("snapshots_kept", int),
        "event_log": _Key("event_log", bool),
        "check_bytes_per_second": _Key("check_bytes_per_second", int),
    },
    "security": {
        "keys": _Key("keys_file", str, lambda value: Path(value) if value else None),
        "accounts": _Key("accounts_file", str, lambda value: Path(value) if value else None),
        "server_key": _Key("server_key_file", str, lambda value: Path(value) if value else None),
        "curve": _Key("curve", str),
    },
    "ring": {"slots": _Key("ring_slots", int), "stream_slots": _Key("stream_slots", int), "wait": _Key("wait", str)},
    "feed": {"snapshot_levels": _Key("snapshot_levels", int)},
    "log": {"format": _Key("log_format", str), "file": _Key("log_file", str)},
    "limits": {
        "orders": _Key("order_count_max", int),
        "levels": _Key("level_count_max", int),
        "instruments": _Key("instrument_count_max", int),
        "sessions": _Key("session_count_max", int),
        "special_orders": _Key("special_count_max", int),
        "accounts": _Key("account_count_max", int),
        "accounts_restricted": _Key("limit_flags", bool, lambda value: int(LimitFlags.ACCOUNTS_RESTRICTED) if value else 0),
    },
}
LIMIT_KEYS: Mapping[str, str] = {known.field: key for key, known in _KEYS["limits"].items()}
"""What each field of Limits is called in the file."""

_INSTRUMENT_KEYS = {
    "symbol": str,
    "tick": str,
    "price_decimals": int,
    "quantity_decimals": int,
    "signed_prices": bool,
    "collar_ticks": int,
    "market_to_limit": bool,
    "post_only_slides": bool,
}


def load_config(path: str | os.PathLike[str], **overrides: object) -> ServerConfig:
    """The configuration in a TOML file; `overrides` replace fields of ServerConfig. Raises ConfigError."""
    source = os.fspath(path)
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))  # with a byte order mark, as some editors write it, or without
    except OSError as error:
        raise ConfigError("configuration file", where=source, found=error.strerror, allowed="a file that can be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("configuration file", where=source, found=str(error), allowed="TOML") from None
    values: dict[str, Any] = {"source": source}
    instruments = tables.pop("instruments", [])
    if not isinstance(instruments, list):
        raise ConfigError("instruments", where=source, found=instruments, allowed="tables that begin with [[instruments]]")
    for table, entries in tables.items():
        if table not in _KEYS or not isinstance(entries, dict):
            raise ConfigError(f"table [{table}]", where=source, found=table, allowed=one_of((*_KEYS, "instruments")))
        for key, value in entries.items():
            known = _KEYS[table].get(key)
            if known is None:
                raise ConfigError(f"key {table}.{key}", where=source, found=key, allowed=one_of(_KEYS[table]))
            values[known.field] = _converted(known, f"{table}.{key}", value, source)
    limit_names = set(LIMIT_KEYS)
    limits = {name: values.pop(name) for name in list(values) if name in limit_names}
    try:
        values["limits"] = Limits(**limits)
    except OmeError as error:
        raise ConfigError(f"limits.{LIMIT_KEYS[error.what]}", where=source, found=error.found, allowed=error.allowed) from None
    values["instruments"] = tuple(_instrument(entry, index, source) for index, entry in enumerate(instruments))
    return ServerConfig(**(values | overrides))


def _converted(key: _Key, name: str, value: object, source: str) -> Any:
    if not isinstance(value, key.kind) or (key.kind is int and isinstance(value, bool)):
        raise ConfigError(name, where=source, found=value, allowed=f"a value of type {key.kind.__name__}")
    if key.kind is list and not all(isinstance(item, str) for item in value):  # type: ignore[attr-defined]
        raise ConfigError(name, where=source, found=value, allowed="a list of strings")
    try:
        return key.convert(value)
    except OmeError as error:
        raise ConfigError(name, where=source, found=value, allowed=error.allowed) from None


def _instrument(entry: object, index: int, source: str) -> Instrument:
    where = f"{source}, instrument {index + 1}"
    if not isinstance(entry, dict) or "symbol" not in entry:
        raise ConfigError("[[instruments]]", where=where, found=entry, allowed="a table with a symbol")
    for key, value in entry.items():
        kind = _INSTRUMENT_KEYS.get(key)
        if kind is None:
            raise ConfigError(f"key instruments.{key}", where=where, found=key, allowed=one_of(_INSTRUMENT_KEYS))
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            allowed = 'a string, as in tick = "0.01"' if key == "tick" else f"a value of type {kind.__name__}"
            raise ConfigError(f"instruments.{key}", where=where, found=value, allowed=allowed)
    try:
        return Instrument(**entry)
    except (InvalidTypeError, InvalidValueError) as error:
        raise ConfigError(f"instruments.{error.what}", where=where, found=error.found, allowed=error.allowed) from None
