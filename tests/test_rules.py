"""docs/RULES.md and the tests hold each other: every rule has a test that names it, and every test that the page names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from ome.attributes import ATTRIBUTES
from ome.codec import EVENT_ROW
from ome.enums import Reason

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "RULES.md"
_ROW = re.compile(r"^\| ([A-Z]\d+) \| .* \| (.*)\|$", re.MULTILINE)
EMBEDDING = HERE.parent / "docs" / "EMBEDDING.md"
JOURNAL = HERE.parent / "docs" / "JOURNAL.md"
CSRC = HERE.parent / "csrc"
FAMILIES = "PTSIAXD"
TO_COME = {"T8", "S5"}  # of auctions
_RULE_ID = re.compile(r"\b[A-Z]\d+\b")


def rules_of_page(page: str) -> dict[str, list[str]]:
    """Each rule id of the table, with the tests that its last column names."""
    return {rule: re.findall(r"`(\w+)`", tests) for rule, tests in _ROW.findall(page)}


def rules_of_tests(sources: list[str]) -> dict[str, set[str]]:
    """Each test function that opens its docstring with rule ids (`P1: ...`, `P1, P4: ...`), with those ids."""
    found: dict[str, set[str]] = {}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                head = (ast.get_docstring(node) or "").partition(":")[0]
                found.setdefault(node.name, set()).update(_RULE_ID.findall(head) if re.match(r"[A-Z]\d", head) else ())
    return found


RULES = rules_of_page(PAGE.read_text())
TESTS = rules_of_tests([path.read_text() for path in sorted(HERE.glob("test_*.py"))])


def test_the_page_has_its_rules() -> None:
    """Every rule that the reader of the page sees is read here: seven families, each counted from 1; only rules of auctions are to come."""
    assert len(RULES) == PAGE.read_text().split("## What each command says")[0].count("\n| ") - 1
    assert "".join(dict.fromkeys(rule[0] for rule in RULES)) == FAMILIES
    for family in FAMILIES:
        numbers = [int(rule[1:]) for rule in RULES if rule[0] == family]
        assert numbers == sorted(set(numbers)), family
        gaps = {f"{family}{number}" for number in range(1, max(numbers))} - set(RULES)
        assert gaps <= TO_COME, family


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_test_that_names_it(rule: str) -> None:
    """A rule without a test whose docstring opens with its id is a wish."""
    assert [name for name, rules in TESTS.items() if rule in rules], f"no test names {rule}"
    assert RULES[rule], f"the page names no test of {rule}"


@pytest.mark.parametrize("rule", RULES)
def test_every_test_that_the_page_names_exists_and_names_the_rule(rule: str) -> None:
    """The page's last column is true."""
    for name in RULES[rule]:
        assert name in TESTS, f"{rule}: {name} does not exist"
        assert rule in TESTS[name], f"{rule}: the docstring of {name} opens with {sorted(TESTS[name]) or 'no rule'}"


def test_tests_name_no_rule_that_the_page_does_not_have() -> None:
    """A test that holds a rule which is not on the page holds nothing that a reader can know."""
    assert {rule for rules in TESTS.values() for rule in rules} <= set(RULES)


def test_a_rule_without_a_test_is_seen() -> None:
    """The readers above can fail: an id, a name and a docstring that is none are told apart."""
    assert rules_of_page("| Id | Rule | Tests |\n| Z1 | Text | `test_a`, `test_b` |\n| Z2 | Text | |\n") == {
        "Z1": ["test_a", "test_b"],
        "Z2": [],
    }
    source = 'def test_a():\n    """Z1, Z3: text Z9."""\ndef test_b():\n    """Holds Z2: text."""\ndef test_c():\n    pass\n'
    assert rules_of_tests([source]) == {"test_a": {"Z1", "Z3"}, "test_b": set(), "test_c": set()}


def test_what_the_page_on_embedding_names_is_there() -> None:
    """Functions, fields and flags in the headers or in Python, and each kind of event with the table that the page refers to."""
    text = EMBEDDING.read_text()
    headers = [*CSRC.glob("*.h"), *(CSRC / "abi").glob("*.h"), CSRC / "engine" / "ome_engine_limits.h", CSRC / "engine" / "ome_sink.h"]
    declared = "".join(path.read_text() for path in headers)
    sources = "".join(path.read_text() for path in (HERE.parent / "ome").rglob("*.py"))
    in_c, _, in_python = text.partition("## In Python")
    for name in re.findall(r"`(ome_\w+|[a-z]+_[a-z_]+|[A-Z_]{4,})`", in_c):
        assert re.search(rf"\b(OME_EVENT_FLAGS_)?{name}\b", declared), name
    for name in re.findall(r"`([A-Za-z_.]+)`", in_python):
        word = name.removesuffix(".h").rpartition(".")[2]
        assert re.search(rf"\b{word}\b", sources + declared), name
    for row in re.findall(r"^\| ([A-Z_, ]+) \|", in_c, re.MULTILINE):
        for kind in row.split(", "):
            assert f"### {kind.title().replace('_', '')} (template" in JOURNAL.read_text(), kind
    columns = {name for row in re.findall(r"^\| (`.*?`) \|", in_python, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert set(EVENT_ROW.names or ()) - set(ATTRIBUTES) <= columns


def _reasons_of_page(column: int) -> list[str]:
    """The reasons of a column of the table of checks, top to bottom, each where it comes first."""
    table = PAGE.read_text().split("\n| All | NewOrder |", 1)[1].split("\n\n", 1)[0]
    cells = [line.strip("|").split("|")[column] for line in table.splitlines()[2:]]
    found = [reason for cell in cells for reason in re.findall(r"\b[A-Z][A-Z]+(?:_[A-Z]+)+\b", cell) if reason in Reason.__members__]
    return list(dict.fromkeys(found))


def _reasons_of_core(commands: set[str]) -> list[str]:
    """The reasons of the core's rows for any of these commands, each where it comes first."""
    text = (CSRC / "orders" / "ome_admission_table.c").read_text()
    rows = re.findall(r"^    ROW\((\w+), ([A-Z_| ]+), \w+\)", text, re.MULTILINE)
    found = [reason for reason, names in rows if commands & {name.strip() for name in names.split("|")}]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(
    ("column", "commands"),
    [(1, {"NEW", "NEW_WITH_OPTIONS"}), (2, {"CANCEL", "REDUCE", "AMEND", "REFERENCE"})],
    ids=["a new order", "a command on an order"],
)
def test_the_table_of_checks_in_the_core_is_that_of_the_page(column: int, commands: set[str]) -> None:
    """Reason by reason, in the order in which they are asked."""
    everywhere = [reason for reason in _reasons_of_page(0) if reason in _reasons_of_core(commands)]
    assert everywhere
    assert _reasons_of_core(commands) == everywhere + [reason for reason in _reasons_of_page(column) if reason not in everywhere]
