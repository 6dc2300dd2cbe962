"""Limits that a start changes: a DefineLimits in the journal, which every replay follows, with the ids and the hashes of the venue."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from flows import flow
from test_recovery import write_journal
from venues import VenueProcess, Wire, contents, journal_end, new_order, venue_config

from ome.cli.admin import main
from ome.client import LogonRefused, OrderEntry
from ome.codec import COMMAND, Records, encode_commands, join_records, record_bytes, records_of
from ome.codec.wire import encode_message
from ome.config import LIMIT_KEYS, ConfigError, load_config
from ome.engine import Engine
from ome.enums import CommandKind, EventKind, Reason, SessionFlags
from ome.errors import InvalidValueError
from ome.journal import JournalIntegrityError, JournalReader
from ome.messages import RULES_VERSION, CancelOrder, DefineLimits, DefineSession, Limits
from ome.recovery import Replay
from ome.recovery.snapshots import make_snapshot, snapshot_sequences
from ome.reference import ReferenceEngine
from ome.server import Server

SMALL: Final = Limits(order_count_max=60, level_count_max=40, instrument_count_max=8, session_count_max=8, special_count_max=20)
LARGE: Final = Limits(order_count_max=5_000, level_count_max=900, instrument_count_max=30, session_count_max=50, special_count_max=400)
NAMES: Final = Limits.__slots__


def admin(*arguments: object, code: int = 0) -> Result:
    """Runs the command, which must end with this code."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def define(limits: Limits, **fields: Any) -> Records:
    """The command that changes limits."""
    return encode_commands([DefineLimits(timestamp_ns=1, **{name: getattr(limits, name) for name in NAMES}, **fields)])


def used(engine: Engine) -> Limits:
    """The smallest limits that hold what an engine has."""
    state = engine.state
    return Limits(
        order_count_max=state.order_slot_count,
        level_count_max=state.level_count,
        instrument_count_max=state.instrument_count,
        session_count_max=max(max(session.session, session.participant) for session in engine.sessions),
        special_count_max=state.special_count,
        rules_version=engine.limits.rules_version,
        account_count_max=state.account_count,
    )


# ---- engines ----


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_moved_engine_goes_on_as_one_that_always_had_these_limits(seed: int) -> None:
    """Raised and lowered in turn, while nothing is refused for them: the same events, order ids included, and hashes; core and model."""
    commands = flow(seed, 6_000, limits=LARGE)
    commands = commands[commands["kind"] != CommandKind.DEFINE_LIMITS]  # which is about the limits of the moment
    with Engine(limits=LARGE) as still, Engine(limits=LARGE) as moved:
        model = ReferenceEngine(LARGE)
        others = [replace(LARGE, order_count_max=9_000), replace(LARGE, level_count_max=4_000, special_count_max=6_000), LARGE]
        for index in range(6):
            part = commands[index * 1_000 : index * 1_000 + 1_000]
            expected = record_bytes(still.apply_records(part))
            assert record_bytes(moved.apply_records(part)) == expected
            assert record_bytes(model.apply_records(part)) == expected
            moved.resize(others[index % 3])
            model.resize(others[index % 3])
            assert moved.limits == model.limits == others[index % 3]
            assert moved.state_hash == model.state_hash == still.state_hash
            moved.check()
            model.check()
        assert moved.event_hash == still.event_hash


@pytest.mark.parametrize("seed", [5, 6])
def test_core_and_model_agree_at_the_limits_that_they_were_moved_to(seed: int) -> None:
    """What is refused, and what is accepted again, follows the limits of the moment: as small as can be, and larger again."""
    commands = flow(seed, 6_000, limits=SMALL)
    reasons: set[int] = set()
    with Engine(limits=SMALL) as core:
        model = ReferenceEngine(SMALL)
        for index in range(12):
            part = commands[index * 500 : index * 500 + 500]
            events = core.apply_records(part)
            assert record_bytes(model.apply_records(part)) == record_bytes(events)
            reasons |= set(events["reason"].tolist())
            limits = replace(LARGE, instrument_count_max=8, session_count_max=8) if index % 2 else used(core)
            core.resize(limits)
            model.resize(limits)
            assert core.state_hash == model.state_hash
            core.check()
            model.check()
    assert {Reason.ORDER_LIMIT_REACHED, Reason.LEVEL_LIMIT_REACHED, Reason.SPECIAL_LIMIT_REACHED} <= reasons


