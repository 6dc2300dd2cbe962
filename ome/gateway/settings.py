"""What a gateway is started with, and what it needs of the venue, whether that is in the same process or in another one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ome._native import CData
from ome.enums import Policy, Reason
from ome.gateway.archive import Wanted
from ome.messages import Limits

__all__ = ["Archive", "GatewaySettings", "Host", "Throttle"]


@dataclass(frozen=True, slots=True)
class Throttle:
    """How much a participant may send: messages in a second, messages without an answer, logons in a minute; 0 is any number."""

    messages_per_second: int = 0
    in_flight: int = 0
    logons_per_minute: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """The same for as long as the venue runs. `endpoints` are those of market data and of requests, for the answer to a logon."""

    epoch: int
    policy: Policy
    limits: Limits
    has_journal: bool
    endpoints: tuple[str, str]
    throttle: Throttle
    reports_in_memory: int
    sessions_per_participant: int


class Archive(Protocol):
    """Gets reports that are no longer in the gateway's memory."""

    def start(self) -> None:
        """From now on."""

    def stop(self) -> None:
        """No more."""

    def ask(self, wanted: Wanted) -> None:
        """Asks for reports; one question at a time. The answer comes to what the archive was made with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The venue, as a gateway sees it.

    `create` makes the gateway in C (event descriptor, options, place for the pointer) and returns a status. `moment` gives the venue's time
    and the last sequence. `archive` makes one that gives reports to a function, with the number of the question. `note` takes what
    operators and auditors look for. `on_defined` is called with the fields of each definition's event but those of sessions. `wake` wakes
    the loop, which sleeps on the event descriptor.
    """

    create: Callable[[int, CData, CData], int]
    moment: Callable[[], tuple[int, int]]
    archive: Callable[[Callable[[int, bytes], None]], Archive]
    note: Callable[..., None]
    on_defined: Callable[[int, int, Reason], None] = lambda kind, number, reason: None
    wake: Callable[[int], None] = lambda event_fd: os.eventfd_write(event_fd, 1)
