"""Every benchmark runs and its checks hold. With tiny counts, so nothing here says anything of speed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile import ATTACKS

from bench import driver, registry
from bench.driver import DriverError
from bench.figure import Figure, Sample, compare
from bench.options import Options
from ome.codec import COMMAND, define_limits, encode_commands
from ome.engine import Engine
from ome.enums import CommandKind
from ome.messages import Limits

pytestmark = pytest.mark.slow  # programs are built, and each figure runs

ROOT = Path(__file__).resolve().parent.parent
TINY = Options(count=3_000, repeat=2, seed=7)


@pytest.fixture(scope="session", autouse=True)
def built_driver() -> None:
    """The driver, built where it is stale."""
    if shutil.which("c++") is None and shutil.which("g++") is None:
        pytest.skip("the textbook book needs a C++ compiler")
    driver.build()


@pytest.mark.parametrize("name", registry.FIGURES)
def test_each_figure_has_a_value_beside_its_yardstick(name: str) -> None:
    """A figure is its median, the yardstick's in the same unit, and the ratio of the two; its configuration says how it was measured."""
    figure = registry.FIGURES[name](TINY)
    assert figure.name == name
    assert figure.value > 0
    assert figure.ratio == pytest.approx(figure.value / figure.yardstick)
    assert figure.config["repetitions"] == (1 if name == "memory" else TINY.repeat)
    for key in ("cpu", "cores", "compiler", "clock", "yardstick", "ratio_min", "ratio_max"):
        assert key in figure.config
    assert figure.better == ("higher" if figure.unit == "operations/s" else "lower")
    assert ("ns_per_operation" in figure.config) == (figure.unit in {"operations/s", "us"})
    assert json.loads(figure.as_json())["value"] == figure.value


def test_a_ratio_is_of_medians_and_its_spread_of_neighbours() -> None:
    """Runs of 10, 20 and 40 ns beside 20, 20 and 20 ns: the medians are equal, the neighbours differ by a factor of two either way."""
    ours = [Sample(operations=1, elapsed_ns=ns) for ns in (10, 20, 40)]
    theirs = [Sample(operations=1, elapsed_ns=20)] * 3
    figure = compare("it", ours, theirs, yardstick="other", clock="none", config={})
    assert (figure.ratio, figure.config["ratio_min"], figure.config["ratio_max"]) == (1.0, 0.5, 2.0)
    assert figure.config["ns_per_operation"] == 20


def test_the_mixed_flow_has_the_mix_that_it_promises() -> None:
    """About 35 % cancels, 47 % new orders, 8 % IOC orders, 5 % reduces and 5 % amends, and a book of 10,000 to 20,000 orders."""
    count = 400_000  # the book has filled after some 20,000
    flow = driver.run("book-mixed", count=count, repeat=1, seed=7).one("flow")
    shares = {name: int(str(flow[name])) / count for name in ("cancels", "new_orders", "ioc_orders", "reduces", "amends")}
    expected = {"cancels": 0.35, "new_orders": 0.47, "ioc_orders": 0.08, "reduces": 0.05, "amends": 0.05}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares == pytest.approx(expected, abs=0.05)
    assert 10_000 <= int(str(flow["orders_at_rest_max"])) <= 20_000


def test_the_wide_flow_spreads_over_instruments_and_favours_some() -> None:
    """4,096 instruments are defined; in the timed mix the first tenth of them gets about (1/10)^(1/3) = 46 % of the new orders."""
    flow = np.frombuffer(driver.run_bytes("flow-wide", count=100_000, repeat=1, seed=7), dtype=COMMAND)
    assert np.array_equal(flow["instrument"][:4096], np.arange(1, 4097))
    assert set(flow["kind"][:4096]) == {CommandKind.DEFINE_INSTRUMENT}
    instruments = flow["instrument"][4096:][flow["kind"][4096:] == CommandKind.NEW_ORDER]
    assert (instruments <= 410).mean() == pytest.approx(0.464, abs=0.02)
    assert instruments.max() > 4_000
    assert set(np.unique(flow["participant"][4096:])) == set(range(1, 17))


def test_the_churn_flow_has_the_mix_that_it_promises() -> None:
    """Of all new orders 15 % are IOC; of the others 20 % are amended and 95 % cancelled, some too late; the book stays small."""
    flow = driver.run("book-churn", count=400_000, repeat=1, seed=7).one("flow")
    counts = {key: int(str(value)) for key, value in flow.items() if key not in {"flow"}}
    passive = counts["new_orders"]
    assert counts["ioc_orders"] / (passive + counts["ioc_orders"]) == pytest.approx(0.15, abs=0.01)
    assert counts["amends"] / passive == pytest.approx(0.2, abs=0.02)
    assert counts["cancels"] / passive == pytest.approx(0.96, abs=0.04)
    assert 0.01 < counts["rejects"] / counts["commands"] < 0.15
    assert 1_000 < counts["orders_at_rest_max"] <= 4_000


