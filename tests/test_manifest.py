"""The manifest of a journal's segments, the script that proves it without ome, and the archive of old segments."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from flows import flow
from test_recovery import header, seal, write_journal
from venues import contents, read_json, venue_config

import ome.recovery.follower as follower_module
from ome.cli.admin import main
from ome.codec import Records
from ome.messages import Limits
from ome.recovery.archive import ArchiveError, archive_segments
from ome.recovery.directory import segments
from ome.recovery.follower import Follower
from ome.recovery.manifest import (
    MANIFEST_FILE,
    Algorithm,
    ManifestError,
    ManifestLine,
    append_manifest,
    check_manifest,
    digest_of,
    read_manifest,
    read_seal,
    remake_lines,
)
from ome.recovery.snapshots import make_snapshot
from ome.server import Server

LIMITS: Final = Limits(order_count_max=500, level_count_max=200, instrument_count_max=10, session_count_max=10, special_count_max=200)
SCRIPT: Final = Path(__file__).resolve().parent.parent / "tools" / "verify_manifest.py"
SEAL_SIZE: Final = 42


@pytest.fixture(scope="module")
def commands() -> Records:
    """500 commands that begin with their limits."""
    return flow(7, 500, limits=LIMITS)


@pytest.fixture
def journal(tmp_path: Path, commands: Records) -> Path:
    """A journal of five sealed segments of a hundred commands, with its manifest, and a snapshot of its end."""
    directory = tmp_path / "journal"
    write_journal(directory, commands, segments=5)
    append_manifest(directory)
    make_snapshot(directory, 0)
    return directory


def test_segments_that_a_snapshot_needs_stay(journal: Path, tmp_path: Path) -> None:
    """A start from the oldest snapshot finds the segment that holds its last command; without any snapshot nothing may go."""
    newest = journal / f"snapshot-{500:020d}.ome"
    newest.rename(journal / f"snapshot-{250:020d}.ome")
    assert archive_segments(journal, before=500, target=None, dry_run=True).first_sequence == 201
    (journal / f"snapshot-{250:020d}.ome").unlink()
    with pytest.raises(ArchiveError, match="one at least, which a start begins with"):
        archive_segments(journal, before=500, target=tmp_path / "archive")


def admin(*arguments: object, code: int = 0) -> Result:
    """Runs the command, which must end with this code."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def proven(*arguments: object, code: int = 0) -> str:
    """What the script says, in an interpreter that does not see ome; it must end with this code and print one line."""
    command = [sys.executable, "-I", "-S", str(SCRIPT), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert (result.returncode, result.stderr) == (code, ""), result
    assert result.stdout.count("\n") == 1
    return result.stdout


def segment_end(data: bytes) -> int:
    """Where the hundred commands of a segment and its seal end."""
    assert data[4096 + 100 * 74 + SEAL_SIZE :].strip(b"\0") == b""
    return 4096 + 100 * 74 + SEAL_SIZE


# What it holds


def test_the_manifest_is_what_the_page_says(journal: Path) -> None:
    """Name, bytes to the end of the seal, SHA-256 of these, SHA-256 of the chain before and this: from the bytes alone."""
    chain = bytes(32)
    expected = ""
    for path in sorted(journal.glob("journal-*.ome")):
        data = path.read_bytes()
        digest = hashlib.sha256(data[: segment_end(data)]).digest()
        chain = hashlib.sha256(chain + digest).digest()
        expected += f"{path.name} {segment_end(data)} sha256:{digest.hex()} {chain.hex()}\n"
    assert (journal / MANIFEST_FILE).read_text() == expected
    assert proven(journal) == f"proven: 5 segments, 5 lines, chain digest {chain.hex()}\n"
    assert append_manifest(journal) == []
    assert (journal / MANIFEST_FILE).read_text() == expected


def write_earlier_lines(directory: Path, count: int) -> None:
    """The manifest as earlier versions wrote it, of the first `count` segments: BLAKE2b, which its lines do not name."""
    chain, text = bytes(32), ""
    for path in segments(directory)[:count]:
        data = path.read_bytes()
        digest = hashlib.blake2b(data[: segment_end(data)], digest_size=32).digest()
        chain = hashlib.blake2b(chain + digest, digest_size=32).digest()
        text += f"{path.name} {segment_end(data)} {digest.hex()} {chain.hex()}\n"
    (directory / MANIFEST_FILE).write_text(text)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_lines_of_earlier_versions_stay_and_are_checked_as_what_they_are(journal: Path, count: int) -> None:
    """New lines follow them with digests of their own kind, and the chain goes on. A change is found in either part."""
    write_earlier_lines(journal, count)
    earlier = (journal / MANIFEST_FILE).read_text()
    proven(journal, code=0 if count == 5 else 1)
    assert len(append_manifest(journal)) == 5 - count
    text = (journal / MANIFEST_FILE).read_text()
    assert text.startswith(earlier)
    assert [" sha256:" in line for line in text.splitlines()] == [index >= count for index in range(5)]
    assert check_manifest(journal) == 5
    assert proven(journal).startswith("proven: 5 segments, 5 lines")
    for index in range(5):
        path = segments(journal)[index]
        whole = path.read_bytes()
        damage(journal, f"changed {index}")
        proven(journal, code=3)
        with pytest.raises(ManifestError, match="other bytes"):
            check_manifest(journal)
        path.write_bytes(whole)


def test_a_line_proves_nothing_with_the_other_algorithm(journal: Path) -> None:
    """Its label is no decoration: another algorithm gives another digest."""
    text = (journal / MANIFEST_FILE).read_text()
    (journal / MANIFEST_FILE).write_text(text.replace("sha256:", "", 1))
    assert "line 1 of" in proven(journal, code=3)
    with pytest.raises(ManifestError, match="line 1"):
        read_manifest(journal)


def test_only_segments_that_are_sealed_and_have_records_are_named(tmp_path: Path, commands: Records) -> None:
    """The one that is being written, and one that the next start replaces, come later or never."""
    write_journal(tmp_path, commands, segments=5, sealed=False)
    assert len(append_manifest(tmp_path)) == 4
    assert proven(tmp_path).startswith("proven: 4 segments")
    write_journal(tmp_path, commands, segments=5)
    assert [line.name for line in append_manifest(tmp_path)] == ["journal-00000000000000000401.ome"]
    empty = tmp_path / "journal-00000000000000000501.ome"
    empty.write_bytes((header(501, epoch=2) + seal(501, 501, 0, 2)).ljust(65_536, b"\0"))
    assert read_seal(empty) is not None
    assert append_manifest(tmp_path) == []
    assert proven(tmp_path).startswith("proven: 5 segments")


def test_segments_of_version_1_are_not_named(tmp_path: Path, commands: Records) -> None:
    """They have no seal that says how many records they hold."""
    write_journal(tmp_path, commands, segments=5, version=1)
    assert append_manifest(tmp_path) == []
    assert not (tmp_path / MANIFEST_FILE).exists()
    assert check_manifest(tmp_path) == 0
    assert read_json(admin("manifest", tmp_path, "--json").stdout) == {"added": [], "segments": 0, "chain": None}


def test_a_seal_is_found_whatever_its_checksum_ends_with(tmp_path: Path) -> None:
    """The end of a seal may be zeros, as what follows it is."""
    name = tmp_path / "journal-00000000000000000001.ome"
    endings = set()
    for count in range(1, 3_000):
        data = seal(1, count + 1, count * 7, 1)
        ending = len(data) - len(data.rstrip(b"\0"))
        if ending in endings:
            continue
        endings.add(ending)
        for room in (0, 1, 2, 3, 5, 3_000_000):
            name.write_bytes(header(1) + b"\1" * 100 + data + bytes(room))
            found = read_seal(name)
            assert found is not None
            assert (found.record_count, found.last_sequence, found.end) == (count, count, 4096 + 100 + SEAL_SIZE)
    assert {0, 1} <= endings


def test_a_seal_that_is_not_whole_or_not_of_the_segment_is_none(tmp_path: Path) -> None:
    """Every changed bit of it, another name, no seal, no segment."""
    path = tmp_path / "journal-00000000000000000001.ome"
    right = header(1) + seal(1, 9, 5, 3)
    path.write_bytes(right)
    assert read_seal(path) is not None
    for bit in range(8 * SEAL_SIZE):
        wrong = bytearray(right)
        wrong[4096 + bit // 8] ^= 1 << bit % 8
        path.write_bytes(wrong)
        assert read_seal(path) is None, bit
    for data in (b"", b"\nOMEJRNL", bytes(70_000), header(1), right[: 4096 + SEAL_SIZE - 1], header(1) + bytes(70_000)):
        path.write_bytes(data)
        assert read_seal(path) is None
    other = tmp_path / "journal-00000000000000000002.ome"
    other.write_bytes(right)
    assert read_seal(other) is None


@pytest.mark.parametrize("size", [0, 1, 4_096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_000_000])
@pytest.mark.parametrize("beyond", [0, 5])
def test_a_digest_that_waits_for_an_idle_core_is_the_same(tmp_path: Path, size: int, beyond: int) -> None:
    """Of any size, also of a file that is shorter, and where it stops waiting between two pieces."""
    path = tmp_path / "file"
    data = bytes(index % 251 for index in range(size))
    path.write_bytes(data)
    turns = itertools.cycle([True, False])
    for can_wait in (lambda: False, lambda: True, lambda: next(turns)):
        assert digest_of(path, size + beyond, can_wait=can_wait) == hashlib.sha256(data).digest()
        assert digest_of(path, size + beyond, Algorithm.BLAKE2B, can_wait) == hashlib.blake2b(data, digest_size=32).digest()


def test_a_segment_that_cannot_be_read_is_an_error_of_the_system(tmp_path: Path) -> None:
    """Whether it is read at once or waits."""
    for can_wait in (lambda: False, lambda: True):
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            digest_of(Path("/proc/self/mem"), 100, can_wait=can_wait)  # nothing is mapped at 0


def test_a_manifest_waits_for_an_idle_core_but_not_for_ever(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute at most; and not at all once somebody stops the thread."""
    follower = Follower(journal, lambda: 0, lambda count: True, every=0, first=0)
    asked: list[bool] = []

    def append(directory: Path, *, live: bool, count_max: int | None, can_wait: Callable[[], bool]) -> list[ManifestLine]:
        asked.append(can_wait())
        monkeypatch.setattr(follower_module, "_BEHIND_MAX_S", 0.0 if len(asked) == 1 else 60.0)
        if len(asked) == 3:
            follower.stop()
            asked.append(can_wait())
        return append_manifest(directory, live=live, count_max=count_max, can_wait=can_wait)

    (journal / MANIFEST_FILE).unlink()
    monkeypatch.setattr(follower_module, "append_manifest", append)
    for _ in range(5):
        follower._look_for_sealed_segments()
    assert asked[:4] == [True, False, True, False]
    assert len((journal / MANIFEST_FILE).read_text().splitlines()) == 4
    follower.close()


# What it finds


def damage(directory: Path, case: str) -> None:
    """Spoils a journal of five segments and its manifest."""
    paths, manifest = segments(directory), directory / MANIFEST_FILE
    lines = manifest.read_text().splitlines(keepends=True)
    kind, _, number = case.partition(" ")
    index = int(number)
    other = (index + 1) % 5
    if kind == "removed":
        paths[index].unlink()
    elif kind in ("changed", "seal", "header"):
        data = bytearray(paths[index].read_bytes())
        data[{"changed": 4096 + 500, "seal": segment_end(bytes(data)) - 10, "header": 50}[kind]] ^= 1
        paths[index].write_bytes(data)
    elif kind == "short":
        os.truncate(paths[index], segment_end(paths[index].read_bytes()) - 1)
    elif kind == "swapped":
        first, second = paths[index].read_bytes(), paths[other].read_bytes()
        paths[index].write_bytes(second)
        paths[other].write_bytes(first)
    elif kind == "repeated":
        shutil.copyfile(paths[other], paths[index])
    elif kind == "line-removed":
        del lines[index]
    elif kind == "line-repeated":
        lines.insert(index, lines[index])
    elif kind == "line-swapped":
        lines[index], lines[other] = lines[other], lines[index]
    elif kind == "line-changed":
        lines[index] = lines[index].replace(" ", " 1", 1)
    elif kind == "digest-changed":
        fields = lines[index].split(" ")
        fields[2] = fields[2][:-1] + ("0" if fields[2][-1] != "0" else "1")
        lines[index] = " ".join(fields)
    elif kind == "line-spoiled":
        lines[index] = lines[index][:60] + "\n"
    elif kind == "foreign":
        shutil.copyfile(paths[index], directory / f"journal-{100 * index + 50:020d}.ome")
    manifest.write_text("".join(lines))


KINDS: Final = ("removed", "changed", "seal", "header", "short", "swapped", "repeated", "line-repeated", "line-swapped", "line-changed")


@pytest.mark.parametrize("index", [0, 2, 4])
@pytest.mark.parametrize("kind", [*KINDS, "digest-changed"])
def test_every_change_of_a_segment_or_a_line_is_found(journal: Path, kind: str, index: int) -> None:
    """Removed, changed, cut, swapped or repeated: the script says so, with 3."""
    damage(journal, f"{kind} {index}")
    assert proven(journal, code=3).startswith("BROKEN: ")
    if (kind, index) == ("removed", 0):
        assert proven(journal, "--part").startswith("proven: 4 segments, 5 lines")
    elif (kind, index) != ("removed", 4):
        assert proven(journal, "--part", code=3).startswith("BROKEN: ")


def test_a_line_with_more_bytes_than_the_segment_has_is_found(journal: Path) -> None:
    """Though the digest is that of all there is."""
    path = segments(journal)[2]
    os.truncate(path, segment_end(path.read_bytes()))
    proven(journal)
    damage(journal, "line-changed 2")
    assert proven(journal, code=3).startswith("BROKEN: ")
    with pytest.raises(ManifestError):
        check_manifest(journal)


@pytest.mark.parametrize("index", [0, 2, 3])
def test_a_removed_or_spoiled_line_is_found(journal: Path, index: int) -> None:
    """Also when it is of no manifest at all; a foreign segment between those that are named too."""
    damage(journal, f"foreign {index}")
    assert "does not belong" in proven(journal, code=3)
    for path in journal.glob("journal-*50.ome"):
        path.unlink()
    damage(journal, f"line-spoiled {index}")
    assert f"line {index + 1} of" in proven(journal, code=3)
    with pytest.raises(ManifestError, match=f"line {index + 1}"):
        read_manifest(journal)
    (journal / MANIFEST_FILE).unlink()
    append_manifest(journal)
    damage(journal, f"line-removed {index}")
    assert f"line {index + 1} of" in proven(journal, code=3)


@pytest.mark.slow
def test_a_manifest_that_ends_too_early_proves_not_everything(journal: Path) -> None:
    """Cut at every byte: 1 and no proof. Nothing but a whole manifest is taken for one."""
    whole = (journal / MANIFEST_FILE).read_bytes()
    for length in (0, 1, 50, *range(len(whole) - 200, len(whole))):
        (journal / MANIFEST_FILE).write_bytes(whole[:length])
        assert "ends too early" in proven(journal, code=1)
    (journal / MANIFEST_FILE).unlink()
    assert "manifest is not there" in proven(journal, code=1)
    assert "is not there" in proven(journal / "missing", code=1)


def test_a_manifest_written_anew_is_found_by_the_chain_digest_kept_elsewhere(journal: Path, commands: Records) -> None:
    """Whoever can write the directory can write a manifest; not the digest that somebody else has."""
    chain = read_manifest(journal)[0][-1].chain.hex()
    assert proven(journal, "--chain", chain).startswith("proven: ")
    shutil.rmtree(journal)
    write_journal(journal, commands[:400], segments=4)
    append_manifest(journal)
    proven(journal)
    assert "not the one given" in proven(journal, "--chain", chain, code=3)


@pytest.mark.parametrize("kind", [*KINDS, "digest-changed"])
def test_verify_has_a_check_of_the_manifest(journal: Path, kind: str) -> None:
    """It holds where the manifest does, and where there is none; where it does not: exit 3 and what."""

    def check(code: int = 0) -> dict[str, Any]:
        found = read_json(admin("verify", journal, "--json", code=code).stdout)["checks"]
        return next(entry for entry in found if entry["name"] == "manifest")

    assert check() == {"name": "manifest", "is_ok": True, "count": 5, "unit": "segments", "detail": "", "sequence": 0, "finding": None}
    damage(journal, f"{kind} 2")
    assert not check(code=3)["is_ok"]
    with pytest.raises(ManifestError):
        check_manifest(journal)
    if kind in ("line-repeated", "line-swapped", "digest-changed"):
        assert "error: manifest in" in admin("manifest", journal, code=3).stderr


# Bringing it up to date


def test_a_torn_last_line_is_cut_and_made_again(journal: Path) -> None:
    """Whatever a crash left of it: any part, zeros, other bytes. The result is the same manifest, and no line is there twice."""
    path = journal / MANIFEST_FILE
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for tail in [whole[start:end] for end in range(start, len(whole))] + [bytes(100), b"\x85\xff\r\x0b", bytes(50) + whole[start + 50 :]]:
        path.write_bytes(whole[:start] + tail)
        assert len(append_manifest(journal)) == 1
        assert path.read_bytes() == whole
    path.write_bytes(whole + b"journal-0")
    assert append_manifest(journal) == []
    assert path.read_bytes() == whole


def test_an_interrupted_append_is_completed_by_the_next(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at any sync: what is there is a beginning, and the next call makes the rest. Every line is synced before the next."""
    whole = (journal / MANIFEST_FILE).read_bytes()
    honest = os.fsync
    for stop in itertools.count(1):
        (journal / MANIFEST_FILE).unlink(missing_ok=True)
        calls = itertools.count(1)

        def dies(descriptor: int, calls: itertools.count[int] = calls, stop: int = stop) -> None:
            if next(calls) == stop:
                raise OSError(errno.EIO, "killed")
            honest(descriptor)

        monkeypatch.setattr(os, "fsync", dies)
        try:
            append_manifest(journal)
            break
        except OSError:
            left = (journal / MANIFEST_FILE).read_bytes()
            assert whole.startswith(left)
            assert left.count(b"\n") == max(0, stop - 2)
        finally:
            monkeypatch.setattr(os, "fsync", honest)
        append_manifest(journal)
        assert (journal / MANIFEST_FILE).read_bytes() == whole
    assert stop == 8  # the file, the directory, five lines, and none left


def test_a_hole_between_segments_is_not_papered_over(journal: Path) -> None:
    """A line is only made for a segment that goes on where the one before ended."""
    lines = (journal / MANIFEST_FILE).read_text().splitlines(keepends=True)
    (journal / MANIFEST_FILE).write_text("".join(lines[:2]))
    segments(journal)[2].unlink()
    with pytest.raises(ManifestError, match="allowed: one that begins with sequence 201"):
        append_manifest(journal)
    assert "begins with sequence 201" in admin("manifest", journal, code=3).stderr
    assert (journal / MANIFEST_FILE).read_text() == "".join(lines[:2])


def test_the_command_brings_it_up_to_date_where_no_server_runs(tmp_path: Path) -> None:
    """Of a real venue, over several starts; a directory that a server runs on is refused, and the server leaves it up to date itself."""
    config = venue_config(tmp_path)
    for count in range(1, 4):
        server = Server(config)
        server.start()
        assert "one process at a time" in admin("manifest", tmp_path, code=1).stderr
        assert "one process at a time" in admin("archive", tmp_path, "--before", 5, "--remove", code=1).stderr
        server.close()
        written = (tmp_path / MANIFEST_FILE).read_bytes()
        if count == 2:
            (tmp_path / MANIFEST_FILE).unlink()
        added = read_json(admin("manifest", tmp_path, "--json").stdout)
        assert (len(added["added"]), added["segments"]) == (int(count == 2), 1)
        if count == 2:  # the new anchor is of an audit file that has grown
            assert (tmp_path / MANIFEST_FILE).read_bytes().splitlines()[1].split()[:3] == written.splitlines()[1].split()[:3]
        else:
            assert (tmp_path / MANIFEST_FILE).read_bytes() == written
        assert added["chain"] in proven(tmp_path)
        assert "1 segments in the manifest" in admin("manifest", tmp_path).stdout
        assert read_json(admin("verify", tmp_path, "--json").stdout)["ok"]


# Archive


@pytest.mark.parametrize(("before", "count"), [(1, 0), (100, 0), (101, 1), (200, 1), (201, 2), (400, 3), (401, 4), (501, 4), (10**12, 4)])
def test_segments_whose_records_are_all_older_are_moved(journal: Path, tmp_path: Path, before: int, count: int) -> None:
    """Whole ones, from the oldest on, never the last. What was moved, and what is left, is proven by the manifest."""
    paths, kept, target = segments(journal), contents(journal), tmp_path / "deep" / "archive"
    told = read_json(admin("archive", journal, "--before", before, "--to", target, "--dry-run", "--json").stdout)
    assert told["names"] == [path.name for path in paths[:count]]
    assert contents(journal) == kept
    assert not target.exists()
    done = read_json(admin("archive", journal, "--before", before, "--to", target, "--json").stdout)
    assert (done["names"], done["first_sequence"]) == (told["names"], 100 * count + 1)
    assert [path.name for path in segments(journal)] == [path.name for path in paths[count:]]
    for path in paths[:count]:
        assert (target / path.name).read_bytes() == kept[path.name]
    assert proven(journal, "--part").startswith(f"proven: {5 - count} segments, 5 lines")
    if count:
        assert proven(target, "--manifest", journal / MANIFEST_FILE, "--part").startswith(f"proven: {count} segments, 5 lines")
        assert "begins after command 500" in admin("replay", journal).stdout
    assert check_manifest(journal) == 5 - count
    assert append_manifest(journal) == []
    for path in paths[:count]:
        shutil.move(target / path.name, journal)
    assert read_json(admin("verify", journal, "--json").stdout)["ok"]


def test_segments_are_removed_for_good_only_when_asked(journal: Path, tmp_path: Path) -> None:
    """Either --to or --remove, and one of them."""
    assert "either --to or --remove" in admin("archive", journal, "--before", 300, code=2).stderr
    assert "either --to or --remove" in admin("archive", journal, "--before", 300, "--to", tmp_path, "--remove", code=2).stderr
    assert "would remove: journal-00000000000000000001.ome" in admin("archive", journal, "--before", 201, "--remove", "--dry-run").stdout
    assert len(segments(journal)) == 5
    assert "the journal begins with sequence 201" in admin("archive", journal, "--before", 201, "--remove").stdout
    assert len(segments(journal)) == 3


@pytest.mark.parametrize(
    ("case", "code", "said"),
    [
        ("no manifest", 1, "found 'no line in the manifest'"),
        ("line missing", 1, "found 'no line in the manifest'"),
        ("no seal", 1, "found 'no seal of format version 2'"),
        ("changed", 3, "found 'other bytes'"),
        ("target is a file", 1, "allowed: another directory, or none yet"),
        ("target is the journal", 1, "allowed: another directory, or none yet"),
        ("target has another", 1, "found 'another file of that name'"),
        ("no journal", 1, "found 'no segment'"),
    ],
)
def test_what_would_lose_something_is_refused(journal: Path, tmp_path: Path, case: str, code: int, said: str) -> None:
    """Before anything is moved: what is not proven, and a place that is taken."""
    target, second, manifest = tmp_path / "archive", segments(journal)[1], journal / MANIFEST_FILE
    if case == "no manifest":
        manifest.unlink()
    elif case == "line missing":
        manifest.write_text(manifest.read_text().splitlines(keepends=True)[0])
    elif case == "no seal":
        second.write_bytes(second.read_bytes()[: 4096 + 7400].ljust(65_536, b"\0"))
    elif case == "changed":
        damage(journal, "changed 1")
    elif case == "target is a file":
        target.write_text("")
    elif case == "target is the journal":
        target = journal / ".." / journal.name
    elif case == "target has another":
        target.mkdir()
        (target / second.name).write_bytes(b"something else")
    else:
        journal = tmp_path / "empty"
        journal.mkdir()
    kept = contents(journal)
    for extra in (("--dry-run",), ()):
        assert said in admin("archive", journal, "--before", 401, "--to", target, *extra, code=code).stderr
        assert contents(journal) == kept


@pytest.mark.parametrize("is_far", [False, True])
def test_an_interrupted_archive_is_completed_by_the_next(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_far: bool
) -> None:
    """Killed at any sync, on one file system or over two: each segment is whole in one place at least, and no hole is left behind."""
    whole, kept = tmp_path / "whole", contents(journal)
    shutil.copytree(journal, whole)
    honest_sync, honest_rename = os.fsync, Path.rename
    if is_far:

        def rename(path: Path, to: Path) -> Path:
            if path.parent != to.parent:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            return honest_rename(path, to)

        monkeypatch.setattr(Path, "rename", rename)
    for stop in itertools.count(1):
        shutil.rmtree(journal)
        shutil.copytree(whole, journal)
        target = tmp_path / f"archive-{stop}"
        calls = itertools.count(1)

        def dies(descriptor: int, calls: itertools.count[int] = calls, stop: int = stop) -> None:
            if next(calls) == stop:
                raise OSError(errno.EIO, "killed")
            honest_sync(descriptor)

        monkeypatch.setattr(os, "fsync", dies)
        try:
            archive_segments(journal, before=301, target=target)
            is_done = True
        except OSError:
            is_done = False
        finally:
            monkeypatch.setattr(os, "fsync", honest_sync)
        left = [path.name for path in segments(journal)]
        assert left == sorted(kept)[5 - len(left) :]
        for name, data in kept.items():
            assert data in ((place / name).read_bytes() for place in (journal, target) if (place / name).exists())
        archive_segments(journal, before=301, target=target)
        assert {path.name: path.read_bytes() for path in segments(target)} == {name: kept[name] for name in sorted(kept)[:3]}
        assert not list(target.glob("*.tmp"))
        assert len(segments(journal)) == 2
        if is_done:
            break
    assert stop == (10 if is_far else 7)  # for each of three: the copy, its directory, the journal's directory


def test_a_copy_is_held_against_the_manifest_before_the_original_goes(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that copies wrongly loses nothing."""

    def rename(path: Path, to: Path) -> Path:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    def copyfile(source: Path, to: Path) -> None:
        data = bytearray(source.read_bytes())
        data[5_000] ^= 1
        to.write_bytes(data)

    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(shutil, "copyfile", copyfile)
    kept = contents(journal)
    with pytest.raises(ManifestError, match="other bytes"):
        archive_segments(journal, before=301, target=tmp_path / "archive")
    assert contents(journal) == kept
    assert not segments(tmp_path / "archive")


def test_another_error_of_the_system_is_not_taken_for_another_file_system(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised, and nothing is copied."""

    def rename(path: Path, to: Path) -> Path:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(PermissionError):
        archive_segments(journal, before=301, target=tmp_path / "archive")
    assert len(segments(journal)) == 5
    with pytest.raises(ArchiveError):
        archive_segments(tmp_path, before=301, target=None)


@pytest.mark.parametrize(("archived", "earlier"), [(0, 0), (2, 0), (0, 3), (2, 1), (2, 3), (0, 5)])
def test_a_manifest_with_any_byte_damaged_is_made_again_as_it_was(journal: Path, archived: int, earlier: int) -> None:
    """And is proven by what is left of it, but where the line of an archived segment cannot be read any more; a torn last line is none."""
    manifest = journal / MANIFEST_FILE
    if earlier:
        write_earlier_lines(journal, earlier)
        append_manifest(journal)
    good = manifest.read_bytes()
    lines, _ = read_manifest(journal)
    for line in lines[:archived]:
        (journal / line.name).unlink()
    archived_end, last_start = sum(len(str(line)) for line in lines[:archived]), len(good) - len(str(lines[-1]))
    unproven = 0
    for offset in range(len(good)):
        data = bytearray(good)
        data[offset] ^= 1
        manifest.write_bytes(data)
        try:
            check_manifest(journal)
        except ManifestError:
            made, is_proven = remake_lines(journal)
            unproven += not is_proven
            proves = [(line.digest, line.chain) for line in lines]
            assert is_proven == ([(line.digest, line.chain) for line in made] == proves), offset
            assert [line.name for line in made[-5 + archived :]] == [line.name for line in lines[archived:]]
            assert is_proven or offset < archived_end, offset
        else:
            assert offset < archived_end or offset >= last_start - 1, "an archived line, or a last one that is torn"
    assert (unproven > 0) == (archived > 0)


def test_a_changed_segment_is_not_taken_for_a_damaged_manifest(journal: Path) -> None:
    """Its new line would be another one, and nothing proves that: also where the manifest is damaged elsewhere."""
    path = segments(journal)[1]
    data = bytearray(path.read_bytes())
    data[48] ^= 1  # the configuration hash; no reader of records looks at it
    path.write_bytes(data)
    assert not remake_lines(journal)[1]
    manifest = journal / MANIFEST_FILE
    manifest.write_bytes(manifest.read_bytes().replace(b"journal-", b"journel-", 1))
    assert not remake_lines(journal)[1]


def test_ome_admin_prints_the_program_that_checks_a_manifest(tmp_path: Path) -> None:
    """A wheel has it too: what is printed is the program, and it runs alone."""
    result = CliRunner().invoke(main, ["manifest", "--verifier"])
    assert result.exit_code == 0
    program = tmp_path / "verify.py"
    program.write_text(result.output, "utf-8")
    done = subprocess.run([sys.executable, "-I", program, tmp_path / "nothing"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
