"""Market data: the channels of the feed, and books built from it."""

from __future__ import annotations

from ome.marketdata.book_builder import Book, BookBuilder, BookLevel, split_frame
from ome.marketdata.channels import TOPIC_SIZE, Channel, read_topic, topic_of

__all__ = ["TOPIC_SIZE", "Book", "BookBuilder", "BookLevel", "Channel", "read_topic", "split_frame", "topic_of"]
