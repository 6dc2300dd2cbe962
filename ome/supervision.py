"""Supervised background threads: a failure is logged, counted and tried again, and the state can be read from outside."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from ome._native import lib
from ome.errors import OmeError

__all__ = ["THREADS_FILE", "SupervisedThread", "Supervisor", "ThreadFailedError", "ThreadStatus"]

THREADS_FILE: Final = "threads.json"
"""In a server's directory: the status of each background thread, written anew at each change."""

_LOWEST_PRIORITY: Final = 19
_DELAY_MIN_S: Final = 0.1
_DELAY_MAX_S: Final = 30.0
_ERROR_SIZE_MAX: Final = 500

_log = logging.getLogger(__name__)


class ThreadFailedError(OmeError):
    """A background thread that the venue depends on failed too often in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadStatus:
    """Of a background thread. `state`: ready, running, retrying (the last attempt failed), failed (given up, the venue stops) or stopped.

    `failures` counts all attempts that failed; `last_error` stays when they succeed again. `last_error_time_ns` is since 1970, 0 for none.
    """

    name: str
    state: str = "ready"
    failures: int = 0
    last_error: str = ""
    last_error_time_ns: int = 0


class Supervisor:
    """The background threads of a server: makes them, and keeps their status.

    `tell` is called at each change with how many threads fail now, and how many attempts failed so far. In `directory`, where there is one,
    the file `threads.json` holds the status of each. `error` is why a thread was given up that the venue depends on, or None.
    """

    def __init__(self, directory: Path | None = None, tell: Callable[[int, int], object] = lambda failing, failures: None) -> None:
        self.error: ThreadFailedError | None = None
        self._path = None if directory is None else directory / THREADS_FILE
        self._tell = tell
        self._lock = threading.Lock()
        self._statuses: dict[str, ThreadStatus] = {}

    def thread(
        self,
        name: str,
        work: Callable[[], object],
        *,
        period_s: float,
        attempts: int | None = None,
        stopping: threading.Event | None = None,
        in_background: bool = False,
    ) -> SupervisedThread:
        """A thread that calls `work` every `period_s` seconds until it returns False, or `stopping` is set.

        What `work` raises is logged and counted, and it is called again after 0.1 s, then after twice as long each time, up to 30 s. After
        `attempts` failures in a row, where that is given, the thread is given up and `error` says so: the venue cannot do without it.
        `in_background`: it has the lowest priority. The system shows the first 15 bytes of `name`.
        """
        self.update(ThreadStatus(name=name))
        return SupervisedThread(self, name, work, period_s, attempts, stopping or threading.Event(), in_background=in_background)

    @property
    def statuses(self) -> tuple[ThreadStatus, ...]:
        """Of each thread, in the order in which they were made."""
        with self._lock:
            return tuple(self._statuses.values())

    def update(self, status: ThreadStatus) -> None:
        """Notes a change."""
        with self._lock:
            self._statuses[status.name] = status
            statuses = tuple(self._statuses.values())
            self._write(statuses)  # before the counters: who sees that a thread fails finds which
            self._tell(sum(one.state in ("retrying", "failed") for one in statuses), sum(one.failures for one in statuses))

    def _write(self, statuses: tuple[ThreadStatus, ...]) -> None:
        """A disk that cannot take it changes nothing for the threads: the counters say that they fail."""
        if self._path is None:
            return
        temporary = self._path.with_name(f"{self._path.name}.tmp")
        with contextlib.suppress(OSError, MemoryError):
            temporary.write_text(json.dumps([asdict(one) for one in statuses]), encoding="utf-8")
            temporary.replace(self._path)


class SupervisedThread:
    """A thread of a Supervisor, which makes it."""

    def __init__(
        self,
        supervisor: Supervisor,
        name: str,
        work: Callable[[], object],
        period_s: float,
        attempts: int | None,
        stopping: threading.Event,
        *,
        in_background: bool,
    ) -> None:
        self._supervisor = supervisor
        self._name = name
        self._work = work
        self._period_s = period_s
        self._attempts = attempts
        self._stopping = stopping
        self._in_background = in_background
        self._in_a_row = 0
        self._status = ThreadStatus(name=name)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """From now on."""
        self._change("running")
        self._thread.start()

    @property
    def is_started(self) -> bool:
        """Whether it runs, or has run."""
        return self._thread.ident is not None

    @property
    def is_running(self) -> bool:
        """Whether it runs now."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Returns when the thread has ended; nothing where it was never started."""
        self._stopping.set()
        if self.is_started:
            self._thread.join()

    def _run(self) -> None:
        lib.ome_thread_set_name(self._name.encode())  # Python names a thread for itself only, before 3.14
        if self._in_background:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        delay_s = self._period_s
        while not self._stopping.wait(delay_s):
            try:
                if self._work() is False:
                    break
            except BaseException as error:  # whatever it is, the thread does not end by it
                if not self._fail(error):
                    return
                delay_s = min(_DELAY_MAX_S, _DELAY_MIN_S * 2 ** min(self._in_a_row - 1, 20))
            else:
                delay_s = self._period_s
                self._succeed()
        self._change("stopped")

    def _fail(self, error: BaseException) -> bool:
        """Whether it is tried again."""
        self._in_a_row += 1
        is_over = self._attempts is not None and self._in_a_row >= self._attempts
        text = self._note(error)
        then = "given up: the venue cannot do without it" if is_over else "tried again"
        _log.warning(
            "thread %s failed, %d in a row: %s; %s", self._name, self._in_a_row, text, then, exc_info=_log.isEnabledFor(logging.DEBUG)
        )
        if is_over:
            self._supervisor.error = ThreadFailedError(
                f"thread {self._name}", found=text, allowed=f"fewer than {self._attempts} failures in a row"
            )
        self._change("failed" if is_over else "retrying")
        return not is_over

    def note(self, error: BaseException) -> None:
        """Counts a failure that the work has dealt with itself, and keeps it as the last error; the thread goes on as it is."""
        self._note(error)
        self._supervisor.update(self._status)

    def _note(self, error: BaseException) -> str:
        text = (str(error) if isinstance(error, OmeError) else f"{type(error).__name__}: {error}")[:_ERROR_SIZE_MAX]
        failures = self._status.failures + 1
        self._status = replace(self._status, failures=failures, last_error=text, last_error_time_ns=time.time_ns())
        return text

    def _succeed(self) -> None:
        if self._in_a_row:
            _log.warning("thread %s works again after %d failures", self._name, self._in_a_row)
            self._in_a_row = 0
            self._change("running")

    def _change(self, state: str) -> None:
        self._status = replace(self._status, state=state)
        self._supervisor.update(self._status)
