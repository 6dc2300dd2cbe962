"""A venue that is soaked for a minute, and what the slope test would see. `tools/soak` does it for hours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from crowd import VISITS
from soaks import Restart, Result, Sample, Soak


@pytest.mark.slow
def test_nothing_grows_while_sessions_come_and_go_in_every_way(tmp_path: Path) -> None:
    """A minute and a half with four restarts: every report came, and nothing but times may have changed. Source: docs/THREATS.md."""
    with Soak(tmp_path, 90.0, rate=2_000.0, seed=1) as soak:
        for _ in soak.run():
            pass
        result = soak.result
    assert result.failures == [], "\n".join([*result.table(), *result.failures])
    assert result.grows(timing=False) == [], "\n".join(result.table())
    assert len(result.restarts) == 4
    assert set(result.visits) >= {visit.__name__.lstrip("_") for visit in VISITS} | {"killed", "stopped for seconds, continued, killed"}
    assert result.orders > 10_000
    assert result.honest_orders > 1_000


def _result(grown: float = 0.0, *, spike: float = 0.0, name: str = "resident_mb") -> Result:
    """A hundred samples of a flat venue, but for one measure that grows by so much from beginning to end, or has a spike."""
    flat = Sample(at_s=0.0, resident_mb=100.0, descriptors=20, threads=10, files=5, p50_ms=1.0, p99_ms=5.0)
    result = Result(seconds=100.0)
    for number in range(101):
        value = getattr(flat, name) + grown * number / 100 + (spike if number == 77 else 0.0)
        result.samples.append(replace(flat, at_s=float(number), **{name: value}))
    return result


def test_a_flat_venue_grows_nowhere() -> None:
    """And a single spike is no growth."""
    assert _result().grows() == []
    assert _result(spike=1_000.0).grows() == []


@pytest.mark.parametrize(
    ("name", "grown"), [("resident_mb", 30.0), ("descriptors", 30), ("threads", 4), ("files", 20), ("p50_ms", 4.0), ("p99_ms", 20.0)]
)
def test_what_grows_is_named(name: str, grown: float) -> None:
    """A slope in the second half above its tolerance."""
    found = _result(grown, name=name).grows()
    assert [text.split()[0] for text in found] == [name]
    assert bool(_result(grown, name=name).grows(timing=False)) == (not name.endswith("_ms"))


def test_a_restart_that_takes_longer_and_longer_and_files_that_stay_are_named() -> None:
    """Restarts and archives are compared from the first to the last."""
    result = _result()
    result.restarts = [Restart(at_s=50.0 * n, stop_s=0.1, start_s=0.5 + 2 * n, files=10 + 10 * n, archived=1) for n in range(3)]
    assert [text.split()[0] for text in result.grows()] == ["restart", "30"]
