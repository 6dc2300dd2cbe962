"""What one operation of the engine costs in instructions is held to a stored bound, which no busy machine blurs."""

from __future__ import annotations

import shutil

import pytest

from bench import driver, instructions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bounds() -> dict[str, int]:
    """The bounds of this compiler and processor; the driver is built."""
    if not instructions.has_valgrind():
        pytest.skip("valgrind is not installed: nothing counts instructions")
    if shutil.which("c++") is None and shutil.which("g++") is None:
        pytest.skip("the benchmarks need a C++ compiler")
    driver.build()
    family = instructions.family()
    if family not in instructions.bounds():
        pytest.skip(f"no bounds are stored for {family}: python -m bench.instructions --store")
    return dict(instructions.bounds()[family])


@pytest.mark.parametrize("operation", instructions.OPERATIONS)
def test_an_operation_costs_no_more_instructions_than_its_bound(operation: str, bounds: dict[str, int]) -> None:
    """Adding a resting order, cancelling one by client order id, and filling one by an IOC order each stay within what is stored.

    Where a rule is worth more instructions, `python -m bench.instructions --store` moves the bound, and the change shows it.
    """
    counted = instructions.count(operation)
    assert 0 < counted <= bounds[operation], f"{operation}: {counted:.1f} instructions, bound {bounds[operation]}"


def test_counts_repeat_exactly(bounds: dict[str, int]) -> None:
    """Two counts of the same program are the same number, so that a bound can be tight."""
    assert bounds
    assert instructions.count("cancel") == instructions.count("cancel")


def test_a_bound_is_near_what_is_counted(bounds: dict[str, int]) -> None:
    """A bound far above the count guards nothing: when an operation has become a quarter cheaper, its bound is to be stored again."""
    for operation in instructions.OPERATIONS:
        assert bounds[operation] < instructions.count(operation) * 4 / 3
