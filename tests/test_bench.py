"""Every benchmark runs and its checks hold. With tiny counts, so nothing here says anything of speed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import driver, registry
from bench.driver import DriverError
from bench.figure import Figure, Sample, compare
from bench.options import Options

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
    assert figure.config["repetitions"] == TINY.repeat
    for key in ("cpu", "cores", "compiler", "clock", "yardstick", "ratio_min", "ratio_max", "ns_per_operation"):
        assert key in figure.config
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
    """The median does not exceed the 99th percentile, nor that the 99.9th, for either book."""
    output = driver.run("book-mixed", count=20_000, repeat=1, seed=7)
    for subject in ("ome", "textbook"):
        (line,) = output.of("latency", subject)
        assert int(str(line["p50_ns"])) <= int(str(line["p99_ns"])) <= int(str(line["p99.9_ns"]))


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
