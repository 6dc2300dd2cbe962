"""A venue that is killed under load, again and again (tests/kills.py says what must hold), and what the audit itself would see."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
from pathlib import Path

import pytest
from kills import (
    SECONDS,
    Auditor,
    Lost,
    Trader,
    gateway_of,
    kill_again_and_again,
    kill_gateways,
    trade_until_killed,
    trade_until_the_end,
)
from venues import VenueProcess, config_file

from ome.enums import EventKind, Reason


@pytest.mark.parametrize("policy", ["commit", pytest.param("async", marks=pytest.mark.slow)])
def test_nothing_that_was_said_is_lost_when_the_venue_is_killed(tmp_path: Path, policy: str) -> None:
    """D3: Three kills; one with `async`: what was written survives the process, if not the power. Source: docs/JOURNAL.md, Promises."""
    commands, _ = kill_again_and_again(tmp_path, 1, 3 if policy == "commit" else 1, policy)
    assert commands > 300


@pytest.mark.slow
def test_nothing_that_was_said_is_lost_in_many_kills(tmp_path: Path) -> None:
    """Ten kills from each of three seeds, at random moments. `tools/crash` does more."""
    swallowed = 0
    for seed in (2, 3, 4):
        directory = tmp_path / str(seed)
        directory.mkdir()
        commands, unheard = kill_again_and_again(directory, seed, 10, "commit")
        assert commands > 2_000
        swallowed += unheard
    assert swallowed > 0, "no kill fell between a command and its report: the audit was never needed"


@pytest.mark.slow
def test_nothing_is_lost_or_done_twice_when_the_gateway_is_killed(tmp_path: Path) -> None:
    """The venue goes on, another gateway answers, and every client hears every report once. `tools/crash --gateway` does more."""
    commands, seconds = kill_gateways(tmp_path, 1, 4)
    assert commands > 300
    assert len(seconds) == 4


@pytest.mark.slow
def test_nothing_is_lost_in_many_kills_of_the_gateway(tmp_path: Path) -> None:
    """Ten from each of two seeds."""
    for seed in (2, 3):
        directory = tmp_path / str(seed)
        directory.mkdir()
        commands, _ = kill_gateways(directory, seed, 10)
        assert commands > 1_000


@pytest.mark.slow
def test_a_gateway_that_is_frozen_is_replaced(tmp_path: Path) -> None:
    """It lives, and makes no turn: it is ended, and its clients go on with another one."""
    trader = Trader("FIRM1", 5)
    with VenueProcess(config_file(tmp_path)) as venue:
        venue.start()
        trader.connect(venue.orders_endpoint, reconnect=60.0)
        trader.send_many(10)
        trader.settle()
        frozen = gateway_of(venue.pid)
        os.kill(frozen, signal.SIGSTOP)
        trader.send_many(10)
        trader.settle()
        assert gateway_of(venue.pid) != frozen
        trader.leave()
        venue.stop()
    Auditor().audit(tmp_path / "journal", [trader])
    assert not trader.missed


@pytest.mark.slow
def test_a_journal_that_cannot_be_written_stops_the_venue_and_loses_nothing_that_was_said(tmp_path: Path) -> None:
    """D3: The first write that fails ends it: clients hear it, it names call and file, exits 1; the next start has all that was said."""
    traders = [Trader("FIRM1", 5), Trader("FIRM2", 6)]
    auditor = Auditor()
    with VenueProcess(config_file(tmp_path)) as venue:
        venue.start()
        for trader in traders:
            trader.connect(venue.orders_endpoint)
        resource.prlimit(venue.pid, resource.RLIMIT_FSIZE, (150_000, 150_000))  # less than a segment: a write beyond it fails
        trade_until_the_end(traders)
        code, errors = venue.wait_for_failure()
        assert code == 1
        call = r"error: call \w+ in .*/journal/(?:journal|events)-\d{20}\.ome: found 'File too large', "
        safe = re.search(call + r"allowed: success; everything up to command ([\d,]+) is on disk, no later one was acknowledged", errors)
        assert safe is not None, errors
        auditor.audit(tmp_path / "journal", traders)
        durable = int(safe[1].replace(",", ""))
        assert max(said.engine_sequence for trader in traders for said in trader.heard) <= durable <= auditor.sequence
        assert 500 < auditor.sequence < 150_000 // 74
        assert venue.start()["recovered_commands"] == auditor.sequence
        for trader in traders:
            trader.connect(venue.orders_endpoint)
            trader.reconcile()


def test_the_audit_fails_where_nothing_is_kept(tmp_path: Path) -> None:
    """Policy `memory` keeps nothing: the audit must see that what was said is gone."""
    traders = [Trader("FIRM1", 1), Trader("FIRM2", 2)]
    with VenueProcess(config_file(tmp_path, policy="memory")) as venue:
        venue.start()
        for trader in traders:
            trader.connect(venue.orders_endpoint)
        trade_until_killed(venue, traders, SECONDS / 2)
    with pytest.raises(Lost, match="was reported, the journal ends at 0"):
        Auditor().audit(tmp_path / "journal", traders)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Trader]]:
    """A journal after a kill, and its clients."""
    directory = tmp_path_factory.mktemp("killed")
    traders = [Trader("FIRM1", 3), Trader("FIRM2", 4)]
    with VenueProcess(config_file(directory)) as venue:
        venue.start()
        for trader in traders:
            trader.connect(venue.orders_endpoint)
        trade_until_killed(venue, traders, SECONDS / 2)
    return directory / "journal", traders


def test_the_audit_fails_where_the_last_command_that_was_reported_is_missing(killed: tuple[Path, list[Trader]], tmp_path: Path) -> None:
    """A journal that ends one reported command too early is a loss, and is seen as one."""
    journal, traders = killed
    reported = max(said.engine_sequence for trader in traders for said in trader.heard)
    shorter = tmp_path / "journal"
    shutil.copytree(journal, shorter, ignore=shutil.ignore_patterns("snapshot-*", "events-*"))  # which would be ahead of it
    for path in sorted(shorter.glob("journal-*.ome")):
        first = int(path.name[8:28])
        offset = 4096 + 74 * max(0, reported - first)
        data = path.read_bytes()
        path.write_bytes(data[:offset] + bytes(max(0, len(data) - offset)))
        if first > reported:
            path.unlink()
    with pytest.raises(Lost, match=f"command {reported} was reported, the journal ends at {reported - 1}"):
        Auditor().audit(shorter, traders)


@pytest.mark.parametrize("wrong", ["leaves_quantity", "order_id", "trade_id", "report_sequence"])
def test_the_audit_fails_where_one_word_was_another(killed: tuple[Path, list[Trader]], wrong: str) -> None:
    """A client that heard one number other than the journal's is seen."""
    journal, traders = killed
    heard = traders[0].heard
    index = next(index for index, said in enumerate(heard) if said.kind == EventKind.TRADE and said.leaves_quantity)
    said = heard[index]
    heard[index] = said._replace(**{wrong: getattr(said, wrong) + 1})
    try:
        with pytest.raises(Lost, match="FIRM1 heard"):
            Auditor().audit(journal, traders)
    finally:
        heard[index] = said


def test_the_audit_passes_where_nothing_is_wrong(killed: tuple[Path, list[Trader]]) -> None:
    """The same journal and the same clients, unchanged; and there was something to audit."""
    journal, traders = killed
    reasons = {Reason(said.reason) for trader in traders for said in trader.heard}
    kinds = {EventKind(said.kind) for trader in traders for said in trader.heard}
    assert kinds >= {EventKind.ACCEPTED, EventKind.TRADE, EventKind.CANCELLED, EventKind.REDUCED, EventKind.AMENDED, EventKind.REJECTED}
    assert Reason.ZERO_QUANTITY in reasons
    Auditor().audit(journal, traders)
