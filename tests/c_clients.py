"""Builds what is in clients/c/ against the libzmq that is there, and calls the library from Python."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final

import pytest
import zmq

from ome.codec.layouts import EXECUTION_REPORT_MESSAGE

__all__ = ["CLIENTS", "ROOT", "STRICT", "Client", "Event", "Happened", "Options", "Status", "Term", "compiler", "libzmq", "run_compiler"]

ROOT: Final = Path(__file__).resolve().parent.parent
CLIENTS: Final = ROOT / "clients" / "c"
STRICT: Final = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")


def compiler(*names: str) -> str:
    """The first of these compilers that is there; skips the test where none is."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(f"no compiler: found none of {', '.join(names)}")


def run_compiler(*arguments: str | Path) -> None:
    """Compiles; fails with what the compiler says."""
    made = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def libzmq() -> list[str]:
    """What compiles and links against libzmq: pyzmq's own, whose wheel has no header, or the system's."""
    for library in sorted((Path(zmq.__file__).parent.parent / "pyzmq.libs").glob("libzmq*.so*")):
        return ["-DOME_CLIENT_OWN_ZMQ", str(library), f"-Wl,-rpath,{library.parent}"]
    asked = shutil.which("pkg-config") and subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libzmq"], capture_output=True, text=True, check=False
    )
    if not asked or asked.returncode != 0:
        pytest.skip("no libzmq: found none in pyzmq's wheel, and none by pkg-config")
    return asked.stdout.split()


class Options(ctypes.Structure):
    """ome_client_options_t."""

    _fields_ = [
        ("endpoint", ctypes.c_char_p),
        ("participant", ctypes.c_char_p),
        ("secret", ctypes.c_char_p),
        ("server_key", ctypes.c_char_p),
        ("public_key", ctypes.c_char_p),
        ("secret_key", ctypes.c_char_p),
        ("next_report_sequence", ctypes.c_uint64),
        ("heartbeat_ms", ctypes.c_uint32),
        ("message_count_max", ctypes.c_uint32),
        ("instrument_count_max", ctypes.c_uint32),
        ("session_number", ctypes.c_uint16),
        ("session_flags", ctypes.c_uint16),
    ]


class Term(ctypes.Structure):
    """ome_client_term_t."""

    _fields_ = [("term", ctypes.c_uint8), ("value", ctypes.c_int64)]


class Event(ctypes.Structure):
    """ome_client_event_t; `report` is the message."""

    _fields_ = [
        ("kind", ctypes.c_int),
        ("reason", ctypes.c_uint8),
        ("client_order_id", ctypes.c_uint64),
        ("report", ctypes.c_uint8 * EXECUTION_REPORT_MESSAGE.itemsize),
    ]


class Happened:
    """ome_client_event_kind_t."""

    NOTHING, REPORT, LOGGED_ON, DISCONNECTED, ORDER_REFUSED, REPORTS_LOST, SESSION_CHANGED, ENDED = range(8)


class Status:
    """ome_client_status_t."""

    OK, FULL, NOT_YET, LEAVING, INVALID = range(5)


class Client:
    """The library, called from the test's own thread."""

    def __init__(self, library: Path, endpoint: str, **options: int | bytes) -> None:
        self._functions = ctypes.CDLL(os.fspath(library))
        for name in ("ome_client_create", "ome_client_error", "ome_client_instrument"):
            getattr(self._functions, name).restype = ctypes.c_void_p
        self._functions.ome_client_error.restype = ctypes.c_char_p
        self._functions.ome_client_next_report_sequence.restype = ctypes.c_uint64
        given: dict[str, int | bytes] = {"participant": b"FIRM1", "next_report_sequence": 1, "heartbeat_ms": 1_000}
        made = self._functions.ome_client_create(ctypes.byref(Options(endpoint=endpoint.encode(), **(given | options))))
        assert made, "it can be created"
        self._client = ctypes.c_void_p(made)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._functions.ome_client_destroy(self._client)

    def poll(self, timeout_ms: int = 5_000) -> Event:
        """What happens next."""
        event = Event()
        self._functions.ome_client_poll(self._client, ctypes.byref(event), timeout_ms)
        return event

    def send(self, message: bytes, *terms: tuple[int, int]) -> int:
        """Sends a command; its status."""
        array = (Term * max(1, len(terms)))(*(Term(*term) for term in terms))
        return int(self._functions.ome_client_send(self._client, message, array, len(terms)))

    def log_out(self) -> None:
        """Asks for the end."""
        self._functions.ome_client_log_out(self._client)

    @property
    def next_report(self) -> int:
        """The number of the report that it expects."""
        return int(self._functions.ome_client_next_report_sequence(self._client))

    @property
    def unanswered(self) -> int:
        """Messages without an answer."""
        return int(self._functions.ome_client_unanswered_count(self._client))

    @property
    def error(self) -> str:
        """The last thing that went wrong."""
        return bytes(self._functions.ome_client_error(self._client)).decode()