def test_churn_hands_over_every_event_of_every_subject() -> None:
    """The drainer reads of engine and textbook the same events, and of the null engine one for each command."""
    output = driver.run("book-churn", count=20_000, repeat=2, seed=7)
    events = {subject: {int(str(line["events"])) for line in output.of("sample", subject)} for subject in ("ome", "textbook", "null")}
    assert events["null"] == {20_000}
    assert events["ome"] == events["textbook"] == {int(str(output.one("check")["events"])) - 1}


def test_memory_of_an_order_is_near_what_its_structures_hold() -> None:
    """What is resident is at least what the structures of the engine hold, and more only by the rounding to pages."""
    figure = registry.FIGURES["memory"](Options(count=100_000, repeat=1, seed=7))
    orders = int(str(figure.config["orders"]))
    structure = float(str(figure.config["bytes_by_structure"]))
    assert orders == 1_000_000
    assert structure > 48 + 8
    assert structure <= figure.value <= structure + 16 * 2**20 / orders


def test_the_deep_flow_builds_a_book_without_a_trade() -> None:
    """Every order of the build rests: nothing trades, and all are at rest at the end."""
    output = driver.run("book-deep-build", count=30_000, repeat=1, seed=7)
    assert output.one("flow")["orders_at_rest_end"] == 30_000
    assert output.one("check")["trades"] == 0


def test_the_seed_flow_trades_every_second_order() -> None:
    """A sell and a buy in turn: each pair is one trade."""
    assert driver.run("book-seed", count=1_000, repeat=1, seed=7).one("check")["trades"] == 500


def test_the_same_seed_gives_the_same_flow_and_another_seed_another() -> None:
    """A flow is a function of its count and its seed."""
    flows = [driver.run_bytes("flow-mixed", count=2_000, repeat=1, seed=seed) for seed in (7, 7, 8)]
    assert flows[0] == flows[1]
    assert flows[0] != flows[2]
    assert len(flows[0]) == 2_001 * 64


def test_latency_percentiles_are_in_order() -> None:
    """The median does not exceed the 99th percentile, nor that the 99.9th, for either book, whether of all commands or of IOC orders."""
    output = driver.run("book-mixed-latency", count=20_000, repeat=1, seed=7)
    for subject in ("ome", "textbook"):
        (line,) = output.of("latency", subject)
        for prefix in ("", "ioc_"):
            p50, p99, p999 = (int(str(line[f"{prefix}{name}_ns"])) for name in ("p50", "p99", "p99.9"))
            assert 0 < p50 <= p99 <= p999


def test_latency_of_a_command_is_the_least_of_its_passes() -> None:
    """With the clock's own cost put back, no percentile of the least times exceeds that of any single pass."""
    output = driver.run("book-mixed-latency", count=20_000, repeat=4, seed=7)
    for subject in ("ome", "textbook"):
        (least,) = output.of("latency", subject)
        passes = output.of("pass", subject)
        assert len(passes) == 4
        for key in ("p50_ns", "p99.9_ns", "ioc_p99.9_ns"):
            assert all(
                int(str(least[key])) + int(str(least["clock_ns"])) <= int(str(one[key])) + int(str(one["clock_ns"])) for one in passes
            )


def test_no_group_of_the_journal_is_larger_than_the_ring() -> None:
    """Four producers of 16 a claim: all commands become durable, in groups that the ring of 32,768 slots can hold."""
    output = driver.run("journal-commit", count=50_000, repeat=2, seed=7)
    for line in output.of("sample", "ome"):
        assert line["operations"] == 50_048, "whole rounds of 64"
        assert 50_048 / 32_768 <= int(str(line["commits"])) <= 50_048 / 16


def test_each_single_order_has_a_commit_of_its_own_under_commit_only() -> None:
    """One order at a time leaves nothing to be grouped: as many commits as orders, and none where there is no journal."""
    output = driver.run("commit-latency", count=200, repeat=1, seed=7)
    commits = {subject: int(str(output.of("latency", subject)[0]["commits"])) for subject in ("commit", "memory", "disk")}
    assert commits["commit"] >= 200
    assert commits["memory"] == 0
    assert commits["disk"] >= 200


def test_a_replay_ends_in_the_state_that_the_flow_leads_to() -> None:
    """The state hash that replay and bare matcher agree on is that of an embedded engine that gets limits and flow."""
    flow = np.frombuffer(driver.run_bytes("flow-mixed", count=5_000, repeat=1, seed=7), dtype=COMMAND)
    limits = Limits(order_count_max=65_536, level_count_max=65_536, instrument_count_max=1, session_count_max=1, special_count_max=0)
    engine = Engine(limits=limits)
    engine.apply_records(encode_commands([define_limits(limits)]))
    engine.apply_records(flow)
    found = driver.run("replay", count=5_000, repeat=1, seed=7).one("flow")
    assert found["state_hash"] == f"{engine.state_hash:016x}"


