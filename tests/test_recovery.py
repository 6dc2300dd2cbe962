"""From a journal to an engine: journals written here, byte by byte, as docs/JOURNAL.md says."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest
from flows import flow
from venues import contents, journal_commands, whole

from ome._native import lib
from ome.codec import COMMAND, Records, encode_commands, join_records, record_bytes
from ome.engine import Engine, EngineClosedError
from ome.enums import OrderType, Reason, Side, Term
from ome.messages import DefineInstrument, DefineLimits, Limits, NewOrder
from ome.recovery import JournalError, JournalIntegrityError, Replay, ReplayAssertionError, Verdict

LIMITS = Limits(order_count_max=500, level_count_max=200, instrument_count_max=10, session_count_max=10)
SYNCED = 0x8000
ROTATION, CLOSE = 1, 2
SEGMENT_SIZE = 64 << 10


def crc32c(data: bytes, crc: int = 0) -> int:
    """CRC-32C of RFC 3720, bit by bit."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def record(sequence: int, kind: int, data: bytes) -> bytes:
    """A record of a journal."""
    body = struct.pack("<QHI", sequence, kind, len(data)) + data
    return body + struct.pack("<I", crc32c(body))


def header(first_sequence: int, epoch: int = 1, chain: int = 0, version: int = 2) -> bytes:
    """The header of a segment."""
    fields = struct.pack("<8sIIQQQI", b"\nOMEJRNL", version, 4096, epoch, first_sequence, SEGMENT_SIZE, chain)
    fields += struct.pack("<IQ", 1, 0x1122334455667788) if version > 1 else b""
    fields = fields.ljust(4092, b"\0")
    return fields + struct.pack("<I", crc32c(fields))


def seal(first_sequence: int, sequence: int, chain: int, reason: int) -> bytes:
    """The seal of a segment whose next record would be `sequence`."""
    return record(sequence, SYNCED, struct.pack("<QQII", sequence - first_sequence, sequence - 1, chain, reason))


