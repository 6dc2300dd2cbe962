"""Which addresses of a venue are encrypted, and with which keys."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from ome.config import ConfigError, ServerConfig
from ome.keys import read_key_pair
from ome.transport import ServerCurve

__all__ = ["check_security", "curve_of", "has_curve"]


def has_curve(config: ServerConfig, endpoint: str) -> bool:
    """Whether connections to this address are encrypted."""
    return config.curve == "always" or (config.curve == "auto" and not _is_local(endpoint))


def curve_of(config: ServerConfig, endpoint: str, admitted: Mapping[bytes, int]) -> ServerCurve | None:
    """The keys of a listener at this address; None where it is not encrypted. Raises KeyFileError."""
    if not has_curve(config, endpoint):
        return None
    assert config.server_key_file is not None, "the configuration was checked"
    return ServerCurve(pair=read_key_pair(config.server_key_file), admitted=admitted)


def check_security(config: ServerConfig) -> None:
    """An address that others than this machine may reach is encrypted, unless the configuration says otherwise. Raises ConfigError."""
    endpoints = (config.orders_endpoint, config.feed_endpoint, config.requests_endpoint)
    encrypted = [endpoint for endpoint in endpoints if endpoint and has_curve(config, endpoint)]
    for key, value in (("security.keys", config.keys_file), ("security.server_key", config.server_key_file)):
        if encrypted and value is None:
            allowed = f'a file, for {encrypted[0]} is encrypted; or addresses on loopback; or security.curve = "never"'
            raise ConfigError(key, where=config.source, found="", allowed=allowed)


def _is_local(endpoint: str) -> bool:
    """Loopback and ipc."""
    match = re.fullmatch(r"tcp://(?:\[([^\]]+)\]|([^:\[\]]+)):\d+", endpoint)
    if match is None:
        return endpoint.startswith("ipc://")
    host = match[1] or match[2]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
