"""The manifest of a journal: a digest of every sealed segment, each bound to all before it.

A text file in the journal's directory. One line a segment, in order, four fields with one space between them:

    journal-00000000000000000001.ome 67108812 sha256:<digest> <chain>

The name; how many bytes the segment has up to the end of its seal; the SHA-256 of these bytes; and the chain digest, which is the SHA-256
of the chain digest of the line before (32 bytes, zero before the first) followed by this digest (32 bytes). Digests are written in
hexadecimal. A line without `sha256:` was written by an earlier version: both its digests are BLAKE2b-256. Such lines come first.

Another kind of line is an anchor of the audit file (ome/audit/). It stands before the line of a segment, where the audit file has grown:

    audit.log 57 sha256:<digest> <chain>

How many lines the audit file had; the chain digest of the last of them, a SHA-256 that this line has too; and the chain digest of the
manifest, which goes through it as through the digest of a segment. No earlier version wrote anchors.

Who keeps the last chain digest in another place can prove the whole history: `tools/verify_manifest.py` does, and needs nothing of ome.

What has a line: segments of format version 2 that are sealed and have records. A sealed segment without records is replaced by the next
start.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final

from ome._native import ffi, lib
from ome.audit import AUDIT_FILE, AuditIntegrityError, AuditReader, find_end
from ome.errors import OmeError
from ome.recovery.directory import segment_first_sequence, segments, sync_directory

__all__ = [
    "MANIFEST_FILE",
    "Algorithm",
    "ManifestError",
    "ManifestLine",
    "Seal",
    "append_manifest",
    "check_manifest",
    "check_segment",
    "digest_of",
    "is_of_line",
    "lines_of_segments",
    "read_anchors",
    "read_entries",
    "read_manifest",
    "read_seal",
    "remake_lines",
    "replace_manifest",
]

MANIFEST_FILE: Final = "manifest"

_LINE: Final = re.compile(
    rb"(?P<name>journal-[0-9]{20}\.ome|audit\.log) (?P<size>[1-9][0-9]{0,15}) "
    rb"(?:(?P<algorithm>sha256):)?(?P<digest>[0-9a-f]{64}) (?P<chain>[0-9a-f]{64})\n"
)
_LINE_END: Final = re.compile(rb"(?<=\n)")
# Of lines of which any one byte may be damaged, also into a line feed:
_LINE_BEGIN: Final = re.compile(rb"(?<=\n)(?=jou|aud|.{3}(?:rnal-|it\.log))|(?=(?:journal-[0-9]{20}\.ome|audit\.log) )", re.DOTALL)
_ANCHOR_BEGIN: Final = re.compile(rb"aud|.{3}it\.log", re.DOTALL)
_ANCHOR_COUNT: Final = re.compile(rb".{9} ([1-9][0-9]{0,15}) ", re.DOTALL)
_ANCHOR_DIGEST: Final = re.compile(rb"[^0-9a-f]([0-9a-f]{64})[^0-9a-f].{63,}", re.DOTALL)  # not the chain digest: that follows it
_NO_CHAIN: Final = bytes(32)
_HEADER: Final = struct.Struct("<8sI")  # magic and version of a segment
_MAGIC: Final = b"\nOMEJRNL"
_HEADER_SIZE: Final = 4_096
_SEAL: Final = struct.Struct("<QHIQQIII")  # sequence, type, length; count, last sequence, chain, reason; checksum
_SEAL_DATA_SIZE: Final = 24
_KIND_MASK: Final = 0x7FFF
_CHUNK_SIZE: Final = 1 << 20
_ZEROS: Final = bytes(_CHUNK_SIZE)


class Algorithm(Enum):
    """Of the digests of a line. New lines have SHA-256, for which processors have instructions."""

    SHA256 = "sha256"
    BLAKE2B = "blake2b"

    def hasher(self) -> hashlib._Hash | hashlib.blake2b:
        """One that has taken no bytes yet."""
        return hashlib.sha256() if self is Algorithm.SHA256 else hashlib.blake2b(digest_size=32)


class ManifestError(OmeError):
    """The manifest and the segments are not those of one history. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What the end of a segment says. `end` is the offset behind it."""

    record_count: int
    last_sequence: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestLine:
    """A line of the manifest: of a segment, or an anchor of the audit file, whose `size_bytes` is a count of lines.

    `algorithm` is that of both digests. Without `chain` it follows no line yet.
    """

    name: str
    size_bytes: int
    digest: bytes
    chain: bytes = b""
    algorithm: Algorithm = Algorithm.SHA256

    @property
    def is_anchor(self) -> bool:
        """Whether it is of the audit file."""
        return self.name == AUDIT_FILE

    @property
    def place(self) -> int:
        """What grows from one line to the next of the same kind: the first sequence of the segment, or the count of an anchor."""
        return self.size_bytes if self.is_anchor else self.first_sequence

    @property
    def first_sequence(self) -> int:
        """Of the segment."""
        return segment_first_sequence(self.name)

    def __str__(self) -> str:
        label = "" if self.algorithm is Algorithm.BLAKE2B else f"{self.algorithm.value}:"
        return f"{self.name} {self.size_bytes} {label}{self.digest.hex()} {self.chain.hex()}\n"


def read_seal(path: Path) -> Seal | None:
    """The seal of a segment of format version 2 and above; None where it has none. Looks at the segment's ends only.

    A seal is the last thing in a segment but zeros, and its checksum may end with some; so its end is looked for from behind.
    """
    with path.open("rb") as file:
        magic, version = _HEADER.unpack(file.read(_HEADER.size).ljust(_HEADER.size, b"\0"))
        if magic != _MAGIC or version < 2:
            return None
        size = file.seek(0, os.SEEK_END)
        used = _used_size(file.fileno(), size)
        for end in range(used, min(used + 4, size) + 1):
            start = end - _SEAL.size
            if start >= _HEADER_SIZE and (seal := _seal_of(os.pread(file.fileno(), _SEAL.size, start), path.name, end)) is not None:
                return seal
    return None


def _used_size(file: int, size: int) -> int:
    """Where the zeros at the end of a file begin."""
    while size > 0:
        start = max(0, size - _CHUNK_SIZE)
        chunk = os.pread(file, size - start, start)
        if chunk != _ZEROS[: len(chunk)]:  # to be asked first: stripping goes byte by byte
            return start + len(chunk.rstrip(b"\0"))
        size = start
    return 0


def _seal_of(data: bytes, name: str, end: int) -> Seal | None:
    sequence, kind, length, count, last_sequence, _chain, reason, checksum = _SEAL.unpack(data)
    is_seal = kind & _KIND_MASK == 0 and length == _SEAL_DATA_SIZE and reason in (1, 2, 3) and last_sequence == sequence - 1
    if not is_seal or count != sequence - segment_first_sequence(name) or checksum != _crc32c(data[:-4]):
        return None
    return Seal(record_count=count, last_sequence=last_sequence, end=end)


def _crc32c(data: bytes) -> int:
    """CRC-32C of RFC 3720: of a few bytes, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def digest_of(path: Path, size_bytes: int, algorithm: Algorithm = Algorithm.SHA256, can_wait: Callable[[], bool] = lambda: False) -> bytes:
    """The digest of the first `size_bytes` of a file, or of all where it is shorter.

    While `can_wait` says so, it goes on only where a core is idle.
    """
    digest = algorithm.hasher()
    buffer = memoryview(bytearray(_CHUNK_SIZE))
    with path.open("rb", buffering=0) as file:
        offset = 0
        while offset < size_bytes:
            part = buffer[: min(size_bytes - offset, _CHUNK_SIZE)]
            count = (_read_idle if can_wait() else _read)(file.fileno(), part, offset)
            if count == 0:
                break
            digest.update(part[:count])
            offset += count
    return digest.digest()


