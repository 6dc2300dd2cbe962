"""The operator's log: one line for each event that an operator looks for, as text or as JSON. Nothing is logged for an order.

A line has the time (UTC, ISO 8601, microseconds), a level, a kind and fields by name:

    2026-11-28T06:33:11.123456Z warning refusal reason=BAD_FRAME participant=FIRM1 peer=10.0.0.7:51022
    {"time": "2026-11-28T06:33:11.123456Z", "level": "warning", "kind": "refusal", "reason": "BAD_FRAME", ...}

`OperatorLog` writes events through the logger `ome.log`; every other logger of ome has sentences, which become the field `text` of a line
of the same form. Like all loggers of a library they say nothing below a warning until somebody configures them: the command line does, by
`open_log`. Its handler never makes a caller wait for a disk or a terminal: a thread of its own writes, and what it cannot keep up with is
dropped and counted.

What a peer sends is escaped and cut, here and in the audit file (`bounded_fields`). Fields whose names say that they are secret are hidden.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum, StrEnum
from pathlib import Path
from typing import Final

from ome._native import lib
from ome.errors import OmeError
from ome.flood import Flood

__all__ = ["FORMATS", "LogError", "LogKind", "OperatorLog", "bounded_fields", "json_line", "open_log", "text_line", "utc_text"]

FORMATS: Final = ("text", "json")
"""The forms of a line."""

_FIELDS_MAX: Final = 12
_NAME_SIZE_MAX: Final = 32
_VALUE_SIZE_MAX: Final = 256  # bytes of a value as JSON, whatever a peer sends
_TEXT_SIZE_MAX: Final = 2_000  # characters of a sentence of ome's own, or of a traceback
_INTEGER_MAX: Final = 1 << 64
_HIDDEN: Final = "(hidden)"
_SECRET: Final = re.compile(r"(^|_)(password|passphrase|passwd|secret|token|credentials?|private|key)(_|$)", re.IGNORECASE)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/@+*\[\]-]+")  # a value that text needs no quotes for
_LINES_PER_SECOND: Final = 20  # of a kind
_QUEUE_SIZE: Final = 10_000  # lines that wait for the thread that writes
_CLOSE_S: Final = 5.0  # how long closing waits for a disk or a terminal that takes nothing
_ROOT: Final = "ome"


class LogError(OmeError):
    """The log cannot be opened."""


class LogKind(StrEnum):
    """What an event is about."""

    LOGON = "logon"
    LOGOUT = "logout"
    REFUSAL = "refusal"
    TAKEOVER = "takeover"
    THROTTLE = "throttle"
    KILL = "kill"
    KEYS = "keys"
    ACCOUNTS = "accounts"
    STARTED = "started"
    STOPPED = "stopped"
    CLOCK = "clock"
    STORAGE = "storage"
    THREADS = "threads"
    SNAPSHOT = "snapshot"
    GATEWAY = "gateway"
    CHECK = "check"
    AUDIT = "audit"


_USUAL: Final = frozenset(
    {LogKind.LOGON, LogKind.LOGOUT, LogKind.STARTED, LogKind.STOPPED, LogKind.SNAPSHOT, LogKind.GATEWAY, LogKind.KEYS, LogKind.ACCOUNTS}
)
"""What is no warning."""

_LOGGERS: Final = {
    "clock": LogKind.CLOCK,
    "storage": LogKind.STORAGE,
    "supervision": LogKind.THREADS,
    "follower": LogKind.SNAPSHOT,
    "checker": LogKind.CHECK,
    "audit": LogKind.AUDIT,
    "gateway": LogKind.GATEWAY,
    "admission": LogKind.KEYS,
    "accounts": LogKind.ACCOUNTS,
}
"""The kind of a sentence, by the last part of its logger's name that is here; of others it is that part itself."""


