"""Conditions for opening a venue: room on the disk and in memory, instruments and limits that fit the journal."""

from __future__ import annotations

import difflib
import os
import resource
from collections.abc import Collection
from pathlib import Path

from ome._native import lib
from ome.config import LIMIT_KEYS, ConfigError, ServerConfig, listed
from ome.engine import EngineView, limits_of
from ome.enums import Policy
from ome.errors import InvalidValueError
from ome.messages import Limits
from ome.recovery import Replay
from ome.server.errors import ServerError

__all__ = ["change_limits", "check_address_space", "check_free_space", "check_instruments"]

_SLOT_BYTES = 64


def check_free_space(config: ServerConfig, directory: Path) -> None:
    """The segment that the start opens and the next one, prepared ahead, have room: a disk that fills stops the venue."""
    status = os.statvfs(directory)
    free_bytes = status.f_bavail * status.f_frsize
    if free_bytes < 2 * config.segment_bytes:
        raise ServerError(
            "free space",
            where=str(directory),
            found=f"{free_bytes:,} bytes",
            allowed=f"{2 * config.segment_bytes:,} or more, for two segments of journal.segment_bytes = {config.segment_bytes:,}",
        )


def check_address_space(config: ServerConfig) -> None:
    """What [limits] reserves can be reserved, and an engine that is full fits the machine's memory."""
    engine_bytes = int(lib.ome_engine_size_bytes(limits_of(config.limits)))
    engines = 1 if config.policy is Policy.MEMORY else 2  # the follower has one
    wanted_bytes = engines * engine_bytes + _SLOT_BYTES * (config.ring_slots + config.stream_slots)
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    most_bytes, _ = resource.getrlimit(resource.RLIMIT_AS)
    used_bytes = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    if engine_bytes > memory_bytes:
        raise ServerError(
            "limits",
            where=config.source,
            found=f"{engine_bytes:,} bytes for an engine that is full",
            allowed=f"at most the {memory_bytes:,} bytes of memory of this machine: lower limits.orders or limits.levels",
        )
    if most_bytes != resource.RLIM_INFINITY and wanted_bytes > most_bytes - used_bytes:
        raise ServerError(
            "limits",
            where=config.source,
            found=f"{wanted_bytes:,} bytes of address space to reserve",
            allowed=f"at most {max(0, most_bytes - used_bytes):,}, what this process has left (ulimit -v): raise that, or lower [limits]",
        )


def _check_new_instruments(config: ServerConfig, known: Collection[str]) -> None:
    """An instrument stays forever and a symbol may be misspelt, so an existing venue gets a new instrument only on request."""
    has = sorted(known)
    new = [wanted.symbol for wanted in config.instruments if wanted.symbol not in known]
    if not new or config.add_instruments:
        return
    closest = difflib.get_close_matches(new[0], has, n=1)
    hint = f"; is {new[0]} to be {closest[0]}?" if closest else ""
    raise ConfigError(
        "instruments",
        where=config.source,
        found=listed(new),
        allowed=f"those that the journal has ({listed(has)}{hint}), or new ones with --add-instruments (server.add_instruments = true)",
    )


def check_instruments(view: EngineView, config: ServerConfig, *, is_begun_with: bool) -> None:
    """An instrument stays as it was defined. `is_begun_with`: the last start had the same configuration, and may not have defined all."""
    known = view.instruments
    if not is_begun_with:
        _check_new_instruments(config, known)
    for wanted in config.instruments:
        if wanted.symbol in known and known[wanted.symbol][1] != wanted:
            has = known[wanted.symbol][1]
            raise ConfigError(f"instrument {wanted.symbol}", where=config.source, found=wanted, allowed=f"as the journal has it: {has}")
    count = len(known.keys() | {wanted.symbol for wanted in config.instruments})
    if count > config.limits.instrument_count_max:
        allowed = f"at most limits.instruments = {config.limits.instrument_count_max}, the {len(known)} of the journal included"
        raise ConfigError("instruments", where=config.source, found=count, allowed=allowed)


def change_limits(replay: Replay, config: ServerConfig) -> Limits | None:
    """Moves the engine to the limits of the configuration; DefineLimits has to follow. Gives those before, None where they are the same."""
    assert replay.view is not None, "the journal has commands"
    before = replay.view.limits
    if before == config.limits:
        return None
    try:
        replay.resize(config.limits)
    except InvalidValueError as error:
        found, allowed = str(error.found), error.allowed
        for field, key in LIMIT_KEYS.items():
            found, allowed = found.replace(field, key), allowed.replace(field, key)
        raise ConfigError("limits", where=config.source, found=found, allowed=allowed) from None
    return before
