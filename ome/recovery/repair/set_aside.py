"""Files that leave the journal: they get another name, which nothing reads. Nothing is removed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ome.recovery.directory import sync_directory

__all__ = ["BROKEN", "SET_ASIDE", "free_path", "rename", "set_aside"]

SET_ASIDE: Final = ".set-aside"
BROKEN: Final = ".broken"  # of a snapshot


def free_path(path: Path, suffix: str) -> Path:
    """A name with this suffix that nothing has yet."""
    free, number = path.with_name(path.name + suffix), 1
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}{suffix}-{number}")
    return free


def rename(path: Path, suffix: str) -> Path:
    """Gives it a free name with this suffix, on disk when this returns. Returns the new path."""
    to = free_path(path, suffix)
    path.rename(to)
    sync_directory(path.parent)
    return to


def set_aside(paths: Iterable[Path]) -> None:
    """Renames them, from the last to the first: what is left is a beginning, should it be interrupted. Of an event log it may be its
    end.
    """
    for path in sorted(paths, reverse=True):
        rename(path, SET_ASIDE)
