"""A running venue: from a configuration to recovery, stages, gateway and feed."""

from ome.server.errors import ServerError
from ome.server.life_cycle import Server, StartSummary, StopSummary

__all__ = ["Server", "ServerError", "StartSummary", "StopSummary"]
