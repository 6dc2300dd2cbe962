"""The venue of the C library: rings, stages and threads around an engine."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from ome._native import CData, ffi, lib
from ome.clock import ClockView
from ome.codec import Records, encode_commands
from ome.config import ServerConfig
from ome.engine import EngineView, limits_of
from ome.enums import Policy
from ome.errors import OmeError
from ome.messages import Command
from ome.metrics import COUNTERS_FILE
from ome.recovery import JournalIntegrityError, Replay
from ome.server.errors import ServerError

__all__ = ["Venue"]

_WAITS = {"spin": lib.OME_WAIT_SPIN, "yield": lib.OME_WAIT_YIELD, "block": lib.OME_WAIT_BLOCK}
_READERS = 2  # of published events: gateway and feed


class Venue:
    """Wires a venue around the engine of a replay, or around a new one. `pointer` is for callers of the library.

    Raises MemoryError, JournalIntegrityError or ServerError where it cannot.
    """

    def __init__(self, config: ServerConfig, replay: Replay | None) -> None:
        self._config = config
        self._after = contextlib.ExitStack()
        engine = ffi.new("ome_engine_t **")
        if lib.ome_engine_create(limits_of(config.limits), engine) != lib.OME_OK:
            raise MemoryError(f"no memory for an engine of {config.limits}")
        venue = ffi.new("ome_venue_t **")
        view = ffi.new("ome_venue_view_t *")
        directory = ffi.NULL if replay is None else ffi.new("char[]", os.fsencode(config.directory or ""))
        counters = ffi.NULL if config.directory is None else ffi.new("char[]", os.fsencode(config.directory / COUNTERS_FILE))
        made_with = ffi.new(
            "ome_venue_config_t *",
            {
                "ring_slot_count": config.ring_slots,
                "stream_slot_count": config.stream_slots,
                "reader_count": _READERS,
                "wait_strategy": _WAITS[config.wait],
                "policy": config.policy,
                "batch_count": config.flush_records,
                "counters_path": counters,
                "directory": directory,
                "segment_size_bytes": config.segment_bytes,
                "delay_ns": config.flush_delay_ms * 1_000_000,
                "configuration_hash": config.behaviour_hash,
            },
        )
        status = lib.ome_venue_create(ffi.NULL if replay is None else replay.pointer, engine[0], made_with, venue, view)
        if status in (lib.OME_DAMAGED, lib.OME_UNSUPPORTED, lib.OME_NOT_FOUND) and replay is not None:
            raise JournalIntegrityError(replay.report)
        if status != lib.OME_OK:
            raise _venue_error(view, status, config)
        self.pointer: CData = venue[0]

    @property
    def is_open(self) -> bool:
        """Whether it was not closed."""
        return self.pointer is not None

    @property
    def view(self) -> EngineView:
        """The engine: before the start, or once the venue is drained."""
        return EngineView(lib.ome_venue_engine(self.pointer))

    @property
    def failure(self) -> OmeError | None:
        """Why it has stopped by itself, or None."""
        view = self.look()
        return _venue_error(view, lib.OME_IO_ERROR, self._config) if view.is_failed else None

    def start(self) -> None:
        """Starts the threads. Raises MemoryError."""
        if lib.ome_venue_start(self.pointer) != lib.OME_OK:
            raise MemoryError("no memory for the venue's threads")

    def look(self) -> CData:
        """The state of the venue: ome_venue_view_t."""
        view = ffi.new("ome_venue_view_t *")
        lib.ome_venue_look(self.pointer, view)
        return view

    def moment(self) -> tuple[int, int]:
        """Its time, and the last command sequenced."""
        view = self.look()
        return int(view.time_ns), int(view.cursor)

    def durable(self) -> int:
        """The last command on disk."""
        return int(self.look().durable)

    def is_logged(self, event_count: int) -> bool:
        """Whether the event log, where there is one, has so many events on disk."""
        return int(self.look().events_durable) >= event_count

    def deadline_ns(self) -> int:
        """When the next order expires; 0: none does."""
        return int(self.look().deadline_ns)

    def submit(self, commands: Records) -> int:
        """Sequences commands; the status of the library."""
        data = commands.tobytes()
        return int(lib.ome_venue_submit(self.pointer, ffi.from_buffer(data), len(commands)))

    def submit_one(self, command: Command) -> bool:
        """Sends a command of the server's own. False where the venue has stopped; waits while the ring is full."""
        while (status := self.submit(encode_commands([command]))) == lib.OME_FULL:
            time.sleep(0.001)
        return bool(status == lib.OME_OK)

    def follow_clock(self, steady_ns: int, wall_ns: int) -> ClockView:
        """Its time goes on with the steady clock, and follows the machine's while both agree."""
        view = ffi.new("ome_venue_clock_view_t *")
        lib.ome_venue_follow_clock(self.pointer, steady_ns, wall_ns, view)
        return _clock_view(view)

    def accept_clock(self, steady_ns: int, wall_ns: int) -> ClockView:
        """Its time is the machine's clock from now on."""
        view = ffi.new("ome_venue_clock_view_t *")
        lib.ome_venue_accept_clock(self.pointer, steady_ns, wall_ns, view)
        return _clock_view(view)

    def set_storage(self, free_bytes: int, storage: int) -> None:
        """How much room the journal's directory has."""
        lib.ome_venue_set_storage(self.pointer, free_bytes, storage)

    def set_check(self, size_bytes: int, passes: int, damaged: int) -> None:
        """How far the check of stored segments is."""
        lib.ome_venue_set_check(self.pointer, size_bytes, passes, damaged)

    def set_threads(self, failing: int, failures: int) -> None:
        """The state of the background threads; nothing after the venue was closed."""
        if self.pointer is not None:
            lib.ome_venue_set_threads(self.pointer, failing, failures)

    def after_close(self, callback: Callable[[], object]) -> None:
        """What the venue's threads still use until they have ended: `close` calls it last."""
        self._after.callback(callback)

    def drain(self, has_failed: Callable[[], bool]) -> None:
        """Takes no more commands, and waits until those taken are matched and journaled."""
        lib.ome_venue_stop(self.pointer)
        while not self.look().is_drained and not has_failed():
            time.sleep(0.001)

    def close(self) -> None:
        """Ends the threads and seals the journal."""
        lib.ome_venue_destroy(self.pointer)
        self.pointer = None
        self._after.close()


def _clock_view(view: CData) -> ClockView:
    return ClockView(
        time_ns=int(view.time_ns), difference_ns=int(view.difference_ns), jumps=int(view.jump_count), is_held=bool(view.is_held)
    )


def _venue_error(view: CData, status: int, config: ServerConfig) -> OmeError:
    if view.error_call != ffi.NULL:
        call = ffi.string(view.error_call).decode()
        path = os.fsdecode(ffi.string(view.error_path)) if view.error_path != ffi.NULL else ""
        found = os.strerror(view.error_number)
        safe = "no command was taken since the start"
        if view.is_failed:
            beyond = "no later one was acknowledged" if config.policy is Policy.COMMIT else "later ones may be lost"
            safe = f"everything up to command {view.durable:,} is on disk, {beyond}"
        allowed = f"success; {safe}"
        return ServerError(f"call {call}", where=path, found=found, allowed=allowed)
    if status == lib.OME_IO_ERROR:
        return ServerError(
            "counters file", where=str(config.directory), found=os.strerror(ffi.errno), allowed="a directory that can be written to"
        )
    return ServerError("venue", where=config.source, found=f"status {status}", allowed="a valid configuration, and memory for it")