def utc_text(time_ns: int) -> str:
    """A time since 1970 as log and audit file write it.

    >>> utc_text(1_795_847_591_123_456_789)
    '2026-11-28T06:33:11.123456Z'
    """
    moment = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).replace(microsecond=time_ns // 1_000 % 1_000_000)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


# ---- fields ----


def _cut(text: str, size_max: int = _VALUE_SIZE_MAX) -> str:
    """So that its JSON has no more bytes than that. What is left out is counted.

    >>> _cut("\\0" * 50, 100)
    '\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00...(38 more)'
    """
    kept = text[:size_max]
    if len(text) <= size_max and len(json.dumps(kept)) <= size_max:
        return text
    room, length = size_max - 26, 0  # of that the quotes, and how much was left out
    for character in kept:
        room -= 1 if " " <= character <= "~" and character not in '"\\' else 6 if character <= "\uffff" else 12
        if room < 0:
            break
        length += 1
    return f"{text[:length]}...({len(text) - length:,} more)"


def _bounded(value: object) -> str | int | bool | None:
    """A value that JSON has, of bounded size, whatever it is."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _cut(value.value if isinstance(value.value, str) else value.name)
    if isinstance(value, int) and abs(value) < _INTEGER_MAX:
        return int(value)
    try:
        if isinstance(value, bytes | bytearray | memoryview):
            return _cut(bytes(value[: 2 * _VALUE_SIZE_MAX]).decode("utf-8", "backslashreplace"))
        return _cut(value if isinstance(value, str) else str(value))
    except Exception:  # whatever the value's own methods raise
        return f"a value of type {type(value).__name__}"[:_VALUE_SIZE_MAX]


def bounded_fields(fields: Mapping[str, object]) -> dict[str, str | int | bool | None]:
    """The fields as log and audit file may have them: no more than 12, each name and value of bounded size, nothing secret.

    >>> bounded_fields({"participant": "FIRM1", "password": "hunter2", "data": b"\\xff\\n"})
    {'participant': 'FIRM1', 'password': '(hidden)', 'data': '\\\\xff\\n'}
    """
    bounded: dict[str, str | int | bool | None] = {}
    for name, value in list(fields.items())[:_FIELDS_MAX]:
        bounded[_cut(name, _NAME_SIZE_MAX)] = _HIDDEN if _SECRET.search(name) else _bounded(value)
    return bounded


# ---- lines ----


def json_line(values: Mapping[str, object]) -> str:
    """One line of JSON in ASCII, so that no value can begin another line or change a terminal."""
    return json.dumps(values, ensure_ascii=True)


def _text_value(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _fields_text(fields: Mapping[str, object]) -> str:
    return "".join(f" {name if _PLAIN.fullmatch(name) else json.dumps(name)}={_text_value(value)}" for name, value in fields.items())


def text_line(values: Mapping[str, object]) -> str:
    """One line of text: time, level and kind, then fields as name=value. What is not a plain word is quoted as in JSON.

    >>> text_line({"time": "2026-11-28T06:33:11.123456Z", "level": "info", "kind": "logon", "participant": "FIRM1", "peer": "a b"})
    '2026-11-28T06:33:11.123456Z info logon participant=FIRM1 peer="a b"'
    """
    head = ("time", "level", "kind")
    fields = {name: value for name, value in values.items() if name not in head}
    return " ".join(str(values[name]) for name in head) + _fields_text(fields)


def _kind_of(logger: str) -> str:
    """Of a sentence, by the name of its logger."""
    parts = [part.lstrip("_") for part in logger.split(".")]
    return next((_LOGGERS[part].value for part in reversed(parts) if part in _LOGGERS), parts[-1])


class _Formatter(logging.Formatter):
    """Makes a line of any record: of an event, or of a sentence of another logger."""

    def __init__(self, line: Callable[[Mapping[str, object]], str]) -> None:
        super().__init__()
        self._line = line

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "ome_fields", None)
        kind = getattr(record, "ome_kind", "")
        if fields is None:
            kind, fields = _kind_of(record.name), {"text": _shortened(record.getMessage())}
        if record.exc_info:
            fields = fields | {"trace": _shortened(self.formatException(record.exc_info))}
        head = {"time": utc_text(int(record.created * 1_000_000) * 1_000), "level": record.levelname.lower(), "kind": kind}
        return self._line(head | {(name if name not in head else f"{name}_"): value for name, value in fields.items()})


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT_SIZE_MAX else f"{text[:_TEXT_SIZE_MAX]}...({len(text) - _TEXT_SIZE_MAX:,} more)"


# ---- events ----

_log = logging.getLogger(__name__)


class OperatorLog:
    """Events for the operator. Any thread; never waits, never raises.

    Of each kind no more than `lines_per_second` lines are written in a second. The others are counted, and told in one line with
    `suppressed`, by the first event after that second or by `tell_suppressed`.
    """

    def __init__(self, lines_per_second: int = _LINES_PER_SECOND, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines_per_second = lines_per_second
        self._flood = Flood(clock)

    def event(self, kind: LogKind, /, **fields: object) -> None:
        """One line, with these fields: names as in `participant`, `session`, `reason`, `peer`."""
        if not self._flood.passes(kind, self._lines_per_second):
            return
        self.tell_suppressed()
        self._write(kind, fields)

    def tell_suppressed(self, *, all_of_them: bool = False) -> None:
        """A line for each kind of which lines were held back in a second that is over, or also in this one."""
        for kind, count in self._flood.take(all_of_them=all_of_them).items():
            self._write(LogKind(kind), {"suppressed": count})

    @staticmethod
    def _write(kind: LogKind, fields: Mapping[str, object]) -> None:
        level = logging.INFO if kind in _USUAL else logging.WARNING
        if not _log.isEnabledFor(level):
            return
        with contextlib.suppress(Exception):  # whatever a handler of an embedding program raises
            bounded = bounded_fields(fields)
            _log.log(level, "%s%s", kind.value, _fields_text(bounded), extra={"ome_kind": kind.value, "ome_fields": bounded})


# ---- where it goes ----


class _Target:
    """Standard error, or a file that is opened again when somebody has moved it away.

    It writes to the descriptor: a stream's lock, held by a thread that waits for a terminal, would keep others from that stream.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stream = sys.stderr if path is None else None
        self._descriptor = -1
        if path is not None:
            self._descriptor = _opened(path)
        else:
            with contextlib.suppress(OSError, ValueError, AttributeError):  # a stream in memory has none
                self._descriptor = sys.stderr.fileno()

    def write(self, text: str) -> None:
        """May raise OSError or ValueError."""
        if self._path is not None and not self._is_in_place(self._path):
            moved, self._descriptor = self._descriptor, _opened(self._path)
            os.close(moved)
        if self._descriptor < 0:
            print(text, end="", file=self._stream, flush=True)
            return
        data = text.encode("ascii", "backslashreplace")
        while data:
            data = data[os.write(self._descriptor, data) :]

    def _is_in_place(self, path: Path) -> bool:
        try:
            found = path.stat()
        except OSError:
            return False
        own = os.fstat(self._descriptor)
        return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)

    def close(self) -> None:
        if self._path is not None:
            os.close(self._descriptor)


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


