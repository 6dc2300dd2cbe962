"""Processes of the tests: what /proc says of one, and clients in processes of their own that are asked by lines on standard input."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol

from ome.errors import OmeError

PAGE_SIZE: Final = os.sysconf("SC_PAGE_SIZE")
MB: Final = 1_000_000
ANSWER_S: Final = 120.0


class Gone(AssertionError):  # noqa: N818
    """The process has ended."""


def resident_bytes(pid: int) -> int:
    """Resident size. Raises Gone."""
    size = int(_read(pid, "statm").split()[1]) * PAGE_SIZE
    if size == 0:
        raise Gone(f"process {pid} is a zombie")
    return size


def descriptor_count(pid: int) -> int:
    """Open descriptors. Raises Gone."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError as error:
        raise Gone(str(error)) from None


def thread_count(pid: int) -> int:
    """Threads. Raises Gone."""
    return int(_read(pid, "stat").rsplit(")", 1)[1].split()[17])


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError as error:
        raise Gone(str(error)) from None


class PeakSampler:
    """Looks at the resident size of a process every 20 ms, in a thread, while in its `with` block. `peak_bytes` is the largest so far."""

    PERIOD_S: Final = 0.02

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.before_bytes = self.peak_bytes = resident_bytes(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="peak-sampler", daemon=True)

    @property
    def grown_mb(self) -> float:
        """How much the peak is above the size at the beginning, in millions of bytes."""
        return (self.peak_bytes - self.before_bytes) / MB

    def __enter__(self) -> PeakSampler:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self.PERIOD_S):
            try:
                self.peak_bytes = max(self.peak_bytes, resident_bytes(self._pid))
            except Gone:
                return


def burn(share: float, seconds: float) -> None:
    """Uses `share` of a core (0 to 1), in slices of 5 ms, for so many seconds: a neighbour that harms nobody but takes its time."""
    end = time.monotonic() + seconds
    slice_s = 0.005
    while (now := time.monotonic()) < end:
        busy_until = now + slice_s * min(1.0, share)
        while time.monotonic() < busy_until:
            pass
        time.sleep(max(0.0, now + slice_s - time.monotonic()))


class Client(Protocol):
    """What a process of its own does: works between `go` and the next word, and accounts for it at `settle`."""

    def go(self) -> None:
        """Works until `is_asked`."""

    def settle(self) -> dict[str, Any]:
        """What came of the work since the last time."""


def is_asked() -> bool:
    """Whether a word waits on standard input, or its end."""
    return bool(select.select([0], [], [], 0)[0])


def answer(make: Callable[[], Client]) -> int:
    """The body of such a process: makes the client, then does what the words say. An OmeError ends it. Returns the exit code."""
    try:
        client = make()
        print(json.dumps({"ready": True}), flush=True)
        with open(0, "rb", buffering=0, closefd=False) as words:  # not buffered: select must see what is not read yet
            for word in iter(words.readline, b""):
                if word.strip() == b"go":
                    client.go()
                else:
                    print(json.dumps(client.settle()), flush=True)
    except OmeError as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        return 1
    return 0


class ClientProcess:
    """Such a process, from outside. `ask` and `tell` raise AssertionError where it is gone, with its last words."""

    def __init__(self, what: str, command: list[str]) -> None:
        self._what = what
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._read()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        return self._process.poll()

    def tell(self, word: str) -> None:
        """Gives it a word that it does not answer."""
        assert self._process.stdin is not None, "its input is a pipe"
        try:
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
        except OSError:
            self._read()
            raise AssertionError(f"{self._what} has ended") from None

    def ask(self, word: str) -> dict[str, Any]:
        """Gives it a word and waits for the answer."""
        self.tell(word)
        return self._read()

    def hear(self) -> dict[str, Any]:
        """Waits for the answer to a word that it was told."""
        return self._read()

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    def close(self) -> None:
        """Kills it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None, "all three are pipes"
            with contextlib.suppress(OSError):  # what it was to be given and did not take
                pipe.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None, "its output is a pipe"
        if not select.select([self._process.stdout], [], [], ANSWER_S)[0]:
            raise AssertionError(f"{self._what} said nothing for {ANSWER_S} s")
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None, "its errors are a pipe"
            errors = self._process.stderr.read()
            raise AssertionError(f"{self._what} ended with {self._process.wait()}: {errors.strip()[-300:]}")
        said: dict[str, Any] = json.loads(line)
        assert "error" not in said, f"{self._what}: {said['error']}"
        return said
