"""The C library itself as a market, loaded from a file: any build of it can be compared, also one with a fault put in on purpose."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from ome.codec import EVENT, RECORD_SIZE, Records, record_bytes, records_of
from ome.errors import InvariantError
from ome.messages import Limits

FOLDERS: Final = ("base", "book", "engine", "matching", "orders", "commands", "state")
FLAGS: Final = ("-std=c11", "-D_GNU_SOURCE", "-O1", "-fPIC", "-fno-strict-aliasing", "-w")

_LIMITS = (
    "order_count_max",
    "level_count_max",
    "instrument_count_max",
    "session_count_max",
    "special_count_max",
    "rules_version",
    "account_count_max",
    "limit_flags",
)


class _Limits(ctypes.Structure):
    """`ome_limits_t`."""

    _fields_ = [(name, ctypes.c_uint32) for name in _LIMITS]


class _Depth(ctypes.Structure):
    """`ome_depth_t`."""

    _fields_ = [("price", ctypes.c_int64), ("quantity", ctypes.c_int64), ("order_count", ctypes.c_uint32)]


def sources(csrc: Path) -> list[Path]:
    """What `ome.h` needs."""
    return [*(source for folder in FOLDERS for source in sorted(csrc.glob(f"{folder}/*.c"))), csrc / "ome.c"]


def built(csrc: Path, place: Path, flags: Sequence[str] = ()) -> Path:
    """The library, built in the directory `place` with these flags beside the usual ones."""
    compiler = shlex.split(os.environ.get("CC", "cc"))

    def compile_one(source: Path) -> str:
        target = place / f"{source.stem}.o"
        subprocess.run([*compiler, *FLAGS, *flags, f"-I{csrc}", "-c", str(source), "-o", str(target)], check=True)
        return str(target)

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile_one, sources(csrc)))
    library = place / "libome.so"
    subprocess.run([*compiler, "-shared", "-o", str(library), *objects, "-lpthread"], check=True)
    return library


def loaded(path: Path) -> ctypes.CDLL:
    """The library at `path`, its functions declared."""
    library = ctypes.CDLL(str(path))
    for name in ("ome_engine_state_hash", "ome_batch_event_hash", "ome_batch_event_count"):
        getattr(library, name).restype = ctypes.c_uint64
    library.ome_batch_events.restype = ctypes.c_void_p
    library.ome_engine_check.restype = ctypes.c_char_p
    library.ome_engine_levels.restype = ctypes.c_uint32
    return library


class LibraryMarket:
    """An engine of a library that `loaded` gave."""

    def __init__(self, library: ctypes.CDLL, limits: Limits) -> None:
        self._library = library
        self._engine, self._batch = ctypes.c_void_p(), ctypes.c_void_p()
        sizes = _Limits(*(getattr(limits, name) for name in _LIMITS))
        if library.ome_engine_create(ctypes.byref(sizes), ctypes.byref(self._engine)):
            raise MemoryError(f"no memory for an engine of {limits}")
        library.ome_batch_create(ctypes.byref(self._batch))

    def __del__(self) -> None:
        self._library.ome_batch_destroy(self._batch)
        self._library.ome_engine_destroy(self._engine)

    def apply_records(self, commands: Records) -> Records:
        """Carries out commands; returns their events."""
        self._library.ome_batch_apply(self._batch, self._engine, record_bytes(commands), ctypes.c_uint64(len(commands)))
        size = self._library.ome_batch_event_count(self._batch) * RECORD_SIZE
        return records_of(ctypes.string_at(self._library.ome_batch_events(self._batch), size) if size else b"", EVENT)

    def levels(self, instrument: int, side: int, depth: int | None = None) -> list[tuple[int, int, int]]:
        """Price, displayed quantity and number of displayed orders of each level, best first."""
        count = 1 << 16 if depth is None else depth
        found = (_Depth * max(count, 1))()
        number = self._library.ome_engine_levels(self._engine, instrument, side, count, found)
        return [(level.price, level.quantity, level.order_count) for level in found[:number]]

    def check(self) -> None:
        """Raises InvariantError where an invariant does not hold."""
        wrong = self._library.ome_engine_check(self._engine)
        if wrong is not None:
            raise InvariantError("engine", found=wrong.decode("ascii"), allowed="every invariant holds")

    @property
    def state_hash(self) -> int:
        """The hash of the state."""
        return int(self._library.ome_engine_state_hash(self._engine))

    @property
    def event_hash(self) -> int:
        """The rolling hash of all events."""
        return int(self._library.ome_batch_event_hash(self._batch))