class _Handler(logging.Handler):
    """Formats a record in the thread that logs it, and writes it in a thread of its own."""

    def __init__(self, target: _Target, line: Callable[[Mapping[str, object]], str]) -> None:
        super().__init__()
        self.setFormatter(_Formatter(line))
        self._target = target
        self._line = line
        self._lines: queue.Queue[str | None] = queue.Queue(_QUEUE_SIZE)
        self._lost = 0
        self._lost_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="ome-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except Exception:  # the queue is full, or a record that nobody can format
            self._lose()

    def _lose(self) -> None:
        with self._lost_lock:
            self._lost += 1

    def _take_lost(self) -> int:
        with self._lost_lock:
            lost, self._lost = self._lost, 0
        return lost

    def _run(self) -> None:
        lib.ome_thread_set_name(b"ome-log")  # Python names a thread for itself only, before 3.14
        while (line := self._lines.get()) is not None:
            if lost := self._take_lost():
                head = {"time": utc_text(time.time_ns()), "level": "warning", "kind": "log"}
                line = f"{self._line(head | {'lost': lost})}\n{line}"
            try:
                self._target.write(f"{line}\n")
            except (OSError, ValueError):  # a full disk, a terminal that is gone
                with self._lost_lock:
                    self._lost += lost + 1

    def close(self) -> None:
        """Writes what waits, for some seconds at most."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=_CLOSE_S)
        self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            self._target.close()
        super().close()


@contextlib.contextmanager
def open_log(form: str, file: str | os.PathLike[str] = "") -> Iterator[None]:
    """Has all of ome log to `file`, or to standard error where that is empty, for as long as the block runs. `form` is one of FORMATS.

    Raises LogError where the file cannot be opened.
    """
    path = Path(file) if os.fspath(file) else None
    try:
        target = _Target(path)
    except OSError as error:
        raise LogError("log.file", where=os.fspath(file), found=error.strerror, allowed="a file that can be appended to") from None
    handler = _Handler(target, {"text": text_line, "json": json_line}[form])
    root = logging.getLogger(_ROOT)
    former = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(former)
        root.removeHandler(handler)
        handler.close()
