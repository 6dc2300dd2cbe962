"""The manifest of a journal: a digest of every sealed segment, each bound to all before it.

A text file in the journal's directory. One line a segment, in order, four fields with one space between them:

    journal-00000000000000000001.ome 67108812 sha256:<digest> <chain>

The name; how many bytes the segment has up to the end of its seal; the SHA-256 of these bytes; and the chain digest, which is the SHA-256
of the chain digest of the line before (32 bytes, zero before the first) followed by this digest (32 bytes). Digests are written in
hexadecimal. A line without `sha256:` was written by an earlier version: both its digests are BLAKE2b-256. Such lines come first.

Who keeps the last chain digest in another place can prove the whole history: `tools/verify_manifest.py` does, and needs nothing of ome.

What has a line: segments of format version 2 that are sealed and have records. A sealed segment without records is replaced by the next
start.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final

from ome._native import ffi, lib
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
    "read_manifest",
    "read_seal",
    "remake_lines",
    "replace_manifest",
]

MANIFEST_FILE: Final = "manifest"

_LINE: Final = re.compile(
    rb"(?P<name>journal-[0-9]{20}\.ome) (?P<size>[1-9][0-9]{0,15}) "
    rb"(?:(?P<algorithm>sha256):)?(?P<digest>[0-9a-f]{64}) (?P<chain>[0-9a-f]{64})\n"
)
_LINE_END: Final = re.compile(rb"(?<=\n)")
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
    """A line of the manifest. `algorithm` is that of both digests."""

    name: str
    size_bytes: int
    digest: bytes
    chain: bytes
    algorithm: Algorithm = Algorithm.SHA256

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


def _line(before: ManifestLine | None, name: str, size_bytes: int, digest: bytes, algorithm: Algorithm) -> ManifestLine:
    """The one that follows the line before."""
    chain = algorithm.hasher()
    chain.update((_NO_CHAIN if before is None else before.chain) + digest)
    return ManifestLine(name=name, size_bytes=size_bytes, digest=digest, chain=chain.digest(), algorithm=algorithm)


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
    """The lines, and how many bytes of the file they are. What follows is a last line that was torn by a crash, or nothing.

    Raises ManifestError where lines do not follow from each other.
    """
    path = directory / MANIFEST_FILE
    texts = [text for text in _LINE_END.split(path.read_bytes()) if text] if path.exists() else []
    lines: list[ManifestLine] = []
    offset = 0
    for number, text in enumerate(texts, 1):
        match = _LINE.fullmatch(text)
        if match is None and number == len(texts):
            break
        where = f"{path} line {number}"
        if match is None:
            raise ManifestError("manifest", where=where, found=text[:80], allowed="name, bytes, digest and chain digest")
        line, before = _line_of(match), lines[-1] if lines else None
        follows = line == _line(before, line.name, line.size_bytes, line.digest, line.algorithm)
        if not follows or line.first_sequence <= (before.first_sequence if before is not None else 0):
            raise ManifestError(
                "manifest", where=where, found=line.name, allowed="the segment and digests that follow those of the line before"
            )
        lines.append(line)
        offset += len(text)
    return lines, offset


def append_manifest(
    directory: Path, *, live: bool = False, count_max: int | None = None, can_wait: Callable[[], bool] = lambda: False
) -> list[ManifestLine]:
    """Adds a line for each sealed segment that has none, and returns these lines. Safe to repeat, and to be killed or lose power in.

    It adds no more than `count_max`, where that is given. With `live` a server is writing, and the last segment is left out: its seal may
    be seen before it is on disk. While `can_wait` says so, segments are read only where a core is idle.

    Each line is on disk before the next is written, so that only the last can be torn; that one is cut off and made again.

    Raises ManifestError where the manifest does not fit the segments, or OSError.
    """
    lines, offset = read_manifest(directory)
    added = _missing_lines(directory, lines, live=live, count_max=count_max, can_wait=can_wait)
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
    return added


def _missing_lines(
    directory: Path,
    lines: list[ManifestLine],
    *,
    live: bool = False,
    count_max: int | None = None,
    can_wait: Callable[[], bool] = lambda: False,
) -> list[ManifestLine]:
    """The lines that the manifest should have after those that it has."""
    before = lines[-1] if lines else None
    added: list[ManifestLine] = []
    for path, seal in islice(_unlisted(directory, before.first_sequence if before is not None else 0, live), count_max):
        before = _line(before, path.name, seal.end, digest_of(path, seal.end, can_wait=can_wait), Algorithm.SHA256)
        added.append(before)
    return added


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
    """The lines made again: those of archived segments as they stand, then one for each sealed segment that is there.

    The second value says whether the damaged manifest proves them: its last line that can be read, or the one before, has the chain
    digest that the new lines lead to. Where it does not, the lines begin with the segments that are there. Names and sizes of archived
    segments are in no digest, and taken as they stand.
    """
    texts = [text for text in _LINE_END.split((directory / MANIFEST_FILE).read_bytes()) if text]
    old = [None if (match := _LINE.fullmatch(text)) is None else _line_of(match) for text in texts]
    there = list(_unlisted(directory, 0, False))
    first = segment_first_sequence(there[0][0].name) if there else 0
    digest = cache(digest_of)
    readable = {line.digest for line in old if line is not None}
    known = [next((one for one in Algorithm if digest(path, seal.end, one) in readable), None) for path, seal in there]
    present = {digest(path, seal.end, one) for (path, seal), one in zip(there, known, strict=True) if one is not None}
    archived: list[ManifestLine] = []
    for line in old:
        if line is None or line.first_sequence >= first or line.digest in present:
            break
        archived.append(_line(archived[-1] if archived else None, line.name, line.size_bytes, line.digest, line.algorithm))
    # Where a line cannot be read, its algorithm is not known: BLAKE2b up to one of them, SHA-256 from there on.
    for earlier_count in (0, *(index + 1 for index, one in enumerate(known) if one is None)):
        lines = list(archived)
        for index, ((path, seal), one) in enumerate(zip(there, known, strict=True)):
            algorithm = one or (Algorithm.BLAKE2B if index < earlier_count else Algorithm.SHA256)
            lines.append(_line(lines[-1] if lines else None, path.name, seal.end, digest(path, seal.end, algorithm), algorithm))
        if _is_proven(old, lines):
            return lines, True
    return _missing_lines(directory, []), False


def _is_proven(old: list[ManifestLine | None], lines: list[ManifestLine]) -> bool:
    """A chain digest proves all before it. Where it is damaged itself, so do the digest of its line and the chain digest before."""
    readable = [line for line in old if line is not None]
    by_name = {line.name: line for line in readable}
    by_digest = {line.digest: line for line in readable}
    met = set()
    is_proven, has_chain = False, True
    for line in lines:
        match = by_digest.get(line.digest) or by_name.get(line.name)
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
