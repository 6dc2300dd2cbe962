"""The copy of a directory that is made before anything in it is changed."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from ome.lock import LOCK_FILE
from ome.recovery.directory import sync_directory
from ome.recovery.repair.diagnosis import RepairError

__all__ = ["copy_directory"]


def copy_directory(directory: Path) -> Path:
    """Copies all files of the directory to `<directory>.before-repair-<UTC time>`, on disk when this returns. Returns where.

    Raises RepairError where there is not enough room, or OSError.
    """
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = directory.resolve().with_name(f"{directory.resolve().name}.before-repair-{moment}")
    files = [path for path in sorted(directory.iterdir()) if path.is_file() and path.name != LOCK_FILE]
    sizes = [path.stat().st_size for path in files]
    needed = sum(sizes) + max(sizes, default=0)  # what is made anew is no larger than a segment
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise RepairError("room for a copy", where=str(target.parent), found=f"{free:,} bytes", allowed=f"{needed:,} bytes")
    target.mkdir()
    for path in files:
        shutil.copy2(path, target / path.name)
        with (target / path.name).open("r+b") as file:
            os.fsync(file.fileno())
    sync_directory(target)
    sync_directory(target.parent)
    return target
