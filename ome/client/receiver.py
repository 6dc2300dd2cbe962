"""Reports of a venue as methods that wait give them; what sessions and drop copies share."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from ome.client.connected import Connected
from ome.client.reports import Report, Reports, report_object
from ome.client.session import Session
from ome.errors import OmeError

__all__ = ["Receiver"]


class Receiver(Connected):
    """Use it in a `with` statement: leaving it logs out and waits for the server's answer."""

    def _log_on(self) -> None:
        """Connects, and waits for the answer to the first logon."""
        try:
            self._link = self._connect()
            try:
                self._session = Session(self._protocol, self._link, where=self._where, timeout=self._timeout)
                self._session.log_on(self._endpoint)
            except BaseException:
                self._link.close()
                raise
        except BaseException:
            self._release()
            raise
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            self.close()
        except OmeError:
            if kind is None:
                raise

    def reports(self, timeout: float = 1.0) -> Iterator[Report]:
        """Reports in the order of the engine, each once; ends when none has come for `timeout` seconds."""
        objects = self._protocol.received.objects
        while len(objects) or self._session.receive_unread(timeout):
            row = objects.take()
            if row is not None:
                yield report_object(row, self.instruments)

    def receive(self, timeout: float = 0.0) -> Reports:
        """The reports that have come (dtype EXECUTION_REPORT_MESSAGE, read-only), in the order of the engine.

        Waits up to `timeout` seconds for the first.
        """
        return self._session.receive(timeout)

    def close(self) -> None:
        """Waits until all commands are answered, logs out, waits for the server's answer and closes. Closing twice does nothing.

        Reports that came before the answer can still be read. Raises TimedOut when no answer comes, any error that no method has raised,
        and SessionLost, with their ids, where commands are unanswered and no method has said so.
        """
        if self._is_closed:
            return
        self._is_closed = True
        failures = self._protocol.failures
        try:
            self._session.log_out()
        finally:
            loss = self._finish()
            self._link.close()
            self._release()
        failures.raise_error()
        if loss is not None:
            raise loss
