"""Reports of a venue in an event loop of asyncio; what sessions and drop copies share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from ome.client.async_session import AsyncSession
from ome.client.connected import Connected
from ome.client.reports import Report, Reports, report_object
from ome.errors import InvalidValueError, OmeError

__all__ = ["AsyncReceiver"]


class AsyncReceiver(Connected):
    """Use it in an `async with` statement: entering it logs on, leaving it logs out. The loop keeps it alive, also while no method runs."""

    _session: AsyncSession | None = None

    async def open(self) -> None:
        """Logs on, as entering it does. Raises LogonRefused, TimedOut and EndpointError, InvalidValueError for a session that was open."""
        if self._session is not None or self._is_closed:
            raise InvalidValueError("session", where=self._where, found="one that was opened before", allowed="a new one")
        session = self._session = AsyncSession(self._protocol, where=self._where, timeout=self._timeout)
        try:
            session.start(self._connect(session.watch))
            await session.log_on(self._endpoint)
        except BaseException:
            self._is_closed = True
            session.stop()
            self._release()
            raise
        self._begin()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            await self.close()
        except OmeError:
            if kind is None:
                raise

    async def reports(self, timeout: float | None = None) -> AsyncIterator[Report]:
        """Reports in the order of the engine, each once; ends when none has come for `timeout` seconds, or with SessionLost."""
        while (row := await self._opened.receive_unread(timeout, None)) is not None:
            yield report_object(row, self.instruments)

    async def receive(self, timeout: float | None = None) -> Reports:
        """The reports that have come (dtype EXECUTION_REPORT_MESSAGE, read-only), in the order of the engine.

        Waits for the first, up to `timeout` seconds if that is not None.
        """
        return await self._opened.receive(timeout)

    async def close(self) -> None:
        """Waits until all commands are answered, logs out, waits for the server's answer and closes, as `OrderEntry.close`."""
        if self._is_closed:
            return
        session = self._opened
        self._is_closed = True
        try:
            await session.log_out()
        finally:
            loss = self._finish()
            session.stop()
            self._release()
        self._protocol.failures.raise_error()
        if loss is not None:
            raise loss

    @property
    def _opened(self) -> AsyncSession:
        if self._session is None:
            raise InvalidValueError("session", where=self._where, found="one that is not open", allowed="`async with`, or `open`")
        return self._session
