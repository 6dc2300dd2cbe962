"""The lines of an audit file, each bound to all before it.

A line is one JSON object in canonical form: names sorted, no spaces, ASCII, a line feed at the end. Its values:

    chain     SHA-256 of the chain digest of the line before (32 bytes, zero before the first) followed by the canonical JSON of this line
              without `chain`; in hexadecimal
    fields    what happened: strings, integers, booleans and nulls by name
    kind      what kind of event it is
    sequence  from 1, one more with each line
    synced    the last line that was on disk when this one was made
    time      in UTC, ISO 8601, microseconds

A line that follows damage and was made when the place was on disk proves that it is damage. Without such a line the place and all behind it
are what a crash left: a torn tail, of which nobody knew that it was on disk.

The first line has sequence 1, unless a repair began the file anew: then it is of kind `repair`, and its field `digest` is the chain digest
of the line before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ome.errors import OmeError
from ome.log import bounded_fields, utc_text

__all__ = [
    "AUDIT_FILE",
    "BEGIN_KIND",
    "LINE_SIZE_MAX",
    "NO_CHAIN",
    "AuditEnd",
    "AuditIntegrityError",
    "AuditLine",
    "AuditReader",
    "begin_line",
    "find_end",
]

AUDIT_FILE: Final = "audit.log"
"""In the directory of the journal."""
BEGIN_KIND: Final = "repair"
"""Of the first line of a file that a repair began anew."""
LINE_SIZE_MAX: Final = 8_192
"""Bytes of a line: 12 fields of 256 bytes with names of 32, and the rest."""
NO_CHAIN: Final = bytes(32)
"""The chain digest before the first line."""

_TAIL_SIZE: Final = 8 << 20  # bytes that a start reads: more than can wait for a sync
_LINE_END: Final = re.compile(rb"(?<=\n)")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NAMES: Final = {"chain", "fields", "kind", "sequence", "synced", "time"}


class AuditIntegrityError(OmeError):
    """The audit file is not what was written, or is not the one of the manifest. Nothing was changed."""


def _canonical(values: Mapping[str, object]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """A line. `chain` is the digest that it has, which need not be the right one."""

    sequence: int
    synced: int
    time: str
    kind: str
    fields: Mapping[str, str | int | bool | None]
    chain: bytes = NO_CHAIN

    @classmethod
    def following(
        cls, before: bytes, sequence: int, synced: int, time_ns: int, kind: str, fields: Mapping[str, str | int | bool | None]
    ) -> AuditLine:
        """The line with this sequence after one with the chain digest `before`."""
        line = cls(sequence=sequence, synced=synced, time=utc_text(time_ns), kind=kind, fields=fields)
        return replace(line, chain=line._digest(before))

    @classmethod
    def read(cls, data: bytes) -> AuditLine | None:
        """The line that these bytes are, with its line feed; None where they are none."""
        if len(data) > LINE_SIZE_MAX or not data.endswith(b"\n"):
            return None
        try:
            values = json.loads(data)
        except (ValueError, RecursionError):
            return None
        if not isinstance(values, dict) or values.keys() != _NAMES or _canonical(values) + b"\n" != data:
            return None
        numbers, texts, fields = (values["sequence"], values["synced"]), (values["time"], values["kind"], values["chain"]), values["fields"]
        is_line = all(type(number) is int and number >= 0 for number in numbers) and all(isinstance(text, str) for text in texts)
        if not is_line or not _DIGEST.fullmatch(values["chain"]) or not isinstance(fields, dict):
            return None
        if not all(value is None or isinstance(value, str | int) for value in fields.values()):
            return None
        return cls(**(values | {"chain": bytes.fromhex(values["chain"])}))

    def _values(self) -> dict[str, object]:
        return {"sequence": self.sequence, "synced": self.synced, "time": self.time, "kind": self.kind, "fields": dict(self.fields)}

    def _digest(self, before: bytes) -> bytes:
        return hashlib.sha256(before + _canonical(self._values())).digest()

    def data(self) -> bytes:
        """As it is in the file."""
        return _canonical(self._values() | {"chain": self.chain.hex()}) + b"\n"

    def follows(self, before: bytes) -> bool:
        """Whether its chain digest is the right one after a line with the digest `before`."""
        return self._digest(before) == self.chain

    def before(self) -> bytes | None:
        """The chain digest that it says was before it, where it begins a file; None where it begins none."""
        if self.sequence == 1:
            return NO_CHAIN
        digest = self.fields.get("digest")
        is_begin = self.kind == BEGIN_KIND and isinstance(digest, str) and _DIGEST.fullmatch(digest)
        return bytes.fromhex(str(digest)) if is_begin else None


def begin_line(behind: int, digest: bytes, time_ns: int, fields: Mapping[str, object]) -> AuditLine:
    """The first line of a file that a repair begins anew, behind line `behind`, which had this chain digest."""
    bounded = bounded_fields({"digest": digest.hex()} | dict(fields))
    return AuditLine.following(digest, behind + 1, behind, time_ns, BEGIN_KIND, bounded)


def _is_torn(texts: Iterator[bytes], expected: int) -> bool:
    """Whether nothing in these lines, which begin with one that cannot be read, proves that line `expected` was on disk."""
    return all((line := AuditLine.read(text)) is None or line.synced < expected for text in texts)


class AuditReader:
    """Iterates over the lines of the audit file in `directory`, none where there is none. Raises AuditIntegrityError at the first damage.

    `begins_behind` is the line before the first one, 0 unless a repair began the file anew. `sequence` and `chain` are those of the last
    line read, and `torn_bytes` follow it, which are no line and of which nobody knew that they were on disk.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / AUDIT_FILE
        self.begins_behind = 0
        self.sequence = 0
        self.chain = NO_CHAIN
        self.torn_bytes = 0

    def __iter__(self) -> Iterator[AuditLine]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            offset = 0
            while text := file.readline(LINE_SIZE_MAX + 1):
                line = AuditLine.read(text)
                if line is None and _is_torn(iter(lambda: file.readline(LINE_SIZE_MAX + 1), b""), self.sequence + 1):
                    self.torn_bytes = file.seek(0, 2) - offset
                    return
                self._check(line, offset)
                assert line is not None, "it was checked"
                yield line
                offset += len(text)

    def _check(self, line: AuditLine | None, offset: int) -> None:
        """Raises AuditIntegrityError where it is not the next one."""
        expected = self.sequence + 1
        where = f"{self.path} at offset {offset:,}"
        if line is None:
            raise AuditIntegrityError(
                f"line {expected:,}", where=where, found="bytes that are no line", allowed="the line that was written"
            )
        is_first = self.sequence == 0
        before = line.before() if is_first else self.chain
        if before is None or (not is_first and line.sequence != expected):
            allowed = "sequence 1, or a line of a repair" if is_first else f"sequence {expected:,}"
            raise AuditIntegrityError(f"line {expected:,}", where=where, found=f"sequence {line.sequence:,}", allowed=allowed)
        if not line.follows(before):
            raise AuditIntegrityError(
                f"line {line.sequence:,}", where=where, found="another chain digest", allowed="that of this line and all before it"
            )
        if is_first:
            self.begins_behind = line.sequence - 1
        self.sequence, self.chain = line.sequence, line.chain


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEnd:
    """Where an audit file ends: sequence and chain digest of its last line, the offset behind it, and how many torn bytes follow."""

    sequence: int
    chain: bytes
    offset: int
    torn_bytes: int


def find_end(path: Path) -> AuditEnd:
    """The end of an audit file, from its last 8 MiB: what a writer goes on from. Damage before it is left to those who read all.

    Raises AuditIntegrityError where these 8 MiB have no line, or OSError.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = file.seek(max(0, size - _TAIL_SIZE))
        data = file.read(size - start)
    texts = _LINE_END.split(data)
    last: AuditLine | None = None
    offset = end = start
    for index, text in enumerate(texts):
        line = AuditLine.read(text)
        is_judged = last is not None or start == 0  # else it may be the end of a line that begins before
        if line is None and is_judged and _is_torn(iter(texts[index:]), (last.sequence if last is not None else 0) + 1):
            break
        offset += len(text)
        if line is not None:
            last, end = line, offset
    if last is None and start > 0:
        found = f"no line in the last {_TAIL_SIZE:,} bytes"
        raise AuditIntegrityError(
            "audit file", where=str(path), found=found, allowed="lines that were written; ome-admin repair begins it anew"
        )
    if last is None:
        return AuditEnd(sequence=0, chain=NO_CHAIN, offset=0, torn_bytes=size)
    return AuditEnd(sequence=last.sequence, chain=last.chain, offset=end, torn_bytes=size - end)
