"""A running venue: configuration in; recovery, stages, gateway and feed out."""

from ome.server.errors import ServerError
from ome.server.life_cycle import Server, StartSummary, StopSummary

__all__ = ["Server", "ServerError", "StartSummary", "StopSummary"]
