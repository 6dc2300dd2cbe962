"""The plain path is a short cut and nothing else: a core without it does the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from differential import SETTINGS, compare
from library_market import LibraryMarket, built, loaded

from ome.messages import Limits

CSRC = Path(__file__).resolve().parents[1] / "csrc"


@pytest.fixture(scope="module")
def without_plain_path(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Limits], LibraryMarket]:
    """Makes engines of a core that was built without the plain path."""
    library = loaded(built(CSRC, tmp_path_factory.mktemp("general"), ["-DOME_WITHOUT_PLAIN_PATH"]))
    return lambda limits: LibraryMarket(library, limits)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_core_without_the_plain_path_says_the_same(name: str, without_plain_path: Callable[[Limits], LibraryMarket]) -> None:
    """Events and hashes are those of the reference, and so those of the core with it, on every flow."""
    found = compare(20_000 + len(name), 20_000, SETTINGS[name], make=without_plain_path)
    assert found is None, found
