"""Files of tables (TOML) that an operator writes and the server reads again when they change."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from ome.errors import OmeError

__all__ = ["FileVersion", "file_version", "read_tables"]

FileVersion = tuple[int, int, int]


def file_version(path: Path) -> FileVersion:
    """Another one when the file has changed. Raises OSError."""
    status = os.stat(path)
    return status.st_mtime_ns, status.st_ino, status.st_size


def read_tables(source: str, what: str, error: type[OmeError], *, size_max: int) -> dict[str, Any]:
    """The content of a file, of which no more than `size_max` bytes are read.

    Raises `error`, with the name `what`, for one that cannot be read or is no TOML.
    """
    try:
        with open(source, "rb") as file:
            return tomllib.loads(file.read(size_max).decode("utf-8-sig"))
    except OSError as found:
        raise error(what, where=source, found=found.strerror, allowed="a file that can be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as found:
        raise error(what, where=source, found=str(found), allowed="TOML") from None