def test_stretches_with_a_snapshot_and_without_take_turns() -> None:
    """Each snapshot has a stretch without one beside it that is as long; percentiles are in order; the book stays as deep as it was."""
    output = driver.run("snapshot", count=5_000, repeat=3, seed=7)
    with_one, without = output.of("pause", "ome"), output.of("pause", "quiet")
    assert [line["subject"] for line in output.lines if line["type"] == "pause"] == ["ome", "quiet"] * 3
    for line in [*with_one, *without]:
        p50, p999, p100 = (int(str(line[f"{name}_ns"])) for name in ("p50", "p99.9", "p100"))
        assert 0 < p50 <= p999 <= p100
    for ours, other in zip(with_one, without, strict=True):
        assert int(str(ours["write_ns"])) > 0
        assert other["write_ns"] == 0
        assert int(str(ours["elapsed_ns"])) <= int(str(other["elapsed_ns"]))
    assert output.one("flow")["orders"] in {5_000, 5_001}, "an order may have come without its cancel yet"


def test_a_snapshot_that_is_restored_has_every_order() -> None:
    """All orders of the deep build are there again, from a file that has at least price, quantity and client order id of each."""
    flow = driver.run("restore", count=5_000, repeat=1, seed=7).one("flow")
    assert flow["orders"] == 5_000
    assert int(str(flow["snapshot_bytes"])) > 5_000 * 24


@pytest.mark.parametrize(("name", "gateway"), [("wire-1", "thread"), ("wire-64-process", "process"), ("wire-curve-64", "thread")])
def test_a_figure_of_the_wire_says_where_the_gateway_runs(name: str, gateway: str) -> None:
    """And how often its threads were woken for an operation: now and then for a frame."""
    config = registry.FIGURES[name](TINY).config
    assert config["gateway"] == gateway
    assert 0 < float(str(config["wakeups_per_operation"])) < 100


def test_a_round_trip_wakes_threads_in_each_process_of_the_venue() -> None:
    """Each order finds a venue that sleeps: somebody is woken, and more often where the gateway is a process of its own."""
    thread, process = (registry.FIGURES[name](TINY).config for name in ("rtt", "rtt-process"))
    assert (thread["gateway"], process["gateway"]) == ("thread", "process")
    assert 1 <= float(str(thread["wakeups_per_operation"])) < float(str(process["wakeups_per_operation"]))
    assert 0 < float(str(thread["wakeup_us"])) < 10_000


def test_the_yardstick_of_a_durable_round_trip_is_the_sum_of_its_parts() -> None:
    """With one run of each, medians are what was measured: the round trip without the disk, and 1.5 bare syncs."""
    figure = registry.FIGURES["rtt-commit"](Options(count=3_000, repeat=1, seed=7))
    assert figure.config["policy"] == "commit"
    assert figure.yardstick == pytest.approx(float(str(figure.config["async_us"])) + 1.5 * float(str(figure.config["sync_us"])))


def test_sessions_share_all_that_is_sent() -> None:
    """The mean is the total over the sessions; the slowest is not above it, the fastest not below."""
    figure = registry.FIGURES["sessions-200"](TINY)
    assert figure.yardstick * 200 == pytest.approx(float(str(figure.config["total_per_second"])))
    assert figure.ratio <= 1 <= float(str(figure.config["fastest"]))


def test_a_frozen_client_is_given_up_after_three_heartbeats() -> None:
    """Its orders are not cancelled before; those of a killed one are, without waiting."""
    figure = registry.FIGURES["disconnect"](TINY)
    frozen_ms = float(str(figure.config["frozen_ms"]))
    assert 2 * 100 < frozen_ms < 10_000
    assert figure.value < frozen_ms


def test_every_attack_has_its_ratio() -> None:
    """The worst one is the figure's."""
    figure = registry.FIGURES["hostile"](TINY)
    ratios = figure.config["ratios"]
    assert isinstance(ratios, dict)
    assert set(ratios) <= set(ATTACKS)
    assert len(ratios) == 5
    assert figure.ratio == pytest.approx(max(ratios.values()))


def test_a_wrong_call_of_the_driver_is_an_error() -> None:
    """The driver ends with 2 for an unknown name and for a count of 0; the caller hears of it."""
    with pytest.raises(DriverError, match="unknown name"):
        driver.run("nothing", count=1, repeat=1, seed=1)
    with pytest.raises(DriverError, match="not allowed"):
        driver.run("book-seed", count=0, repeat=1, seed=1)


def test_the_command_prints_json_and_refuses_unknown_names() -> None:
    """`bench/run --json` prints one object a figure; a name that means nothing ends with 2 and the allowed names."""
    command = [sys.executable, str(ROOT / "bench" / "run")]
    done = subprocess.run([*command, "book-seed", "--quick", "--json"], capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) == set(Figure.__slots__)
    refused = subprocess.run([*command, "nothing"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "book-mixed" in refused.stderr
