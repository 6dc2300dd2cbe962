#!/usr/bin/env python3
"""Prove that the segments of a journal are those that were sealed: tools/verify_manifest.py DIR [--manifest FILE] [--chain HEX] [--part]

Needs Python and nothing else. Each line of the manifest (DIR/manifest) has the name of a segment, its bytes up to the end of its seal,
their SHA-256 after "sha256:", and the SHA-256 of the chain digest before (32 zero bytes before the first) followed by this digest. In
lines without "sha256:", which are older, both digests are BLAKE2b-256. A line may also be an anchor of the audit file (DIR/audit.log): how
many lines that had, the chain digest of the last of them after "sha256:", and the chain digest, as in any other line. See docs/JOURNAL.md.

--chain HEX  the last chain digest, kept in another place: proves that the manifest itself was not written anew
--part       DIR has a part of the journal: the oldest segments were archived, or DIR is the archive, where the audit file may be missing

Prints one verdict. Ends with 0 where all is proven; 1 where something cannot be: no manifest, a last line that is torn, sealed segments
after the last line; 3 where something is not what it was: a segment or a line that is missing, changed, swapped or there twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path

LINE = re.compile(rb"(journal-[0-9]{20}\.ome|audit\.log) ([1-9][0-9]{0,15}) (sha256:)?([0-9a-f]{64}) ([0-9a-f]{64})\n")
SEGMENT = f"journal-{'[0-9]' * 20}.ome"
AUDIT = "audit.log"
SEAL_SIZE = 42
OK, UNPROVEN, BROKEN = 0, 1, 3


def hasher(label: bytes | None) -> hashlib._Hash | hashlib.blake2b:
    """That of a line's digests."""
    return hashlib.sha256() if label == b"sha256:" else hashlib.blake2b(digest_size=32)


def digest_of(path: Path, size: int, digest: hashlib._Hash | hashlib.blake2b) -> bytes:
    """The digest of the first `size` bytes of a file."""
    with path.open("rb") as file:
        while size > 0 and (data := file.read(min(size, 1 << 20))):
            digest.update(data)
            size -= len(data)
    return digest.digest()


def is_sealed(path: Path) -> bool:
    """Whether a segment of version 2 or later that has records ends with a seal: kind 0, 24 bytes, count and last sequence that agree."""
    data = path.read_bytes()
    used = len(data.rstrip(b"\0"))
    for end in range(used, min(used + 4, len(data)) + 1):
        seal = data[max(0, end - SEAL_SIZE) : end].ljust(SEAL_SIZE, b"\0")
        sequence, count, last = (int.from_bytes(seal[at : at + 8], "little") for at in (0, 14, 22))
        is_seal = seal[8] == 0 and seal[9] in (0, 0x80) and seal[10:14] == b"\x18\0\0\0" and last == sequence - 1
        if data[:8] == b"\nOMEJRNL" and data[8] >= 2 and is_seal and 0 < count == sequence - int(path.name[8:28]):
            return True
    return False


def audit_digests(path: Path) -> tuple[dict[int, str], str]:
    """The chain digest of each line of an audit file by its number, up to the first that is wrong, and what is wrong."""
    digests = dict[int, str]()
    number, chain = 0, bytes(32)
    for data in path.read_bytes().splitlines(keepends=True):
        try:
            line = json.loads(data)
            claimed, fields = line.pop("chain"), line["fields"]
            if not digests and line["sequence"] != 1 and line["kind"] == "repair":  # a repair began the file anew
                number, chain = line["sequence"] - 1, bytes.fromhex(fields["digest"])
            text = json.dumps(line, sort_keys=True, separators=(",", ":"))
            is_written_so = json.dumps(line | {"chain": claimed}, sort_keys=True, separators=(",", ":")).encode() + b"\n" == data
            chain = hashlib.sha256(chain + text.encode()).digest()
            is_next = is_written_so and line["sequence"] == number + 1 and chain.hex() == claimed
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            is_next = False
        if not is_next:
            return digests, f"line {number + 1} of {path} is not what was written"
        number += 1
        digests[number] = chain.hex()
    return digests, f"{path} ends with line {number}"