def _read(file: int, part: memoryview, offset: int) -> int:
    return os.preadv(file, [part], offset)


def _read_idle(file: int, part: memoryview, offset: int) -> int:
    """Only the reading waits for an idle core: between two pieces this thread holds what other threads wait for.

    Its share of a busy core is so small that the digests, which follow the reading, get no more than some 10 MiB a second.
    """
    read = ffi.new("uint64_t *")
    status = lib.ome_read_idle(file, offset, ffi.from_buffer(part, require_writable=True), len(part), read)
    if status == lib.OME_NO_MEMORY:
        raise MemoryError("no memory for a thread that reads a segment")
    if status != lib.OME_OK:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return int(read[0])


def _chained(lines: Iterable[ManifestLine], before: ManifestLine | None = None) -> list[ManifestLine]:
    """These lines with the chain digests that they have behind the line `before`, or as the first ones."""
    chain = _NO_CHAIN if before is None else before.chain
    chained: list[ManifestLine] = []
    for line in lines:
        hasher = line.algorithm.hasher()
        hasher.update(chain + line.digest)
        chain = hasher.digest()
        chained.append(replace(line, chain=chain))
    return chained


def _line_of(match: re.Match[bytes]) -> ManifestLine:
    """What a line says."""
    return ManifestLine(
        name=match["name"].decode(),
        size_bytes=int(match["size"]),
        digest=bytes.fromhex(match["digest"].decode()),
        chain=bytes.fromhex(match["chain"].decode()),
        algorithm=Algorithm.BLAKE2B if match["algorithm"] is None else Algorithm.SHA256,
    )


