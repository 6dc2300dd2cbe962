"""What a service tells systemd (sd_notify): that it is ready, that it stops. Source: systemd's page sd_notify(3), Type=notify."""

from __future__ import annotations

import contextlib
import os
import socket

__all__ = ["notify"]


def notify(state: str) -> None:
    """Says `state`, such as READY=1, to the service manager that started this process; without one it does nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(1.0)  # a manager that does not read does not stop the venue
        manager.sendto(state.encode("utf-8"), f"\0{address[1:]}" if address.startswith("@") else address)
