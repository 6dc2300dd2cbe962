"""Stories whose clients' ledgers are the venue's event log (tests/mishaps.py), and what the audit of ledgers would see."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import ledgers
import numpy as np
import pytest
from ledgers import REPORT_SIZE, Ledger, Lost, SessionName, audit
from mishaps import Mishap, Story, plan, tell
from venues import journal_commands, logged_events

from ome.codec import COMMAND, EVENT, RECORD_SIZE, record_bytes, records_of
from ome.codec.layouts import EXECUTION_REPORT_MESSAGE
from ome.enums import EventKind

pytestmark = pytest.mark.slow

SEEDS = range(1, 8)


def test_each_ledger_is_the_event_log_whatever_happens_to_clients_and_venue(tmp_path: Path) -> None:
    """PROTOCOL, A client that loses nothing. `tools/stories --count 200` tells more."""
    happened: Counter[str] = Counter()
    kinds: Counter[EventKind] = Counter()
    for seed in SEEDS:
        directory = tmp_path / str(seed)
        directory.mkdir()
        told = tell(seed, directory)
        print(f"seed {seed}: {told.as_line()}")
        assert told.audited.commands > 1_000
        happened += told.mishaps + told.skipped + told.frames
        kinds += told.audited.kinds
        shutil.rmtree(directory)
    assert set(happened) >= {*map(str, Mishap), "twice", "overtaken", "late"}
    assert set(kinds) == set(EventKind) - {EventKind.DEFINED, EventKind.DISPLAYED}


def test_a_plan_follows_from_its_seed() -> None:
    """And has each mishap."""
    for seed in range(20):
        assert plan(seed) == plan(seed) != plan(seed + 1)
        assert {planned.mishap for planned in plan(seed).mishaps} == set(Mishap)


def test_a_story_fails_where_the_venue_keeps_nothing(tmp_path: Path) -> None:
    """Policy `memory`: a venue that is killed has lost what it said, and its clients hear of it."""
    with pytest.raises(AssertionError, match=r"SEQUENCE_GAP|SessionLost|REPORTS_GONE"):
        tell(1, tmp_path, seconds=1.5, policy="memory")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a short story that ended well."""
    directory = tmp_path_factory.mktemp("told")
    with Story(11, directory, seconds=1.0) as story:
        story.run()
    return directory