def test_an_engine_is_not_moved_where_something_does_not_fit() -> None:
    """Each limit is named with what is in use, and nothing has changed; as many as are in use do."""
    commands = flow(6, 3_000, limits=SMALL)
    with Engine(limits=SMALL) as core:
        model = ReferenceEngine(SMALL)
        core.apply_records(commands)
        model.apply_records(commands)
        least = used(core)
        before = core.state_hash
        for name in set(NAMES) - {"limit_flags"}:
            count = getattr(least, name)
            assert count > (name != "rules_version"), name
            for engine in (core, model):
                with pytest.raises(InvalidValueError, match=f"{name}.*at least .*{count}"):
                    engine.resize(replace(LARGE, **{name: count - 1}))
                assert engine.limits == SMALL
        core.resize(least)
        model.resize(least)
        assert core.state_hash == model.state_hash == before
        assert record_bytes(core.apply_records(define(SMALL))) == record_bytes(model.apply_records(define(SMALL)))
        core.check()
        model.check()


@pytest.mark.parametrize(("session", "participant"), [(5, 2), (2, 5)])
def test_numbers_with_gaps_below_them_are_not_cut_off(session: int, participant: int) -> None:
    """It is the highest number of a session or participant that has to fit, not how many there are."""
    commands = encode_commands(
        [
            DefineLimits(**{name: getattr(SMALL, name) for name in NAMES}),
            DefineSession(participant_name=b"FIRM1", participant=participant, session=session, session_number=0),
        ]
    )
    with Engine(limits=SMALL) as core:
        model = ReferenceEngine(SMALL)
        for engine in (core, model):
            engine.apply_records(commands)
            with pytest.raises(InvalidValueError, match=r"session_count_max.*at least .*5"):
                engine.resize(replace(SMALL, session_count_max=4))
            engine.resize(replace(SMALL, session_count_max=5))
        assert core.state_hash == model.state_hash
        core.check()


def test_a_batch_of_a_replay_goes_over_a_change(tmp_path: Path) -> None:
    """Several changes in one read: events are whole, the view is the same object, and a change that is not to be followed is rejected."""
    commands = flow(7, 400, limits=SMALL)
    last = int(commands["timestamp_ns"][-1])
    changes = [define(LARGE), define(replace(LARGE, order_count_max=1)), define(SMALL), define(LARGE, reserved=1), define(SMALL)]
    for change in changes:
        change["timestamp_ns"] = last
    joined = b"".join([record_bytes(commands), *(record_bytes(change) for change in changes)])
    write_journal(tmp_path, records_of(joined, COMMAND))
    with Replay(tmp_path) as replay:
        first = replay.read(1)
        view = replay.view
        assert first is not None
        assert view is not None
        batch = replay.read(1_000)
        assert batch is not None
        assert replay.view is view
        assert view.limits == SMALL
        view.check()
        assert replay.read(1) is None
        told = [batch.events_of(len(commands) + number)[-1] for number in range(1, 6)]
        expected = [
            (EventKind.DEFINED, Reason.NONE),
            (EventKind.REJECTED, Reason.BAD_DEFINITION),
            (EventKind.DEFINED, Reason.NONE),
            (EventKind.REJECTED, Reason.RESERVED_NOT_ZERO),
            (EventKind.DEFINED, Reason.NONE),
        ]
        assert [(event["kind"], event["reason"]) for event in told] == expected
        hashes = view.state_hash, replay.report.event_hash
    with Replay(tmp_path) as stepped:
        while stepped.step(7):
            pass
        assert stepped.view is not None
        assert (stepped.view.state_hash, stepped.report.event_hash) == hashes
    assert "FAILED" not in admin("verify", tmp_path, "--reference").output


# ---- versions of the rules ----


FIRST_RULES: Final = replace(SMALL, rules_version=0)


