"""What went wrong in a session, until a method of it raises it."""

from __future__ import annotations

from collections import deque
from typing import Final

from ome.client.errors import SessionLost
from ome.errors import OmeError

__all__ = ["Failures"]

_ERRORS_KEPT: Final = 1_000


class Failures:
    """Errors that no method has raised yet, each of which is raised once, and the loss of the session, which is raised for ever.

    Of errors 1,000 are kept; the oldest go first, and `dropped` counts them.
    """

    def __init__(self) -> None:
        self._waiting: deque[OmeError] = deque()
        self.dropped = 0
        self.loss: SessionLost | None = None
        self.is_loss_raised = False

    def add(self, error: OmeError) -> None:
        """Keeps an error until a method raises it."""
        if len(self._waiting) == _ERRORS_KEPT:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(error)

    def raise_error(self) -> None:
        """Raises the oldest error, if there is one."""
        if self._waiting:
            raise self._waiting.popleft()

    def raise_next(self) -> None:
        """Raises what went wrong and was not raised yet; a lost session is raised again and again."""
        self.raise_error()
        self.raise_loss()

    def raise_loss(self) -> None:
        """Raises the loss of the session, if it is lost."""
        if self.loss is not None:
            self.is_loss_raised = True
            raise self.loss