def read_manifest(directory: Path) -> tuple[list[ManifestLine], int]:
    """The lines of segments, and how many bytes of the file all lines are. What follows is a last line that a crash has torn, or nothing.

    Raises ManifestError where lines do not follow from each other.
    """
    entries, offset = read_entries(directory)
    return [line for line in entries if not line.is_anchor], offset


def read_anchors(directory: Path) -> list[ManifestLine]:
    """The anchors of the audit file. Raises ManifestError where lines do not follow from each other."""
    return [line for line in read_entries(directory)[0] if line.is_anchor]


def read_entries(directory: Path) -> tuple[list[ManifestLine], int]:
    """All lines, of segments and anchors, and how many bytes of the file they are. Raises ManifestError as `read_manifest` does."""
    path = directory / MANIFEST_FILE
    texts = [text for text in _LINE_END.split(path.read_bytes()) if text] if path.exists() else []
    lines: list[ManifestLine] = []
    offset = 0
    places = {True: 0, False: 0}  # of the last anchor and of the last segment
    for number, text in enumerate(texts, 1):
        match = _LINE.fullmatch(text)
        if match is None and number == len(texts):
            break
        where = f"{path} line {number}"
        if match is None:
            raise ManifestError("manifest", where=where, found=text[:80], allowed="name, bytes, digest and chain digest")
        line = _line_of(match)
        if [line] != _chained([line], lines[-1] if lines else None) or line.place <= places[line.is_anchor]:
            raise ManifestError(
                "manifest", where=where, found=line.name, allowed="the segment and digests that follow those of the line before"
            )
        lines.append(line)
        places[line.is_anchor] = line.place
        offset += len(text)
    return lines, offset


def append_manifest(
    directory: Path, *, live: bool = False, count_max: int | None = None, can_wait: Callable[[], bool] = lambda: False
) -> list[ManifestLine]:
    """Adds a line for each sealed segment that has none, and returns these lines; before the first an anchor of the audit file, where that
    has grown. Safe to repeat, and to be killed or lose power in.

    It adds no more than `count_max`, where that is given. With `live` a server is writing, and the last segment is left out: its seal may
    be seen before it is on disk. While `can_wait` says so, segments are read only where a core is idle.

    Each line is on disk before the next is written, so that only the last can be torn; that one is cut off and made again.

    Raises ManifestError where the manifest does not fit the segments, or OSError.
    """
    lines, offset = read_entries(directory)
    first = next((line.first_sequence for line in reversed(lines) if not line.is_anchor), 0)
    missing = [
        ManifestLine(name=path.name, size_bytes=seal.end, digest=digest_of(path, seal.end, can_wait=can_wait))
        for path, seal in islice(_unlisted(directory, first, live), count_max)
    ]
    anchor = _next_anchor(directory, lines) if missing else None
    added = _chained(missing if anchor is None else [anchor, *missing], lines[-1] if lines else None)
    path = directory / MANIFEST_FILE
    is_new = not path.exists()
    if not added and (is_new or path.stat().st_size == offset):
        return added
    with path.open("x+b" if is_new else "r+b") as file:
        file.truncate(offset)
        file.seek(offset)
        os.fsync(file.fileno())
        if is_new:
            sync_directory(directory)
        for line in added:
            file.write(str(line).encode())
            file.flush()
            os.fsync(file.fileno())
    return [line for line in added if not line.is_anchor]