def journal_of_two_versions(directory: Path, seed: int) -> tuple[Records, int]:
    """A journal whose engine follows the first rules, and behind the count that is returned the newest; and its commands."""
    commands = flow(seed, 1_200, limits=FIRST_RULES).copy()
    last = Counter[int]()
    for command in commands[600:]:  # sessions begin to count there
        session = int(command["session"])
        is_of_client = command["kind"] <= CommandKind.MASS_CANCEL and command["participant"] == (session - 1) % 3 + 1
        if session and is_of_client and command["session_sequence"]:
            last[session] += 1
            command["session_sequence"] = last[session]
    change = define(SMALL)
    change["timestamp_ns"] = commands["timestamp_ns"][599]
    lower = define(FIRST_RULES)
    lower["timestamp_ns"] = commands["timestamp_ns"][899]
    joined = join_records([commands[:600], change, commands[600:900], lower, commands[900:]], COMMAND)
    write_journal(directory, joined, segments=3)
    return joined, 600


@pytest.mark.parametrize("seed", [11, 12])
def test_a_journal_may_go_on_by_newer_rules(tmp_path: Path, seed: int) -> None:
    """D5, D4: reference, core, a replay and one from a snapshot of either version agree; a version never goes down."""
    commands, old_count = journal_of_two_versions(tmp_path, seed)
    with Engine(limits=FIRST_RULES) as core:
        model = ReferenceEngine(FIRST_RULES)
        for engine in (core, model):
            engine.apply_records(commands[:old_count])
        assert core.state_hash == model.state_hash
        assert {(session.flags, session.command_sequence, session.report_sequence) for session in core.sessions} == {(0, 0, 0)}
        for engine in (core, model):
            engine.resize(SMALL)
            engine.apply_records(commands[old_count:])
        assert (core.state_hash, core.event_hash) == (model.state_hash, model.event_hash)
        core.check()
        sessions = core.sessions
        assert any(session.command_sequence for session in sessions)
        assert any(session.report_sequence for session in sessions)
        expected = core.state_hash
    for sequence in (old_count - 1, old_count + 50):
        with Replay(tmp_path) as replay:
            replay.run(to=sequence)
            replay.snapshot(10)
    with Replay(tmp_path) as replay:
        replay.run()
        assert replay.view is not None
        assert replay.view.limits == SMALL
        assert replay.view.sessions == sessions
    assert len(snapshot_sequences(tmp_path)) == 2
    assert_replays_agree(tmp_path, expected)
    refused = json_of_dump(tmp_path, old_count + 302)
    assert (refused["kind"], refused["events"][-1]["reason"]) == ("define_limits", "bad_definition")


def json_of_dump(directory: Path, sequence: int) -> Any:
    """The command with this sequence as `ome-admin dump` gives it, with its events."""
    (line,) = admin("dump", directory, "--from", sequence, "--to", sequence, "--events", "--json").stdout.splitlines()
    return json.loads(line)


def test_the_state_of_each_version_is_shown(tmp_path: Path) -> None:
    """D5, D7: `ome-admin state` shows the version of the rules and what each session has; `dump` the version and the flags."""
    _, old_count = journal_of_two_versions(tmp_path, 11)
    before = json.loads(admin("state", tmp_path, "--at", old_count, "--json").stdout)
    after = json.loads(admin("state", tmp_path, "--json").stdout)
    assert (before["rules_version"], after["rules_version"]) == (0, RULES_VERSION)
    assert {session["command_sequence"] for session in before["sessions"]} == {"0"}
    with Replay(tmp_path) as replay:
        replay.run()
        assert replay.view is not None
        for shown, session in zip(after["sessions"], replay.view.sessions, strict=True):
            assert shown["session"] == session.session
            assert (int(shown["command_sequence"]), int(shown["report_sequence"])) == (session.command_sequence, session.report_sequence)
            assert shown["session_flags"] == [str(flag.name).lower() for flag in SessionFlags if session.flags & flag]
    text = admin("state", tmp_path).stdout
    assert f"  rules {RULES_VERSION}" in text
    assert f"report_sequence {after['sessions'][0]['report_sequence']}" in text
    assert f"rules_version {RULES_VERSION}" in admin("dump", tmp_path, "--from", old_count + 1, "--to", old_count + 1).stdout


