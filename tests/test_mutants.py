"""Deliberate faults of the core: each is caught by a flow that the core and the reference take side by side, or the tests do not test."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text())["mutant"]


def test_every_group_of_rules_has_a_fault() -> None:
    """At least 25 faults, each of a rule that the page has, with one of every family."""
    page = (ROOT / "docs" / "RULES.md").read_text()
    assert len(MUTANTS) >= 25
    rules = [mutant["rule"] for mutant in MUTANTS if "rule" in mutant]
    assert {rule[0] for rule in rules} >= set("PTSIAXD")
    assert [rule for rule in rules if f"\n| {rule} | " not in page] == []


def test_every_fault_has_a_rule_or_a_test() -> None:
    """Those of what reaches the disk have no rule, and name the C test that must fail."""
    assert all(("rule" in mutant) != ("test" in mutant) for mutant in MUTANTS)
    tests = {mutant["test"] for mutant in MUTANTS if "test" in mutant}
    assert tests >= {"test_faults", "test_power_cuts"}
    assert [test for test in tests if not (ROOT / "tests" / "c" / f"{test}.c").exists()] == []


@pytest.mark.slow
def test_every_fault_is_caught() -> None:
    """tools/mutants says by what."""
    found = subprocess.run([sys.executable, str(ROOT / "tools" / "mutants")], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-2000:]
    assert f"{len(MUTANTS)} faults" in found.stdout
