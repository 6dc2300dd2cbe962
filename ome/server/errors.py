"""The exceptions of a server."""

from __future__ import annotations

from ome.errors import OmeError

__all__ = ["ServerError"]


class ServerError(OmeError):
    """The venue cannot start, or has stopped: its directory is in use, or a call on its journal failed."""
