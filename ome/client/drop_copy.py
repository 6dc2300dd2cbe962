"""Drop copies: the reports of all sessions of a participant, for who keeps its books or watches its risk, and sends no orders."""

from __future__ import annotations

from typing import TypedDict, Unpack

from ome.client.async_receiver import AsyncReceiver
from ome.client.connected import RECONNECT_S, Connected
from ome.client.logon import LogonOptions
from ome.client.receiver import Receiver
from ome.keys import ClientKeys
from ome.transport import Context
from ome.units import Integer

__all__ = ["AsyncDropCopy", "DropCopy"]


class _Options(TypedDict, total=False):
    context: Context | None
    liveness: float
    heartbeat: float | None
    reconnect: float | None
    reports_kept: int
    next_report: Integer | None
    login_id: Integer
    secret: bytes | str | None
    keys: ClientKeys | None


class _Copy(Connected):
    """How both are made."""

    def __init__(self, endpoint: str, participant: str, timeout: float = 5.0, **options: Unpack[_Options]) -> None:
        logon = LogonOptions(
            participant=participant,
            heartbeat=options.get("heartbeat"),
            next_report=options.get("next_report"),
            login_id=options.get("login_id", 0),
            secret=options.get("secret"),
            drop_copy=True,
        )
        super().__init__(
            endpoint,
            logon,
            timeout,
            context=options.get("context"),
            liveness=options.get("liveness", 5.0),
            reconnect=options.get("reconnect", RECONNECT_S),
            reports_kept=options.get("reports_kept", 1_000_000),
            keys=options.get("keys"),
        )


class DropCopy(_Copy, Receiver):
    """A copy of every report that a participant's sessions get, whether they are connected or not; made, it is logged on.

        with DropCopy("tcp://127.0.0.1:5555", "FIRM1", next_report=1) as copy:
            for report in copy.reports():
                ...

    It has no session, sends no commands, and takes nothing over: up to eight may listen to a participant. The reports of all sessions come
    in one order, that of the engine. They are those of the sessions but for `report_sequence`, which counts those of the participant.
    `session` says whose each of them is. The venue's keys file gives the right by the role "drop-copy".

    Like `OrderEntry` it comes back after its connection breaks or the server restarts, and each report is given once. Its options mean
    what they mean there; `next_report` 1 begins with the participant's first report. Where a participant loses its last session, because
    others need the number, its reports begin anew at 1, and SessionLost (UNKNOWN_SESSION) is raised. Raises what `OrderEntry` raises.
    """

    def __init__(self, endpoint: str, participant: str, timeout: float = 5.0, **options: Unpack[_Options]) -> None:
        super().__init__(endpoint, participant, timeout, **options)
        self._log_on()


class AsyncDropCopy(_Copy, AsyncReceiver):
    """The same for asyncio, in an `async with` statement, which logs on; its methods are awaited."""