def _next_anchor(directory: Path, lines: list[ManifestLine]) -> ManifestLine | None:
    """The anchor to follow these lines, of audit lines that are on disk now; None where there are no new ones, or none that can be read.

    An audit file that cannot be read or synced keeps no segment out of the manifest.
    """
    path = directory / AUDIT_FILE
    try:
        end = find_end(path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    except (OSError, AuditIntegrityError):
        return None
    former = next((line.place for line in reversed(lines) if line.is_anchor), 0)
    return ManifestLine(name=AUDIT_FILE, size_bytes=end.sequence, digest=end.chain) if end.sequence > former else None


def _unlisted(directory: Path, first: int, live: bool) -> Iterator[tuple[Path, Seal]]:
    """The sealed segments with records behind the one that begins with `first`, 0 for all. Raises ManifestError where there is a hole."""
    expected = 0  # the first sequence of the next segment, where it is known
    found = segments(directory)
    for path in found[:-1] if live else found:
        sequence = segment_first_sequence(path.name)
        if sequence < first or (seal := read_seal(path)) is None:
            continue
        if sequence > first and seal.record_count > 0:
            if expected not in (0, sequence):
                raise ManifestError("segment", where=str(path), found=sequence, allowed=f"one that begins with sequence {expected:,}")
            yield path, seal
        expected = seal.last_sequence + 1


def remake_lines(directory: Path) -> tuple[list[ManifestLine], bool]:
    """The lines made again: those of archived segments as they stand, then one for each sealed segment that is there; anchors between them.

    The second value says whether the damaged manifest proves them: its last line that can be read, or the one before, has the chain
    digest that the new lines lead to. Where it does not, the lines begin with the segments that are there, without anchors. Names and sizes
    of archived segments are in no digest, and taken as they stand.
    """
    texts = [text for text in _LINE_BEGIN.split((directory / MANIFEST_FILE).read_bytes()) if text]
    old = [None if (match := _LINE.fullmatch(text)) is None else _line_of(match) for text in texts]
    there = list(_unlisted(directory, 0, False))
    digest = cache(digest_of)

    def lines_there(algorithms: list[Algorithm]) -> list[ManifestLine]:
        return [
            ManifestLine(name=path.name, size_bytes=seal.end, digest=digest(path, seal.end, one), algorithm=one)
            for (path, seal), one in zip(there, algorithms, strict=True)
        ]

    readable = {line.digest for line in old if line is not None}
    known = [next((one for one in Algorithm if digest(path, seal.end, one) in readable), None) for path, seal in there]
    kept = _kept_lines(old, _anchors_of(directory, texts), lines_there([one or Algorithm.SHA256 for one in known]))
    # Where a line cannot be read, its algorithm is not known: BLAKE2b up to one of them, SHA-256 from there on.
    for earlier_count in (0, *(index + 1 for index, one in enumerate(known) if one is None)):
        made = iter(
            lines_there([one or (Algorithm.BLAKE2B if index < earlier_count else Algorithm.SHA256) for index, one in enumerate(known)])
        )
        filled = [line for one in kept if (line := one or next(made, None)) is not None]
        lines = _chained([*filled, *made])
        if _is_proven(old, lines):
            return lines, True
    return _chained(lines_there([Algorithm.SHA256] * len(there))), False


def _anchors_of(directory: Path, texts: list[bytes]) -> dict[int, ManifestLine | None]:
    """The anchors by their indexes; None where neither count nor digest can be read. The audit file has what is damaged in one."""
    said: dict[int, tuple[int, bytes]] = {}
    for index, text in enumerate(texts):
        if _ANCHOR_BEGIN.match(text):
            is_count, is_digest = _ANCHOR_COUNT.match(text), _ANCHOR_DIGEST.search(text)
            said[index] = (int(is_count[1]) if is_count else 0, bytes.fromhex(is_digest[1].decode()) if is_digest else b"")
    by_count: dict[int, bytes] = {}
    by_digest: dict[bytes, int] = {}
    counts, digests = {count for count, _ in said.values()}, {digest for _, digest in said.values()}
    with contextlib.suppress(AuditIntegrityError, OSError):
        for line in AuditReader(directory) if said else ():
            if line.sequence in counts or line.chain in digests:
                by_count[line.sequence], by_digest[line.chain] = line.chain, line.sequence
    found: dict[int, ManifestLine | None] = {}
    for index, (said_count, said_digest) in said.items():
        count = by_digest.get(said_digest, said_count)
        digest = said_digest if said_digest in by_digest else by_count.get(said_count, said_digest)
        found[index] = ManifestLine(name=AUDIT_FILE, size_bytes=count, digest=digest) if count and digest else None
    return found


def _kept_lines(
    old: list[ManifestLine | None], anchors: dict[int, ManifestLine | None], there: list[ManifestLine]
) -> list[ManifestLine | None]:
    """In the order of the old lines: anchors, those of archived segments as they stand, and None for each of a segment that is there."""
    first, digests = (there[0].first_sequence if there else 0), {line.digest for line in there}
    kept: list[ManifestLine | None] = []
    is_archive = True
    for index, line in enumerate(old):
        if index in anchors:
            kept += [anchor] if (anchor := anchors[index]) is not None else []
        else:
            is_archive = is_archive and line is not None and line.first_sequence < first and line.digest not in digests
            kept.append(line if is_archive else None)
    return kept


def _is_proven(old: list[ManifestLine | None], lines: list[ManifestLine]) -> bool:
    """A chain digest proves all before it. Where it is damaged itself, so do the digest of its line and the chain digest before."""
    readable = [line for line in old if line is not None]
    by_place = {(line.is_anchor, line.place): line for line in readable}
    by_digest = {line.digest: line for line in readable}
    met = set()
    is_proven, has_chain = False, True
    for line in lines:
        match = by_digest.get(line.digest) or by_place.get((line.is_anchor, line.place))
        had_chain, has_chain = has_chain, match is not None and match.chain == line.chain
        if match is not None:
            met.add(match)
            is_proven = has_chain or (had_chain and match.digest == line.digest)
    return is_proven and len(met) == len(readable)


def replace_manifest(directory: Path, lines: list[ManifestLine]) -> None:
    """Makes a manifest of these lines, on disk when this returns, in the place of the one that is there."""
    manifest = directory / MANIFEST_FILE
    new = manifest.with_name(f"{MANIFEST_FILE}-new.tmp")
    with new.open("wb") as file:
        file.write("".join(str(line) for line in lines).encode())
        file.flush()
        os.fsync(file.fileno())
    new.replace(manifest)
    sync_directory(directory)


def check_manifest(directory: Path) -> int:
    """Holds the segments that the manifest names against their lines, and returns how many these are. The oldest may have been archived.

    Raises ManifestError where one is missing or not what it was, or has no line though a later one has, or OSError.
    """
    lines = lines_of_segments(directory)
    for line in lines:
        check_segment(directory / line.name, line)
    return len(lines)


def lines_of_segments(directory: Path) -> list[ManifestLine]:
    """The lines of the segments that should be there: all but those that were archived. Raises ManifestError where a segment has none."""
    lines, _ = read_manifest(directory)
    names = {line.name for line in lines}
    last = lines[-1].first_sequence if lines else 0
    for path in segments(directory):
        if segment_first_sequence(path.name) < last and path.name not in names and (seal := read_seal(path)) and seal.record_count > 0:
            raise ManifestError(
                "manifest", where=str(directory), found=f"no line of {path.name}", allowed="one for each segment before its last"
            )
    archived = next((index for index, line in enumerate(lines) if (directory / line.name).exists()), len(lines))
    return lines[archived:]


def check_segment(path: Path, line: ManifestLine) -> None:
    """Raises ManifestError where the segment at `path` is not what its line says, or OSError."""
    if not path.exists():
        raise ManifestError("segment", where=str(path), found="no such file", allowed="every segment that the manifest names")
    if path.stat().st_size < line.size_bytes or not is_of_line(path, line):
        raise ManifestError("segment", where=str(path), found="other bytes", allowed="those whose digest is in the manifest")


def is_of_line(path: Path, line: ManifestLine) -> bool:
    """Whether the file begins with the bytes that the line has the digest of, or is all of them."""
    return digest_of(path, line.size_bytes, line.algorithm) == line.digest