@pytest.mark.parametrize("is_first", [True, False])
def test_a_journal_by_rules_that_are_not_known_is_refused(tmp_path: Path, is_first: bool) -> None:
    """Another build wrote it: the reason says so, and nothing of what follows is applied."""
    unknown = define(SMALL)
    unknown["rules_version"] = RULES_VERSION + 1
    commands = flow(11, 300, limits=SMALL)
    write_journal(tmp_path, unknown if is_first else join_records([commands, unknown, flow(12, 9)], COMMAND))
    with pytest.raises(JournalIntegrityError, match="version of the rules that this build does not know"), Replay(tmp_path) as replay:
        replay.run()
    assert "version of the rules that this build does not know" in admin("state", tmp_path, code=3).stderr


def test_the_names_of_a_journal_are_those_of_its_rules(tmp_path: Path) -> None:
    """A definition with flags that nobody knows is one by the first rules only."""
    session = DefineSession(session=1, participant=1, participant_name=b"FIRM1", session_flags=0x8000)
    for limits, name in ((FIRST_RULES, "FIRM1"), (SMALL, None)):
        directory = tmp_path / str(limits.rules_version)
        write_journal(
            directory,
            join_records([define(limits), encode_commands([session, CancelOrder(client_order_id=1, participant=1, session=1)])], COMMAND),
        )
        lines = [json.loads(line) for line in admin("dump", directory, "--json").stdout.splitlines()]
        assert [line["participant_name"] for line in lines[1:]] == ["FIRM1", name]
        assert lines[1]["session_flags"] == ["0x8000"]


# ---- venues ----


FIRST: Final = Limits(order_count_max=20, level_count_max=30, instrument_count_max=2, session_count_max=2, special_count_max=5)
SECOND: Final = Limits(order_count_max=50, level_count_max=60, instrument_count_max=5, session_count_max=4, special_count_max=9)


def enter(wire: Wire, client_order_ids: range) -> list[tuple[int, int]]:
    """Orders to buy, which rest: the order id and the reason of each."""
    told = []
    for client_order_id in client_order_ids:
        wire.say(new_order(client_order_id=client_order_id, price=100 + client_order_id % 7))
        report = wire.hear_report()
        told.append((report["order_id"], report["reason"]))
    return told


def cancel(wire: Wire, *client_order_ids: int) -> None:
    """Their slots are free then, the last one to be taken first."""
    for client_order_id in client_order_ids:
        wire.say(encode_message("CancelOrder", client_order_id=client_order_id, instrument=1))
        assert wire.hear_report()["kind"] is EventKind.CANCELLED


def limits_in(directory: Path) -> list[Limits]:
    """Those of every DefineLimits of a journal."""
    with JournalReader(directory) as reader:
        commands = reader.read()
    found = commands[commands["kind"] == CommandKind.DEFINE_LIMITS]
    return [Limits(**{name: int(command[name]) for name in NAMES}) for command in found]


def assert_replays_agree(directory: Path, state_hash: int) -> None:
    """From the beginning, from each snapshot, and by the reference model: with the state that the venue had."""
    assert "FAILED" not in admin("verify", directory, "--reference").output
    for sequence in (0, *snapshot_sequences(directory)):
        with Replay(directory, snapshot=sequence) as replay:
            replay.run()
            assert replay.view is not None
            replay.view.check()
            assert replay.view.state_hash == state_hash, f"from the snapshot of command {sequence}"


