"""One process for each directory: the lock that a server holds on its directory, and requests of other processes to
that server.

The lock is flock's, on the file `lock`. The system releases it when the process ends, however it ends. A child made by fork would share it
and keep it when its parent is gone, so every child closes its copies first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ome.errors import OmeError

__all__ = ["LOCK_FILE", "DirectoryInUseError", "NoAnswerError", "ask", "hold", "is_held"]

LOCK_FILE: Final = "lock"
_RETRY_S: Final = 0.02
_RETRIES: Final = 10  # a process that only looks has the lock for an instant

_descriptors: set[int] = set()


class DirectoryInUseError(OmeError):
    """Another process, or another server of this one, holds the directory."""


class NoAnswerError(OmeError):
    """A server did not do what it was asked for in time, or ended."""


def _close_in_child() -> None:
    """A child of fork holds no lock of its parent."""
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()


os.register_at_fork(after_in_child=_close_in_child)


def _opened(directory: Path, flags: int) -> int:
    descriptor = os.open(directory / LOCK_FILE, flags | os.O_CLOEXEC, 0o644)
    _descriptors.add(descriptor)
    return descriptor


def _close(descriptor: int) -> None:
    """In a child of fork it is closed already, and its number may be another file's."""
    if descriptor in _descriptors:
        _descriptors.remove(descriptor)
        os.close(descriptor)


def _is_own(descriptor: int) -> bool:
    """Whether this process has the same file open once more."""
    file = os.fstat(descriptor)
    others = [os.fstat(other) for other in _descriptors - {descriptor}]
    return any((other.st_dev, other.st_ino) == (file.st_dev, file.st_ino) for other in others)


@contextlib.contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Keeps a directory from everybody else for as long as the block runs. Raises DirectoryInUseError where another has it, OSError."""
    descriptor = _opened(directory, os.O_RDWR | os.O_CREAT)
    try:
        for left in reversed(range(_RETRIES)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if left == 0:
                    found = "in use by a server of this process" if _is_own(descriptor) else "in use by another process"
                    allowed = "one process at a time: stop the server first"
                    raise DirectoryInUseError("directory", where=str(directory), found=found, allowed=allowed) from None
                time.sleep(_RETRY_S)
        yield
    finally:
        _close(descriptor)


def is_held(directory: Path) -> bool:
    """Whether somebody holds the directory. Takes the lock for an instant where nobody does."""
    try:
        descriptor = _opened(directory, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        _close(descriptor)
    return False


def ask(request: Path, text: str, timeout: float) -> None:
    """Asks the server that holds the directory of the file `request` for what that file means, with `text`, and waits until it is gone.

    Raises NoAnswerError after `timeout` seconds, or at once when the server has ended; then nothing is asked for any more.
    """
    temporary = request.with_name(f"{request.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(request)
    end = time.monotonic() + timeout
    while request.exists():
        is_over = time.monotonic() > end
        if is_over or not is_held(request.parent):
            request.unlink(missing_ok=True)
            found = f"no answer in {timeout:g} s" if is_over else "a server that has ended"
            allowed = "a server that answers; its log and `ome-admin stats` say what keeps it"
            raise NoAnswerError(request.name, where=str(request.parent), found=found, allowed=allowed)
        time.sleep(_RETRY_S)
