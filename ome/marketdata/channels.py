"""The channels of the market data feed and the topic that begins each of its frames."""

from __future__ import annotations

import struct
from enum import IntEnum

from ome.errors import InvalidValueError

__all__ = ["TOPIC_SIZE", "Channel", "read_topic", "topic_of"]

_TOPIC = struct.Struct(">II")
TOPIC_SIZE = _TOPIC.size


class Channel(IntEnum):
    """What a frame of market data holds."""

    TOP = 1
    """TopOfBook: the best bid and ask."""
    LEVELS = 2
    """LevelUpdate, and LevelSnapshot when somebody subscribes."""
    TRADES = 3
    """TradePrint."""


def topic_of(channel: Channel, instrument: int) -> bytes:
    """The topic of a channel of an instrument, given by its number.

    >>> topic_of(Channel.LEVELS, 1).hex(" ")
    '00 00 00 02 00 00 00 01'
    """
    return _TOPIC.pack(channel, instrument)


def read_topic(frame: bytes) -> tuple[Channel, int]:
    """Channel and instrument number of a frame or a topic. Raises InvalidValueError where it has none."""
    if len(frame) < TOPIC_SIZE:
        raise InvalidValueError("topic", where="frame of market data", found=frame, allowed=f"{TOPIC_SIZE} bytes: channel, instrument")
    channel, instrument = _TOPIC.unpack_from(frame)
    if channel not in (1, 2, 3):
        raise InvalidValueError("channel", where="frame of market data", found=channel, allowed="1 to 3")
    return Channel(channel), instrument