def write_journal(directory: Path, commands: Records, *, segments: int = 1, sealed: bool = True, version: int = 2) -> Path:
    """Writes a journal of these commands, cut into segments of equal length; returns the last segment's path."""
    directory.mkdir(exist_ok=True)
    chain, sequence, path = 0, 1, directory
    length = -(-len(commands) // segments)
    bodies = [record_bytes(commands[index : index + 1])[8:] for index in range(len(commands))]
    for start in range(0, len(commands), length):
        first, is_last = sequence, start + length >= len(commands)
        data = header(first, chain=chain, version=version)
        path = directory / f"journal-{sequence:020d}.ome"
        for body in bodies[start : start + length]:
            written = record(sequence, body[48] | SYNCED, body)
            chain = crc32c(written[-4:], chain)
            data += written
            sequence += 1
        if version > 1 and (sealed or not is_last):
            data += seal(first, sequence, chain, CLOSE if is_last else ROTATION)
        elif sealed and is_last:
            data += record(sequence, SYNCED, b"")
        assert len(data) <= SEGMENT_SIZE
        path.write_bytes(data.ljust(SEGMENT_SIZE, b"\0"))
    return path


@pytest.fixture(scope="module")
def commands() -> Records:
    """600 commands that begin with their limits."""
    return flow(3, 600, limits=LIMITS)


def test_checksum_is_the_one_of_the_rfc() -> None:
    """The check value of CRC-32C, and that a part may be continued."""
    assert crc32c(b"123456789") == crc32c(b"6789", crc32c(b"12345")) == 0xE3069283


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("segments", [1, 3])
def test_replay_of_a_journal_is_the_engine_that_took_its_commands(tmp_path: Path, commands: Records, segments: int, version: int) -> None:
    """D1: a journal written by the page alone, in one segment or several, gives the same state and the same hashes."""
    write_journal(tmp_path, commands, segments=segments, version=version)
    before = contents(tmp_path)
    reached: list[int] = []
    with Engine(limits=LIMITS) as engine, Replay(tmp_path) as replay:
        engine.apply_records(commands)
        assert replay.view is None
        assert replay.run(progress=reached.append) >= 0
        view, report = replay.view, replay.report
        assert view is not None
        assert (view.state, view.state_hash, view.limits) == (engine.state, engine.state_hash, LIMITS)
        assert view.instruments == engine.instruments
        assert view.sessions == engine.sessions
        view.check()
        assert (report.verdict, report.last_sequence, report.epoch, report.torn_bytes) == (Verdict.CLEAN, 600, 1, 0)
        assert report.event_hash == engine.event_hash
        assert report.reason == ""
        assert reached[-1] == 600
        assert replay.is_at_end
    assert contents(tmp_path) == before
    assert record_bytes(journal_commands(tmp_path))[8:64] == record_bytes(commands)[8:64]


def test_replay_stops_where_it_is_told_and_goes_on(tmp_path: Path, commands: Records) -> None:
    """D1: `to` is the last command applied; step by step the hashes are those of the engine at each command."""
    write_journal(tmp_path, commands)
    with Engine(limits=LIMITS) as engine, Replay(tmp_path) as replay:
        engine.apply_records(commands[:250])
        replay.run(to=250)
        assert replay.view is not None
        assert (replay.view.sequence, replay.view.state_hash) == (250, engine.state_hash)
        assert not replay.is_at_end
        for index in range(250, 260):
            engine.apply_records(commands[index : index + 1])
            assert replay.step(1) is True
            assert (replay.view.state, replay.view.state_hash) == (engine.state, engine.state_hash)
        replay.run(to=10_000)
        assert replay.view.sequence == 600
        assert replay.is_at_end
        assert replay.step() is False


def test_journal_of_before_special_orders_is_read_and_takes_none(tmp_path: Path) -> None:
    """A DefineLimits whose special_count_max and rules_version were reserved zeros makes an engine that refuses special orders."""
    limits = Limits(order_count_max=5, level_count_max=5, instrument_count_max=1, session_count_max=1, special_count_max=0, rules_version=0)
    sizes = DefineLimits(order_count_max=5, level_count_max=5, instrument_count_max=1, session_count_max=1)
    order = NewOrder(instrument=1, side=Side.BUY, price=1, quantity=5)
    special = replace(order, terms=((Term.DISPLAY_QUANTITY, 2),))
    commands = encode_commands([sizes, DefineInstrument(instrument=1, symbol=b"A"), order, special])
    write_journal(tmp_path, commands)
    with Engine(limits=limits) as engine, Replay(tmp_path) as replay:
        events = engine.apply_records(commands)
        assert events["reason"].tolist() == [0, 0, 0, Reason.SPECIAL_LIMIT_REACHED]
        replay.run()
        assert replay.view is not None
        assert (replay.view.limits, replay.view.state_hash) == (limits, engine.state_hash)
        assert replay.report.event_hash == engine.event_hash


def test_replay_that_ends_inside_a_command_goes_on_with_its_terms(tmp_path: Path) -> None:
    """D1: a command of several records that the replay stopped in is state: the hash says so, and the next step completes it."""
    sizes = DefineLimits(**{name: getattr(LIMITS, name) for name in Limits.__slots__})
    order = NewOrder(instrument=1, side=Side.BUY, quantity=5, order_type=OrderType.STOP, terms=((Term.STOP_PRICE, 7),))
    commands = encode_commands([sizes, DefineInstrument(instrument=1, symbol=b"A"), order])
    write_journal(tmp_path, commands)
    with Engine(limits=LIMITS) as engine, Replay(tmp_path) as replay:
        engine.apply_records(commands[:2])
        before = engine.state_hash
        engine.apply_records(commands[2:3])
        replay.run(to=3)
        view = replay.view
        assert view is not None
        assert view.state_hash == engine.state_hash != before
        assert view.waiting(1, Side.BUY) == []
        engine.apply_records(commands[3:])
        replay.run()
        assert view.waiting(1, Side.BUY) == engine.waiting(1, Side.BUY) != []
        assert view.state_hash == engine.state_hash


def test_empty_directory_is_a_journal_of_nothing(tmp_path: Path) -> None:
    """No segment, no command, no engine."""
    with Replay(tmp_path) as replay:
        replay.run()
        assert replay.view is None
        assert (replay.report.verdict, replay.report.last_sequence, replay.report.epoch) == (Verdict.CLEAN, 0, 0)


def test_a_closed_replay_takes_its_view_along(tmp_path: Path, commands: Records) -> None:
    """Its engine is gone: the view raises, and does not touch memory that was freed."""
    write_journal(tmp_path, commands)
    replay = Replay(tmp_path)
    replay.run()
    view = replay.view
    assert view is not None
    replay.close()
    replay.close()
    with pytest.raises(EngineClosedError):
        _ = view.state_hash


@pytest.mark.parametrize("place", ["missing", "file"])
def test_what_is_no_directory_is_refused(tmp_path: Path, place: str) -> None:
    """The error names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=f"journal directory: found '{tmp_path / place}', allowed: a directory that exists"):
        Replay(tmp_path / place)


def test_a_torn_tail_is_reported_and_left_alone(tmp_path: Path, commands: Records) -> None:
    """Bytes after the last record that are no record: the replay ends there, says how many, and changes nothing."""
    path = write_journal(tmp_path, commands, sealed=False)
    end = 4096 + 74 * len(commands)
    data = bytearray(path.read_bytes())
    data[end : end + 50] = bytes(range(1, 51))
    path.write_bytes(data)
    with Replay(tmp_path) as replay:
        replay.run()
        report = replay.report
        assert replay.view is not None
        assert replay.view.sequence == 600
    assert (report.verdict, report.path, report.offset, report.torn_bytes) == (Verdict.TORN, str(path), end, 50)
    assert path.read_bytes() == data


@pytest.mark.parametrize("live", [False, True])
def test_damage_is_an_error_that_says_where_and_what(tmp_path: Path, commands: Records, live: bool) -> None:
    """A record that was on disk once and is no record now: file, offset, the sequence expected. The engine stands before it."""
    path = write_journal(tmp_path, commands)
    count = whole(commands, 100)
    offset = 4096 + 74 * count
    data = bytearray(path.read_bytes())
    data[offset + 30] ^= 4
    path.write_bytes(data)
    with Replay(tmp_path, live=live) as replay:
        if live:
            replay.run()  # what follows may not be written yet: a live reader says nothing about it
        else:
            with pytest.raises(JournalIntegrityError) as refused:
                replay.run()
            assert str(refused.value).startswith(f"journal in {path} at offset {offset:,}: found ")
            assert str(refused.value).endswith(f"allowed: sequence {count + 1}")
            assert refused.value.report == replay.report
            assert (replay.report.verdict, replay.report.sequence_expected) == (Verdict.DAMAGED, count + 1)
            with pytest.raises(JournalIntegrityError):
                replay.step()
        assert replay.view is not None
        assert replay.view.sequence == count
    assert path.read_bytes() == data


def test_a_command_that_trips_an_assertion_is_an_error_of_its_own(tmp_path: Path, commands: Records) -> None:
    """The core says so by a status (tests/c/test_replay_quarantine.c); who reads the exception sees an integrity error, and exit code 3."""
    write_journal(tmp_path, commands)
    with Replay(tmp_path) as replay:
        replay.step(10)
        with pytest.raises(ReplayAssertionError, match="that this build of the core can apply") as caught:
            replay.check(lib.OME_ASSERTED)
    assert isinstance(caught.value, JournalIntegrityError)
    assert caught.value.where.startswith(str(tmp_path))


def test_a_missing_segment_is_damage(tmp_path: Path, commands: Records) -> None:
    """A journal with a hole is not replayed over it."""
    write_journal(tmp_path, commands, segments=3)
    sorted(tmp_path.glob("journal-*.ome"))[1].unlink()
    with Replay(tmp_path) as replay, pytest.raises(JournalIntegrityError) as refused:
        replay.run()
    assert refused.value.report.verdict == Verdict.DAMAGED
    assert refused.value.report.sequence_expected == 201


def test_a_journal_whose_beginning_is_gone_says_from_where_on_it_is_there(tmp_path: Path, commands: Records) -> None:
    """Archived or lost: a replay needs the first record, and nothing is applied."""
    write_journal(tmp_path, commands, segments=3)
    min(tmp_path.glob("journal-*.ome")).unlink()
    with Replay(tmp_path) as replay, pytest.raises(JournalIntegrityError, match=r"begins behind the sequence asked for.*201") as refused:
        replay.run()
    assert (refused.value.report.verdict, refused.value.report.sequence_found) == (Verdict.ABSENT, 201)


def test_an_unknown_version_is_told_from_damage(tmp_path: Path, commands: Records) -> None:
    """A journal of a later program is not called damaged."""
    path = write_journal(tmp_path, commands)
    path.write_bytes(header(1, version=3) + path.read_bytes()[4096:])
    with Replay(tmp_path) as replay, pytest.raises(JournalIntegrityError) as refused:
        replay.run()
    assert refused.value.report.verdict == Verdict.UNSUPPORTED


@pytest.mark.parametrize("case", ["no limits", "limits out of range", "no command"])
def test_a_valid_journal_of_something_else_is_refused(tmp_path: Path, commands: Records, case: str) -> None:
    """The first command says how large the engine is; where it does not, there is no engine."""
    if case == "no limits":
        write_journal(tmp_path, encode_commands([DefineInstrument(instrument=1, symbol=b"A")]))
    elif case == "limits out of range":
        wrong = commands[:1].copy()
        wrong["order_count_max"] = 0
        write_journal(tmp_path, join_records([wrong, commands[1:]], COMMAND))
    else:
        (tmp_path / "journal-00000000000000000001.ome").write_bytes(header(1) + record(1, 32 | SYNCED, b"short"))
    with Replay(tmp_path) as replay, pytest.raises(JournalIntegrityError) as refused:
        replay.run()
    assert refused.value.report.verdict == Verdict.DAMAGED
    assert refused.value.report.reason