@pytest.fixture
def story(told: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoiled."""
    return Path(shutil.copytree(told, tmp_path / "story"))


def all_ledgers(directory: Path) -> list[Ledger]:
    """Of all sessions and drop copies."""
    stems = sorted(path.stem for path in directory.glob("*.ledger"))
    return [Ledger(directory, SessionName.of(stem.replace("-", ":"))) for stem in stems]


def longest(directory: Path) -> Ledger:
    """The one with most reports."""
    sessions = (ledger for ledger in all_ledgers(directory) if not ledger.session.is_copy)
    return max(sessions, key=lambda ledger: ledger.path.stat().st_size)


def test_the_audit_passes_where_nothing_was_changed(story: Path) -> None:
    """There was something to compare; and more than one session."""
    found = audit(story / "journal", all_ledgers(story))
    assert Counter(ledger.session.is_copy for ledger in all_ledgers(story)) == {False: 6, True: len(plan(11).clients) - 4 + 1}
    assert found.reports > 200
    assert found.copies > 200
    assert {EventKind.ACCEPTED, EventKind.TRADE, EventKind.CANCELLED, EventKind.REJECTED} <= set(found.kinds)


Reports = list[bytes]


def without(reports: Reports, at: int) -> Reports:
    """One report is missing."""
    return reports[:at] + reports[at + 1 :]


def twice(reports: Reports, at: int) -> Reports:
    """One is there two times."""
    return [*reports[: at + 1], *reports[at:]]


def swapped(reports: Reports, at: int) -> Reports:
    """It and the next have changed places."""
    return [*reports[:at], reports[at + 1], reports[at], *reports[at + 2 :]]


def without_end(reports: Reports, at: int) -> Reports:
    """The last ones never came."""
    return reports[:at]


@pytest.mark.parametrize("spoil", [without, twice, swapped, without_end], ids=lambda spoil: spoil.__name__)
def test_the_audit_sees_a_report_that_is_missing_double_or_misplaced(story: Path, spoil: Callable[[Reports, int], Reports]) -> None:
    """It names the session, the report's number, what was found and what was expected."""
    ledger = longest(story)
    data = ledger.path.read_bytes()
    reports = [data[start : start + REPORT_SIZE] for start in range(0, len(data), REPORT_SIZE)]
    at = len(reports) // 2
    ledger.path.write_bytes(b"".join(spoil(reports, at)))
    number = at + 2 if spoil is twice else at + 1
    what = "the ledger ends before it" if spoil is without_end else r"found \w+ .* expected \w+ .* report_sequence"
    with pytest.raises(Lost, match=rf"{ledger.session}: report {number} of {len(reports)}: {what}"):
        audit(story / "journal", all_ledgers(story))


def test_the_audit_sees_a_report_too_many(story: Path) -> None:
    """One that the venue never made, with the next number."""
    ledger = longest(story)
    data = ledger.path.read_bytes()
    count = len(data) // REPORT_SIZE
    more = np.frombuffer(bytearray(data + data[-REPORT_SIZE:]), EXECUTION_REPORT_MESSAGE)
    more["report_sequence"][-1] += 1
    ledger.path.write_bytes(more.tobytes())
    with pytest.raises(Lost, match=rf"report {count + 1} of {count}: the ledger has more than there was"):
        audit(story / "journal", all_ledgers(story))


@pytest.mark.parametrize("name", [name for name in EXECUTION_REPORT_MESSAGE.names or () if name not in ("capacity", "algo_id")])
def test_the_audit_sees_a_field_that_is_another(story: Path, name: str) -> None:
    """Every field of a report, and of its header."""
    ledger = longest(story)
    reports = np.frombuffer(bytearray(ledger.path.read_bytes()), EXECUTION_REPORT_MESSAGE)
    at = int(np.flatnonzero(reports["kind"] == EventKind.TRADE)[0])
    value = EventKind.RESTED if name == "kind" else 134 if name == "template_id" else int(reports[name][at]) ^ 1
    reports[name][at] = value
    ledger.path.write_bytes(reports.tobytes())
    with pytest.raises(Lost, match=rf"{ledger.session}: report {at + 1} of"):
        audit(story / "journal", all_ledgers(story))


def test_the_audit_sees_a_byte_that_no_field_covers(story: Path) -> None:
    """The last of a report."""
    ledger = longest(story)
    data = bytearray(ledger.path.read_bytes())
    data[REPORT_SIZE - 1] = 1
    ledger.path.write_bytes(data)
    with pytest.raises(Lost, match=r"report 1 of .* bytes that no field covers"):
        audit(story / "journal", all_ledgers(story))


def test_the_audit_sees_a_command_that_was_never_sent(story: Path) -> None:
    """The journal has it, and the client does not know of it; or it was another."""
    path = min(story.glob(f"{longest(story).path.stem}.sent-*"))
    data = path.read_bytes()
    path.write_bytes(data[: 2 * RECORD_SIZE] + data[3 * RECORD_SIZE :])
    with pytest.raises(Lost, match=r"client 1: message 2 in the journal is not the one that was sent: found .*, sent "):
        audit(story / "journal", all_ledgers(story))
    path.write_bytes(data[: 5 * RECORD_SIZE])
    with pytest.raises(Lost, match=r"client 1: the journal has \d+ of its messages, it sent 4"):
        audit(story / "journal", all_ledgers(story))


def test_the_audit_sees_a_command_that_was_sent_and_is_not_in_the_journal(story: Path) -> None:
    """Of a client that was not killed, every command was taken in the end."""
    path = max(story.glob(f"{longest(story).path.stem}.sent-*"))
    data = path.read_bytes()
    path.write_bytes(data + data[-RECORD_SIZE:])
    with pytest.raises(Lost, match=r"message \d+ was sent, .* and is not in the journal"):
        audit(story / "journal", all_ledgers(story))


def test_the_audit_sees_a_command_that_was_taken_twice(story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a venue would take it that does not look at its number."""
    ledger = longest(story)
    commands = journal_commands(story / "journal")
    is_own = commands["session"] == ledger.reports()["session"][0]
    own = np.flatnonzero(is_own & (commands["session_sequence"] != 0))
    at = int(own[len(own) // 2])
    data = record_bytes(commands)
    double = records_of(data[: (at + 1) * RECORD_SIZE] + data[at * RECORD_SIZE :], COMMAND)
    monkeypatch.setattr(ledgers, "journal_commands", lambda _: double)
    monkeypatch.setattr(ledgers, "_audit_engine", lambda *_: None)
    with pytest.raises(Lost, match=f"{ledger.session}: the numbers of its messages in the journal are not 1 to"):
        audit(story / "journal", all_ledgers(story))


def test_the_audit_sees_an_event_that_is_not_by_the_rules(story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is held against the reference, too: a ledger that agrees with a wrong log is wrong."""
    events = records_of(bytearray(record_bytes(logged_events(story / "journal"))), EVENT)
    at = int(np.flatnonzero(events["kind"] == EventKind.TRADE)[0])
    events["quantity"][at] += 1
    monkeypatch.setattr(ledgers, "logged_events", lambda _: events)
    with pytest.raises(Lost, match=f"event {at + 1} of {len(events)} in the log is not what the reference makes"):
        audit(story / "journal", all_ledgers(story))


def test_the_audit_sees_a_session_that_nobody_opened(story: Path) -> None:
    """All sessions of the journal have a ledger."""
    with pytest.raises(Lost, match=f"the journal has sessions that nobody opened: {longest(story).session}"):
        audit(story / "journal", [ledger for ledger in all_ledgers(story) if ledger.session != longest(story).session])
