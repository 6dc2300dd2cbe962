"""Whether a journal's audit file is what was written: its lines follow from one another, and the manifest's anchors name the same ones."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ome.audit import AUDIT_FILE, AuditIntegrityError, AuditLine, AuditReader, begin_line
from ome.recovery.directory import sync_directory
from ome.recovery.manifest import ManifestError, ManifestLine, read_anchors

__all__ = ["AuditState", "begin_audit", "check_audit", "checked_lines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditState:
    """What a check has found right: the lines, from the one after `begins_behind` to `sequence`, with its chain digest.

    `anchors` is how many anchors of the manifest agree with them, `anchored` the last line that one names. `torn_bytes` follow the last
    line.
    """

    begins_behind: int
    sequence: int
    chain: bytes
    anchors: int
    anchored: int
    torn_bytes: int

    @property
    def count(self) -> int:
        """How many lines there are."""
        return self.sequence - self.begins_behind


def _anchors(directory: Path) -> list[ManifestLine]:
    """None where the manifest cannot be read: that is what the check of the manifest finds."""
    try:
        return read_anchors(directory)
    except ManifestError:
        return []


class _Checked:
    """Iterates over the lines; raises AuditIntegrityError at the first that is not what was written. `state` is what was right so far."""

    def __init__(self, directory: Path) -> None:
        self._anchors = {line.size_bytes: line.digest for line in _anchors(directory)}  # first: the audit file only grows
        self._reader = AuditReader(directory)
        self._agreed = 0
        self._anchored = 0

    def __iter__(self) -> Iterator[AuditLine]:
        for line in self._reader:
            if self._reader.begins_behind == line.sequence - 1:
                self._compare(line.sequence - 1, line.before() or b"")
            self._compare(line.sequence, line.chain)
            yield line
        beyond = next((count for count in self._anchors if count > self._reader.sequence), None)
        if beyond is not None:
            found = f"an end behind line {self._reader.sequence:,}" if self._reader.path.exists() else "no such file"
            raise AuditIntegrityError(
                "audit file", where=str(self._reader.path), found=found, allowed=f"the lines up to {beyond:,}, which the manifest names"
            )

    def _compare(self, sequence: int, chain: bytes) -> None:
        digest = self._anchors.get(sequence, chain)
        if digest != chain:
            where, allowed = str(self._reader.path), f"{digest.hex()}, which the manifest names"
            raise AuditIntegrityError(f"line {sequence:,}", where=where, found=f"chain digest {chain.hex()}", allowed=allowed)
        if sequence in self._anchors:
            self._agreed, self._anchored = self._agreed + 1, sequence

    @property
    def state(self) -> AuditState:
        reader = self._reader
        return AuditState(
            begins_behind=reader.begins_behind,
            sequence=reader.sequence,
            chain=reader.chain,
            anchors=self._agreed,
            anchored=self._anchored,
            torn_bytes=reader.torn_bytes,
        )


def checked_lines(directory: Path) -> Iterator[AuditLine]:
    """The lines of the audit file. Raises AuditIntegrityError at the first that is not what was written, or OSError."""
    return iter(_Checked(directory))


def check_audit(directory: Path) -> AuditState:
    """Reads the whole audit file, and compares it with the manifest's anchors. Where there is neither, there is nothing to check.

    A server may be writing: bytes behind the last line are no damage. Raises AuditIntegrityError with the first difference, or OSError.
    """
    checked = _Checked(directory)
    for _ in checked:
        pass
    return checked.state


def begin_audit(directory: Path, **fields: object) -> None:
    """Makes an audit file, where there is none, whose first line is that of a repair, with these fields; on disk when this returns.

    It goes on behind the last line that the manifest names, so that the anchors stay true.
    """
    anchors = _anchors(directory)
    behind, digest = (anchors[-1].size_bytes, anchors[-1].digest) if anchors else (0, bytes(32))
    path = directory / AUDIT_FILE
    new = path.with_name(f"{AUDIT_FILE}-new.tmp")
    with new.open("wb") as file:
        file.write(begin_line(behind, digest, time.time_ns(), fields).data())
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_directory(directory)