def test_limits_are_raised_and_lowered_at_a_start(tmp_path: Path) -> None:
    """With snapshots before, between and after; ids, events and hashes are those of the venue in every replay."""
    config = venue_config(tmp_path, limits=FIRST, snapshots_kept=100, snapshot_commands=7)
    with Server(config) as server, Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two:
        assert server.summary is not None
        assert server.summary.limits_before is None
        one.log_on("ONE")
        two.log_on("TWO")
        enter(two, range(1, 2))  # a session number is used up by an order
        assert [reason for _, reason in enter(one, range(1, 21))] == [Reason.NONE] * 19 + [Reason.ORDER_LIMIT_REACHED]
        cancel(one, 3, 11, 7)
    with Server(replace(config, limits=SECOND)) as server, Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as three:
        assert server.summary is not None
        assert server.summary.limits_before == FIRST
        one.log_on("ONE", 0)
        assert three.log_on("THREE")["reason"] == Reason.NONE
        told = enter(three, range(101, 135))
        assert [reason for _, reason in told] == [Reason.NONE] * 33 + [Reason.ORDER_LIMIT_REACHED]
        # Freed last is taken first, as without a change; then the slots that were beyond the first limit.
        # Client order id n has slot n + 1.
        assert [order_id & 0xFFFF_FFFF for order_id, _ in told[:5]] == [8, 12, 4, 21, 22]
        assert [order_id >> 32 for order_id, _ in told[:5]] == [2, 2, 2, 1, 1]
        made = make_snapshot(tmp_path, 20.0)
        cancel(three, 102, 120)
        stopped = server.close()
    assert stopped is not None
    assert made.sequence in snapshot_sequences(tmp_path)
    assert limits_in(tmp_path) == [FIRST, SECOND]
    assert_replays_agree(tmp_path, stopped.state_hash)

    least = replace(SECOND, session_count_max=3, special_count_max=0, instrument_count_max=2, level_count_max=7)
    with Server(replace(config, limits=least)) as server, Wire(server.orders_endpoint) as three:
        three.log_on("THREE", 0)
        assert Wire(server.orders_endpoint).log_on("FOUR")["reason"] == Reason.SESSION_LIMIT_REACHED
        assert [order_id & 0xFFFF_FFFF for order_id, _ in enter(three, range(201, 203))] == [
            told[19][0] & 0xFFFF_FFFF,
            told[1][0] & 0xFFFF_FFFF,
        ]
        three.say(new_order(client_order_id=999, price=500))
        assert three.hear_report()["reason"] in (Reason.LEVEL_LIMIT_REACHED, Reason.ORDER_LIMIT_REACHED)
        stopped = server.close()
    assert stopped is not None
    assert limits_in(tmp_path) == [FIRST, SECOND, least]
    assert_replays_agree(tmp_path, stopped.state_hash)
    assert admin("repair", tmp_path, "--yes").stdout == "nothing is wrong\n"
    admin("dump", tmp_path, "--events")
    assert admin("diff", tmp_path, tmp_path).exit_code == 0
    # A name that was defined behind the change is known to what lists the commands.
    assert "THREE" in admin("dump", tmp_path).stdout


def test_limits_that_do_not_hold_what_is_there_are_refused_and_change_nothing(tmp_path: Path) -> None:
    """The error names each by its key, with what is configured and what is in use."""
    config = venue_config(tmp_path, limits=SECOND)
    with Server(config) as server, Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two:
        one.log_on("ONE")
        two.log_on("TWO")
        enter(two, range(1, 2))
        enter(one, range(1, 10))
    before = contents(tmp_path)
    for fields, found, allowed in (
        ({"order_count_max": 9}, "orders 9", "at least orders 10"),
        ({"level_count_max": 6}, "levels 6", "at least levels 7"),
        ({"session_count_max": 1}, "sessions 1", "at least sessions 2"),
        ({"session_count_max": 1, "order_count_max": 1}, "orders 1, sessions 1", "at least orders 10, sessions 2"),
    ):
        with pytest.raises(ConfigError, match=f"limits in .*found '{found}', allowed: {allowed}, which are in use"):
            Server(replace(config, limits=replace(SECOND, **fields))).start()
        assert contents(tmp_path) == before
    with Server(config) as server:
        assert server.summary is not None
        assert server.summary.limits_before is None
    assert limits_in(tmp_path) == [SECOND]


