"""The audit file: its chain, its anchors in the manifest, what floods, crashes and failing disks leave, and what shows it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from flows import flow
from test_manifest import write_earlier_lines
from test_recovery import write_journal
from venues import Wire, read_json, venue_config

from ome.audit import AUDIT_FILE, AuditFile, AuditIntegrityError, AuditLine, AuditReader, NoAudit, file as file_module, find_end, note_act
from ome.cli.admin import main
from ome.codec import Records
from ome.messages import Limits
from ome.recovery.audit_check import begin_audit, check_audit
from ome.recovery.manifest import (
    MANIFEST_FILE,
    ManifestError,
    append_manifest,
    check_manifest,
    read_anchors,
    read_entries,
    remake_lines,
    replace_manifest,
)
from ome.server import Server

LIMITS: Final = Limits(order_count_max=500, level_count_max=200, instrument_count_max=10, session_count_max=10, special_count_max=200)
SCRIPT: Final = Path(__file__).resolve().parent.parent / "tools" / "verify_manifest.py"


@pytest.fixture(scope="module")
def commands() -> Records:
    """500 commands that begin with their limits."""
    return flow(7, 500, limits=LIMITS)


def write_audit(directory: Path, count: int, first: int = 0) -> None:
    """So many logons more."""
    audit = AuditFile(directory)
    for number in range(first, first + count):
        audit.append("logon", participant=f"FIRM{number % 3}", session=number)
    audit.close()


@pytest.fixture
def journal(tmp_path: Path, commands: Records) -> Path:
    """Five segments, each with an anchor before it in the manifest; the audit file has fifty lines, of which forty-two are anchored."""
    directory = tmp_path / "journal"
    write_journal(directory, commands, segments=5)
    for number in range(5):
        write_audit(directory, 10 if number else 2, 10 * number)
        append_manifest(directory, count_max=1)
    write_audit(directory, 8, 60)
    return directory


def lines_of(directory: Path) -> list[AuditLine]:
    """All, which must be right."""
    return list(AuditReader(directory))


def admin(*arguments: object, code: int = 0) -> Result:
    """Runs the command, which must end with this code."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def proven(*arguments: object, code: int = 0) -> str:
    """What the script says, in an interpreter that does not see ome."""
    command = [sys.executable, "-I", "-S", str(SCRIPT), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert (result.returncode, result.stderr) == (code, ""), result
    return result.stdout


def files(directory: Path) -> dict[str, bytes]:
    """All, but the lock."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "lock"}


def wait_for(is_so: Callable[[], bool]) -> None:
    """Waits for some seconds at most."""
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


# What it is


def test_a_line_is_what_the_page_says(tmp_path: Path) -> None:
    """Canonical JSON; SHA-256 of the digest before and of the line without its digest: from the bytes alone."""
    write_audit(tmp_path, 30)
    chain = bytes(32)
    for number, text in enumerate((tmp_path / AUDIT_FILE).read_text("ascii").splitlines(), 1):
        line: dict[str, Any] = json.loads(text)
        assert line.keys() == {"chain", "fields", "kind", "sequence", "synced", "time"}
        claimed = line.pop("chain")
        chain = hashlib.sha256(chain + json.dumps(line, sort_keys=True, separators=(",", ":")).encode()).digest()
        assert (claimed, line["sequence"], line["kind"]) == (chain.hex(), number, "logon")
        assert line["fields"] == {"participant": f"FIRM{(number - 1) % 3}", "session": number - 1}
    assert check_audit(tmp_path).chain == chain


def test_a_server_records_its_runs_and_the_clock_that_an_operator_accepts(tmp_path: Path) -> None:
    """Each run begins and ends in it, in one chain; the manifest has its end, and everything agrees."""
    for _ in range(2):
        with Server(venue_config(tmp_path)) as server, Wire(server.orders_endpoint) as wire:
            wire.log_on("FIRM1")
            assert not server.audit.is_failing
            assert is_fine(tmp_path)
    assert [line.kind for line in lines_of(tmp_path)] == ["started", "logon", "logout", "stopped"] * 2
    assert lines_of(tmp_path)[-1].fields == {"reason": "asked"}
    assert [line.size_bytes for line in read_anchors(tmp_path)] == [4]
    assert "8 lines, all right  1 anchors of the manifest, the last at line 4" in admin("audit", tmp_path, "--verify").stdout
    assert admin("verify", tmp_path).exit_code == 0
    assert "4 audit lines" in proven(tmp_path)


def is_fine(directory: Path) -> bool:
    """While a server writes."""
    return admin("audit", directory, "--verify").exit_code == 0


def test_without_a_journal_nothing_is_recorded(tmp_path: Path) -> None:
    """The caller need not know."""
    audit = NoAudit()
    audit.append("logon", participant="FIRM1")
    assert not audit.is_failing


# What is found


@pytest.mark.parametrize("index", [0, 1, 20, 40, 41])
@pytest.mark.parametrize("kind", ["removed", "repeated", "swapped", "changed", "spoiled", "foreign"])
def test_every_change_of_a_line_is_found(journal: Path, kind: str, index: int) -> None:
    """By verify, by audit --verify and by the script without ome, with 3 and the line."""
    path = journal / AUDIT_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    if kind == "removed":
        del lines[index]
    elif kind == "repeated":
        lines.insert(index, lines[index])
    elif kind == "swapped":
        lines[index], lines[index + 1] = lines[index + 1], lines[index]
    elif kind == "changed":
        lines[index] = lines[index].replace(b"FIRM", b"FORM")
    elif kind == "spoiled":
        lines[index] = lines[index].replace(b"{", b"[")
    else:
        lines.insert(index, lines[index + 5])
    path.write_bytes(b"".join(lines))
    index += kind == "repeated"
    with pytest.raises(AuditIntegrityError, match=f"line {index + 1} "):
        check_audit(journal)
    assert f"line {index + 1} " in admin("audit", journal, "--verify", code=3).stderr
    assert "audit      FAILED" in admin("verify", journal, code=3).output
    if index < 42:
        assert f"line {index + 1} " in proven(journal, code=3)
    else:  # behind the last anchor: what the manifest names is proven
        assert "42 audit lines" in proven(journal)


def test_a_file_that_was_written_anew_does_not_agree_with_the_manifest(journal: Path) -> None:
    """Its chain is right, and every anchor is of another file: also where it is shorter, longer, or missing."""
    good = (journal / AUDIT_FILE).read_bytes()
    for count in (1, 42, 50, 100):
        (journal / AUDIT_FILE).unlink()
        write_audit(journal, count, first=1)
        assert len(lines_of(journal)) == count
        found = admin("audit", journal, "--verify", code=3).stderr
        assert "which the manifest names" in found
        proven(journal, code=3)
    (journal / AUDIT_FILE).write_bytes(b"".join(good.splitlines(keepends=True)[:41]))
    assert "an end behind line 41" in admin("audit", journal, "--verify", code=3).stderr
    assert "names line 42" in proven(journal, code=3)
    (journal / AUDIT_FILE).unlink()
    assert "no such file" in admin("audit", journal, "--verify", code=3).stderr
    assert "audit.log is missing" in proven(journal, code=3)
    assert proven(journal, "--part").startswith("proven: 5 segments")


@pytest.mark.slow
def test_any_byte_that_is_changed_is_found_or_is_in_a_torn_tail(journal: Path) -> None:
    """The tail is what the manifest does not name and no later line proves: a start would cut it off, and keep it."""
    path = journal / AUDIT_FILE
    good = path.read_bytes()
    anchored = sum(len(text) for text in good.splitlines(keepends=True)[:42])
    for offset in range(0, len(good), 7):
        data = bytearray(good)
        data[offset] ^= 1
        path.write_bytes(data)
        try:
            state = check_audit(journal)
        except AuditIntegrityError:
            continue
        assert offset >= anchored
        assert state.torn_bytes > 0
        assert 42 <= state.sequence < 50


# The manifest


def test_an_anchor_stands_before_a_segment_and_never_last(journal: Path) -> None:
    """So a reader that does not know anchors never takes one for a torn last line, which it would cut off."""
    names = [line.name for line in read_entries(journal)[0]]
    assert names[0::2] == [AUDIT_FILE] * 5
    assert all(name.startswith("journal-") for name in names[1::2])
    assert [line.size_bytes for line in read_anchors(journal)] == [2, 12, 22, 32, 42]
    assert append_manifest(journal) == []
    assert [line.name for line in read_entries(journal)[0]] == names


def test_where_the_audit_file_has_not_grown_there_is_no_anchor(tmp_path: Path, commands: Records) -> None:
    """And where there is none, the manifest is what it always was; one that cannot be read keeps no segment out."""
    write_journal(tmp_path, commands, segments=5)
    append_manifest(tmp_path, count_max=1)
    assert read_anchors(tmp_path) == []
    write_audit(tmp_path, 3)
    append_manifest(tmp_path, count_max=1)
    append_manifest(tmp_path, count_max=1)
    assert [line.size_bytes for line in read_anchors(tmp_path)] == [3]
    (tmp_path / AUDIT_FILE).unlink()
    (tmp_path / AUDIT_FILE).mkdir()
    assert len(append_manifest(tmp_path)) == 2
    assert check_manifest(tmp_path) == 5


def test_an_anchor_is_only_of_lines_that_are_on_disk(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit file is synced first; where that fails, the segment has a line all the same and the anchor comes later."""
    whole = read_entries(journal)[0]
    replace_manifest(journal, whole[:-2])
    honest, synced = os.fsync, []

    def sync(descriptor: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
        synced.append(name)
        if name == AUDIT_FILE:
            raise OSError(errno.EIO, "failed")
        honest(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    assert len(append_manifest(journal)) == 1
    assert synced[0] == AUDIT_FILE
    assert [line.size_bytes for line in read_anchors(journal)] == [2, 12, 22, 32]


def write_mixed(directory: Path, earlier: int) -> None:
    """The manifest anew: the first `earlier` segments have the lines that earlier versions wrote, each other one an anchor before it."""
    (directory / MANIFEST_FILE).unlink()
    (directory / AUDIT_FILE).unlink()
    if earlier:
        write_earlier_lines(directory, earlier)
    for number in range(earlier, 5):
        write_audit(directory, 10, 10 * number)
        assert len(append_manifest(directory, count_max=1)) == 1


@pytest.mark.parametrize("earlier", [0, 1, 3, 4])
def test_old_lines_new_lines_and_anchors_are_one_manifest(journal: Path, earlier: int) -> None:
    """From the bytes alone: a line with the label has SHA-256, an anchor's own digest is that of the audit file."""
    write_mixed(journal, earlier)
    chain, digests = bytes(32), {line.sequence: line.chain.hex() for line in lines_of(journal)}
    for index, line in enumerate((journal / MANIFEST_FILE).read_text().splitlines()):
        name, size, digest, claimed = line.split(" ")
        label, _, digest = digest.rpartition(":")
        make = hashlib.sha256 if label else lambda data: hashlib.blake2b(data, digest_size=32)
        own = digests[int(size)] if name == AUDIT_FILE else make((journal / name).read_bytes()[: int(size)]).hexdigest()
        chain = make(chain + bytes.fromhex(digest)).digest()
        assert (digest, claimed, label) == (own, chain.hex(), "sha256" if index >= earlier else "")
    assert [line.size_bytes for line in read_anchors(journal)] == [10 * count for count in range(1, 6 - earlier)]
    assert append_manifest(journal) == []
    assert check_manifest(journal) == 5
    assert proven(journal) == f"proven: 5 segments, 5 lines, {50 - 10 * earlier} audit lines, chain digest {chain.hex()}\n"
    assert chain.hex() in admin("manifest", journal).stdout
    assert admin("verify", journal).exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [-1, ord("\n"), ord("a")])
@pytest.mark.parametrize(("archived", "earlier"), [(0, 0), (2, 0), (0, 3), (2, 1), (2, 3), (2, 4)])
def test_a_manifest_with_anchors_and_any_byte_damaged_is_made_again(journal: Path, archived: int, earlier: int, damaged: int) -> None:
    """As one without them: the audit file has what is damaged of an anchor. Only an archived segment's own digest is nowhere else."""
    damage_manifest(journal, archived, earlier, damaged, every=1 if damaged < 0 else 5)


@pytest.mark.parametrize(("archived", "earlier"), [(0, 3), (2, 1)])
def test_a_manifest_with_anchors_and_a_byte_damaged_is_made_again(journal: Path, archived: int, earlier: int) -> None:
    """The same for some bytes."""
    damage_manifest(journal, archived, earlier, -1, every=31)


def damage_manifest(journal: Path, archived: int, earlier: int, damaged: int, *, every: int) -> None:
    """Damages one byte after another, and has the manifest made again."""
    write_mixed(journal, earlier)
    write_audit(journal, 8, 60)
    manifest = journal / MANIFEST_FILE
    good = manifest.read_bytes()
    entries, _ = read_entries(journal)
    for line in [line for line in entries if not line.is_anchor][:archived]:
        (journal / line.name).unlink()
    ends = 2 * archived - min(archived, earlier)
    archive_size = sum(len(text) for text in good.splitlines(keepends=True)[:ends])
    for offset in range(0, len(good), every):
        data = bytearray(good)
        data[offset] = data[offset] ^ 1 if damaged < 0 else damaged
        manifest.write_bytes(data)
        try:
            check_manifest(journal)
        except ManifestError:
            made, is_proven = remake_lines(journal)
            if is_proven:
                assert [(line.digest, line.chain) for line in made] == [(line.digest, line.chain) for line in entries]
                replace_manifest(journal, made)
                assert check_audit(journal).anchors == 5 - earlier or offset < archive_size
            assert is_proven or offset < archive_size, (offset, data[max(0, offset - 20) : offset + 20])


@pytest.mark.parametrize("kind", ["removed", "repeated", "swapped", "count", "digest"])
def test_every_change_of_an_anchor_is_found(journal: Path, kind: str) -> None:
    """By verify and by the script."""
    manifest = journal / MANIFEST_FILE
    lines = manifest.read_text().splitlines(keepends=True)
    if kind == "removed":
        del lines[4]
    elif kind == "repeated":
        lines.insert(4, lines[4])
    elif kind == "swapped":
        lines[2], lines[4] = lines[4], lines[2]
    elif kind == "count":
        lines[4] = lines[4].replace("audit.log 22 ", "audit.log 23 ")
    else:
        lines[4] = lines[4][:20] + ("0" if lines[4][20] != "0" else "1") + lines[4][21:]
    manifest.write_text("".join(lines))
    admin("verify", journal, code=3)
    proven(journal, code=3)


def test_the_manifest_is_made_again_after_its_anchors_are_lost(journal: Path) -> None:
    """A new manifest has one anchor, of all lines; a repair by --accept-loss comes to this."""
    (journal / MANIFEST_FILE).unlink()
    append_manifest(journal)
    assert [line.size_bytes for line in read_anchors(journal)] == [50]
    assert check_audit(journal).anchored == 50


# Repair


@pytest.mark.parametrize("is_there", [True, False])
def test_a_repair_begins_anew_behind_the_last_anchor(journal: Path, is_there: bool) -> None:
    """The old file is set aside; the new one goes on in the same chain and says what was done, and later lines follow."""
    if is_there:
        data = (journal / AUDIT_FILE).read_bytes()
        (journal / AUDIT_FILE).write_bytes(data.replace(b"FIRM1", b"FIRM2", 1))
    else:
        (journal / AUDIT_FILE).unlink()
    assert "only with --accept-loss" in admin("repair", journal, "--yes", code=3).output
    admin("repair", journal, "--yes", "--accept-loss")
    assert (journal / f"{AUDIT_FILE}.set-aside").exists() == is_there
    first, act = lines_of(journal)
    assert (first.sequence, first.kind, first.fields["act"]) == (43, "repair", "set audit file aside")
    assert first.fields["set_aside"] == (f"{AUDIT_FILE}.set-aside" if is_there else None)
    assert (act.kind, act.fields["finding"]) == ("repair", "damaged audit file")
    write_audit(journal, 5)
    state = check_audit(journal)
    assert (state.begins_behind, state.sequence, state.anchors) == (42, 49, 1)
    assert "begins after line 42" in admin("audit", journal, "--verify").stdout
    proven(journal)
    lines = (journal / AUDIT_FILE).read_bytes().splitlines(keepends=True)
    (journal / AUDIT_FILE).write_bytes(b"".join(lines[1:]))
    assert "sequence 1, or a line of a repair" in admin("audit", journal, "--verify", code=3).stderr


def test_a_file_begun_anew_by_somebody_else_does_not_agree(journal: Path) -> None:
    """A first line of a repair that goes on behind another digest."""
    manifest = (journal / MANIFEST_FILE).read_bytes()
    (journal / AUDIT_FILE).unlink()
    (journal / MANIFEST_FILE).unlink()
    begin_audit(journal, act="forged")
    assert check_audit(journal).sequence == 1
    (journal / MANIFEST_FILE).write_bytes(manifest)
    with pytest.raises(AuditIntegrityError):
        check_audit(journal)


# Crashes and disks


def test_a_torn_tail_is_cut_saved_and_told_whatever_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Half a line, zeros, garbage, whole lines behind a hole: nothing proves that they were on disk."""
    write_audit(tmp_path, 5)
    path = tmp_path / AUDIT_FILE
    good = path.read_bytes()
    unsynced = [AuditLine.following(bytes(32), number, 5, 1, "x", {}).data() for number in (7, 8)]
    for tail in (b"{", good.splitlines()[0][:50], bytes(5_000), b"\n", b"\xff\n" * 50, b"".join([bytes(200), b"\n", *unsynced])):
        for kept in tmp_path.glob("*.torn-*"):
            kept.unlink()
        path.write_bytes(good + tail)
        assert check_audit(tmp_path).torn_bytes == len(tail)
        caplog.clear()
        write_audit(tmp_path, 1)
        assert (tmp_path / f"{AUDIT_FILE}.torn-{len(good)}").read_bytes() == tail
        assert [line.kind for line in lines_of(tmp_path)] == ["logon"] * 5 + ["torn", "logon"]
        assert lines_of(tmp_path)[5].fields == {"bytes": len(tail), "offset": len(good)}
        assert f"a torn tail of {len(tail):,} bytes was cut off" in caplog.text
        assert path.read_bytes().startswith(good)


def test_damage_that_a_later_line_proves_is_not_cut(tmp_path: Path) -> None:
    """The start goes on behind the last line, and changes nothing before it; verify finds the place."""
    write_audit(tmp_path, 5)
    write_audit(tmp_path, 5)
    path = tmp_path / AUDIT_FILE
    bad = path.read_bytes().replace(b"{", b"[", 1)
    path.write_bytes(bad)
    write_audit(tmp_path, 1)
    assert path.read_bytes().startswith(bad)
    assert AuditLine.read(path.read_bytes().splitlines(keepends=True)[-1]) is not None
    with pytest.raises(AuditIntegrityError, match="line 1 "):
        check_audit(tmp_path)


def test_a_kill_leaves_what_was_written(tmp_path: Path) -> None:
    """Lines are written at once, by a thread; the sync comes later, and closing waits for it."""
    audit = AuditFile(tmp_path)
    audit.start()
    audit.append("logon", participant="FIRM1")
    wait_for(lambda: len(lines_of(tmp_path)) == 1)
    shutil.copytree(tmp_path, tmp_path / "copy", ignore=shutil.ignore_patterns("copy"))
    audit.close()
    write_audit(tmp_path / "copy", 1)
    assert len(lines_of(tmp_path / "copy")) == 2


@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_a_disk_that_fails_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    """Nobody waits and nobody gets an error; what waits is written when it works again, once, and the chain is right."""
    audit = AuditFile(tmp_path)
    audit.start()
    audit.append("logon", session=0)
    wait_for(lambda: len(lines_of(tmp_path)) == 1)
    honest = getattr(os, call)
    fails = threading.Event()
    fails.set()

    def fail(descriptor: int, *arguments: Any) -> Any:
        if fails.is_set() and Path(os.readlink(f"/proc/self/fd/{descriptor}")).name == AUDIT_FILE:
            if call == "pwrite":
                honest(descriptor, arguments[0][:10], arguments[1])  # a part of it
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return honest(descriptor, *arguments)

    monkeypatch.setattr(os, call, fail)
    audit.append("logon", session=1)
    wait_for(lambda: audit.is_failing)
    for session in range(2, 1_500):
        audit.append("logon" if session % 2 else "logout", session=session)
    fails.clear()
    audit.append("act")
    wait_for(lambda: not audit.is_failing)
    audit.close()
    found = lines_of(tmp_path)
    assert [line.fields.get("session") for line in found] == [*range(1_500), None]
    assert "No space left on device" in caplog.text


def test_what_cannot_wait_is_lost_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is bounded; the first line after that says how many are missing."""
    monkeypatch.setattr(file_module, "_QUEUE_SIZE", 10)
    audit = AuditFile(tmp_path)
    for session in range(25):
        audit.append("logon", session=session)
    assert audit.lost == 15
    audit.close()
    audit.append("logon", session=99)
    assert audit.lost == 16
    found = lines_of(tmp_path)
    assert [line.kind for line in found] == ["lost"] + ["logon"] * 10
    assert found[0].fields == {"lines": 15}


def test_a_disk_that_never_works_ends_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing does not hang and does not raise."""
    (tmp_path / AUDIT_FILE).mkdir()
    audit = AuditFile(tmp_path)
    audit.start()
    assert audit.is_failing
    audit.append("logon")
    audit.close()
    assert "1 lines could not be written" in caplog.text
    note_act(tmp_path, "repair")


def test_a_file_that_somebody_moves_is_noticed(tmp_path: Path) -> None:
    """Nobody would read what is written to it; put back, it goes on."""
    audit = AuditFile(tmp_path)
    audit.start()
    audit.append("logon", session=0)
    wait_for(lambda: len(lines_of(tmp_path)) == 1)
    (tmp_path / AUDIT_FILE).rename(tmp_path / "moved")
    (tmp_path / AUDIT_FILE).touch()
    audit.append("logon", session=1)
    wait_for(lambda: audit.is_failing)
    (tmp_path / "moved").rename(tmp_path / AUDIT_FILE)
    wait_for(lambda: not audit.is_failing)
    audit.close()
    assert [line.fields["session"] for line in lines_of(tmp_path)] == [0, 1]


def test_a_file_of_which_the_end_is_no_audit_file_is_left_alone(tmp_path: Path) -> None:
    """8 MiB without a line are no crash's work."""
    write_audit(tmp_path, 1)
    with (tmp_path / AUDIT_FILE).open("ab") as file:
        file.write(b"x" * (9 << 20))
    before = files(tmp_path)
    with pytest.raises(AuditIntegrityError, match="no line in the last"):
        find_end(tmp_path / AUDIT_FILE)
    write_audit(tmp_path, 1)
    assert files(tmp_path) == before


# Floods


def test_a_flood_of_refusals_takes_a_bounded_number_of_lines(tmp_path: Path) -> None:
    """Twenty a second, and one that counts the rest. Other kinds are not held back by it, and have a bound of their own."""
    audit = AuditFile(tmp_path, clock=lambda: 0.0)
    for number in range(100_000):
        audit.append("refusal", reason="x" * 1_000, peer="\0" * 1_000, number=number)
    audit.append("logon", participant="FIRM1")
    for _ in range(3_000):
        audit.append("logout")
    audit.close()
    found = lines_of(tmp_path)
    kinds = [line.kind for line in found]
    assert (kinds.count("refusal"), kinds.count("logon"), kinds.count("logout")) == (21, 1, 1_001)
    suppressed = {line.kind: line.fields["suppressed"] for line in found if "suppressed" in line.fields}
    assert suppressed == {"refusal": 99_980, "logout": 2_000}
    assert audit.lost == 0


def test_a_line_is_of_bounded_length_and_has_no_secret(tmp_path: Path) -> None:
    """Whatever is in it."""
    audit = AuditFile(tmp_path)
    audit.append("x" * 1_000, **{f"{number:04d}{'n' * 1_000}": "\0" * 10_000 for number in range(1_000)})
    audit.append("logon", password="hunter2", peer=b"\xff\n\n", number=10**4_000)
    audit.close()
    data = (tmp_path / AUDIT_FILE).read_bytes()
    assert max(map(len, data.splitlines())) < 5_000
    assert b"hunter2" not in data
    assert len(lines_of(tmp_path)) == 2


def test_callers_of_many_threads_lose_no_line(tmp_path: Path) -> None:
    """Each thread's lines are in its order."""
    audit = AuditFile(tmp_path, clock=lambda: 0.0)
    audit.start()

    def push(name: int) -> None:
        for number in range(900):
            audit.append(f"kind {name}", number=number)

    threads = [threading.Thread(target=push, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    audit.close()
    found = lines_of(tmp_path)
    for name in range(4):
        assert [line.fields["number"] for line in found if line.kind == f"kind {name}"] == list(range(900))


# The command


def test_the_command_prints_and_filters(tmp_path: Path) -> None:
    """By participant, kind and time; as text, or as JSON."""
    write_audit(tmp_path, 6)
    audit = AuditFile(tmp_path, now_ns=lambda: 2_000_000_000_000_000_000)
    audit.append("refusal", participant="FIRM1", reason="BAD FRAME")
    audit.close()
    assert admin("audit", tmp_path).stdout.count("\n") == 7
    assert admin("audit", tmp_path, "--participant", "FIRM1").stdout.count("\n") == 3
    refusals = admin("audit", tmp_path, "--kind", "refusal", "--kind", "kill").stdout
    assert refusals == '2033-05-18T03:33:20.000000Z        7 refusal participant=FIRM1 reason="BAD FRAME"\n'
    assert admin("audit", tmp_path, "--since", "2033-01-01T00:00:00Z").stdout == refusals
    value = read_json(admin("audit", tmp_path, "--kind", "refusal", "--json").stdout)
    assert (value["sequence"], value["fields"]["reason"]) == (7, "BAD FRAME")
    state = read_json(admin("audit", tmp_path, "--verify", "--json").stdout)
    assert (state["ok"], state["lines"], state["anchors"], state["torn_bytes"]) == (True, 7, 0, 0)
    admin("audit", tmp_path, "--verify", "--kind", "refusal", code=2)
    (tmp_path / AUDIT_FILE).unlink()
    assert admin("audit", tmp_path).stdout == ""


def test_acts_of_ome_admin_are_recorded(journal: Path) -> None:
    """An archive says what was taken; a look at a directory records nothing."""
    before = files(journal)
    admin("verify", journal)
    admin("audit", journal)
    assert files(journal) == before
    admin("snapshot", journal)
    for path in journal.glob("snapshot-*"):
        path.rename(path.with_name(f"snapshot-{250:020d}.ome"))
    admin("archive", journal, "--before", 201, "--remove")
    last = lines_of(journal)[-1]
    assert (last.kind, last.fields["act"], last.fields["segments"], last.fields["before"]) == ("archive", "removed", 2, 201)
