"""Session numbers for commands that log on for a moment, so that they take over neither a participant's other sessions nor each other."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from collections.abc import Iterator
from typing import Final

from ome.errors import OmeError

__all__ = ["FIRST", "LAST", "SessionNumbersError", "free_session_number"]

FIRST: Final = 65_504
LAST: Final = 65_535


class SessionNumbersError(OmeError):
    """Too many commands of this participant run at once."""


@contextlib.contextmanager
def free_session_number(endpoint: str, participant: str) -> Iterator[int]:
    """A number that no other command on this machine uses for this participant at this endpoint, for as long as the block runs.

    The lowest that is free, so that a venue gets to know few of them. A socket with an abstract name represents each
    number in use: the system closes it with the process. Raises SessionNumbersError where none is free.
    """
    for number in range(FIRST, LAST + 1):
        name = hashlib.blake2b(f"{endpoint} {participant} {number}".encode(), digest_size=16).hexdigest()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as taken:
            try:
                taken.bind(f"\0ome-session-{name}")
            except OSError:
                continue
            yield number
            return
    found = f"{LAST + 1 - FIRST} commands that run"
    raise SessionNumbersError(f"sessions of {participant}", where=endpoint, found=found, allowed="fewer at once, or --session NUMBER")