def audit_fault(directory: Path, anchors: dict[int, str], part: bool) -> str:
    """What is wrong with the audit file, empty where it agrees with the anchors."""
    if not anchors or (part and not (directory / AUDIT).exists()):
        return ""
    if not (directory / AUDIT).exists():
        return f"{AUDIT} is missing (--part, where it is kept elsewhere)"
    digests, fault = audit_digests(directory / AUDIT)
    if not digests:
        return fault
    for count, digest in anchors.items():
        if count > max(digests):
            return f"{fault}, and the manifest names line {count}"
        if count in digests and digests[count] != digest:
            return f"line {count} of {directory / AUDIT} is not the one of the manifest"
    return ""


def verdict(directory: Path, manifest: Path, known_chain: str, part: bool) -> tuple[int, str]:
    """The exit code and what to say."""
    if not directory.is_dir() or not manifest.is_file():
        return UNPROVEN, f"{manifest if directory.is_dir() else directory} is not there"
    texts = [text for text in re.split(rb"(?<=\n)", manifest.read_bytes()) if text]
    present = {path.name for path in directory.glob(SEGMENT)}
    chain, names, anchors = bytes(32), list[str](), dict[int, str]()
    missing_after = ""  # the first segment that is missing after one that is there
    count, is_torn = 0, False
    for number, text in enumerate(texts, 1):
        match = LINE.fullmatch(text)
        if match is None and number == len(texts):
            is_torn = True
            break
        if match is None:
            return BROKEN, f"line {number} of {manifest} is not one of a manifest"
        name, size, digest = match[1].decode(), int(match[2]), bytes.fromhex(match[4].decode())
        link = hasher(match[3])
        link.update(chain + digest)
        chain = link.digest()
        if chain.hex() != match[5].decode():
            return (
                BROKEN,
                f"line {number} of {manifest}: a line is missing, changed, swapped or there twice",
            )
        if name == AUDIT:
            if anchors and size <= max(anchors):
                return BROKEN, f"line {number} of {manifest}: the audit file had no fewer lines before"
            anchors[size] = digest.hex()
            continue
        if names and name <= names[-1]:
            return BROKEN, f"line {number} of {manifest}: {name} is not later than the segment of the line before"
        names.append(name)
        if name not in present:
            if not part:
                return BROKEN, f"{name} is missing (archived segments: --part)"
            missing_after = missing_after or (name if count else "")
        elif missing_after:
            return BROKEN, f"{missing_after} is missing, and later segments are there"
        elif (directory / name).stat().st_size < size or digest_of(directory / name, size, hasher(match[3])) != digest:
            return BROKEN, f"{name} is not what it was when it was sealed"
        else:
            count += 1
    if known_chain and chain.hex() != known_chain.lower():
        return BROKEN, f"the last chain digest is {chain.hex()}, not the one given"
    if fault := audit_fault(directory, anchors, part):
        return BROKEN, fault
    foreign = sorted(present - set(names))
    strange = [name for name in foreign if names and name < names[-1] and name > names[0]]
    if strange:
        return BROKEN, f"{strange[0]} does not belong between the segments of the manifest"
    unproven = [name for name in foreign if is_sealed(directory / name)]
    if is_torn or unproven:
        what = f"{unproven[0]} is sealed and has no line" if unproven else "its last line is torn"
        return UNPROVEN, f"{manifest} ends too early: {what} (ome-admin manifest)"
    audited = f"{max(anchors)} audit lines, " if anchors else ""
    return OK, f"{count} segments, {len(names)} lines, {audited}chain digest {chain.hex()}"


def main() -> int:
    """Prints the verdict and returns the exit code."""
    parser = argparse.ArgumentParser(description="Prove that the segments of a journal are those that were sealed.")
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="instead of DIR/manifest")
    parser.add_argument("--chain", default="", metavar="HEX", help="the last chain digest, kept in another place")
    parser.add_argument("--part", action="store_true", help="DIR has a part of the journal")
    given = parser.parse_args()
    code, text = verdict(given.directory, given.manifest or given.directory / "manifest", given.chain, given.part)
    print(f"{ {OK: 'proven', UNPROVEN: 'unproven', BROKEN: 'BROKEN'}[code] }: {text}")
    return code


if __name__ == "__main__":
    sys.exit(main())