def test_a_session_number_above_a_gap_is_not_cut_off_at_a_start(tmp_path: Path) -> None:
    """Numbers that were lent and came back leave gaps. The start refuses what they do not fit into, and the venue goes on."""
    config = venue_config(tmp_path, limits=SECOND)
    with Server(config) as server, Wire(server.orders_endpoint) as one, Wire(server.orders_endpoint) as two:
        one.log_on("ONE")
        assert two.log_on("TWO")["session"] == 2
        enter(two, range(1, 2))
    with pytest.raises(ConfigError, match="found 'sessions 1', allowed: at least sessions 2, which are in use"):
        Server(replace(config, limits=replace(SECOND, session_count_max=1))).start()
    with Server(replace(config, limits=replace(SECOND, session_count_max=2))) as server, Wire(server.orders_endpoint) as one:
        assert one.log_on("ONE")["session"] == 1


def toml(path: Path, directory: Path, limits: Limits) -> Path:
    """The configuration of a venue in a process of its own."""
    keys = "".join(f"{key} = {getattr(limits, field)}\n" for field, key in LIMIT_KEYS.items() if key != "accounts_restricted")
    path.write_text(
        f'[server]\norders = "tcp://127.0.0.1:0"\nfeed = "tcp://127.0.0.1:0"\nrequests = ""\n[journal]\ndirectory = "{directory}"\n'
        f'segment_bytes = 65_536\nlow_water_bytes = 0\nsnapshot_commands = 5\n[limits]\n{keys}[[instruments]]\nsymbol = "AAPL"\n'
    )
    return path


@pytest.mark.slow
def test_a_venue_that_is_killed_at_a_change_starts_again(tmp_path: Path) -> None:
    """Right after the change, or at any byte of it on the disk: the next start finds the change made, or makes it."""
    directory = tmp_path / "data"
    first, second = toml(tmp_path / "first.toml", directory, FIRST), toml(tmp_path / "second.toml", directory, SECOND)
    with VenueProcess(first) as venue:
        venue.start()
        with Wire(venue.orders_endpoint) as wire:
            wire.log_on("ONE")
            enter(wire, range(1, 15))
            cancel(wire, 5, 9)
        venue.stop()
    venue = VenueProcess(second)
    assert venue.start()["limits_before"] == {name: getattr(FIRST, name) for name in NAMES}
    venue.kill()
    assert limits_in(directory) == [FIRST, SECOND]

    last, end = journal_end(directory)
    begin = 4_096
    assert end > begin
    for number, size in enumerate((begin, begin + 1, begin + 40, end - 1, end)):
        copy = tmp_path / f"cut-{number}"
        shutil.copytree(directory, copy)
        data = last.read_bytes()
        (copy / last.name).write_bytes(data[:size].ljust(len(data), b"\0"))
        if size < end:  # an event of a command that was not on disk was not written
            max(copy.glob("events-*.ome")).unlink()
        for limits in (SECOND, FIRST, SECOND):
            with Server(load_config(toml(tmp_path / "again.toml", copy, limits))) as server, Wire(server.orders_endpoint) as wire:
                wire.log_on("ONE", 0)
                assert server.summary is not None
                enter(wire, range(100 + server.summary.next_sequence, 102 + server.summary.next_sequence))
                stopped = server.close()
            assert stopped is not None
            assert_replays_agree(copy, stopped.state_hash)
        assert limits_in(copy) == [FIRST, SECOND, FIRST, SECOND], "a change that is there is not made again"


def test_used_up_sessions_are_had_by_a_larger_limit(tmp_path: Path) -> None:
    """Three names have logged on; with eight sessions a fourth may, and the first are known."""
    limits = replace(FIRST, session_count_max=3)
    config = venue_config(tmp_path, limits=limits)
    with Server(config) as server:
        for name in ("A", "B", "C"):
            with OrderEntry(server.orders_endpoint, name) as session:
                session.buy("AAPL", 1, at="1.00")
                assert next(iter(session.reports(5.0))).kind is EventKind.ACCEPTED
        with pytest.raises(LogonRefused, match="SESSION_LIMIT_REACHED"):
            OrderEntry(server.orders_endpoint, "D")
    with Server(replace(config, limits=replace(limits, session_count_max=8))) as server:
        for name in ("D", "A"):
            with OrderEntry(server.orders_endpoint, name) as session:
                session.buy("AAPL", 1, at="1.00")
                assert next(iter(session.reports(5.0))).kind is EventKind.ACCEPTED
