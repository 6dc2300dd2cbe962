"""Files of cases: found, read, and taken apart into steps, expectations and symbols. `cases` says what is in them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from ome.errors import InvalidValueError

__all__ = [
    "STOPS",
    "WITH_LIMIT",
    "Json",
    "case_paths",
    "expectations_of",
    "order_type_of",
    "read_cases",
    "symbol_of",
    "symbols_of",
    "without_nothing",
]

WITH_LIMIT: Final = frozenset({"limit", "stop_limit"})
STOPS: Final = frozenset({"stop", "stop_limit"})

Json = Any
"""What a JSON file holds."""


def case_paths(paths: Path | str | Iterable[Path | str]) -> list[Path]:
    """The files meant: a folder stands for the `.json` files in it, by name. Raises InvalidValueError where there is none."""
    files: list[Path] = []
    for path in [Path(paths)] if isinstance(paths, (str, Path)) else map(Path, paths):
        files += sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise InvalidValueError("cases", found="no file", allowed="files of cases, or folders with .json files")
    return files


def read_cases(path: Path) -> list[Json]:
    """The cases of a file, each an object with `steps`, a list of objects, and `expect`, an object.

    Raises InvalidValueError for a file that cannot be read or holds something else.
    """
    allowed = "a JSON list of cases, each with a list of steps and an object of expectations"
    try:
        cases = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidValueError("cases", where=str(path), found=str(error), allowed=allowed) from error
    if not isinstance(cases, list):
        raise InvalidValueError("cases", where=str(path), found=type(cases).__name__, allowed=allowed)
    for number, case in enumerate(cases, 1):
        if not isinstance(case, dict) or not isinstance(case.get("steps"), list) or not isinstance(case.get("expect"), dict):
            raise InvalidValueError("case", where=f"{path}, case {number}", found=repr(case)[:80], allowed=allowed)
        if not all(isinstance(step, dict) for step in case["steps"]):
            raise InvalidValueError("steps", where=f"{path}, case {number}", found=repr(case["steps"])[:80], allowed="objects")
    return list(cases)


def without_nothing(given: Json) -> Json:
    """An object without the keys that say nothing: null and false."""
    return {key: value for key, value in given.items() if value is not None and value is not False}


def expectations_of(expect: Json, step_count: int) -> list[tuple[Json, Json]]:
    """Pairs of a number of steps and what is expected after them. Checkpoints are an object by that number, or a list of objects with it.

    The number is None, which no run reaches, where a checkpoint has another form.
    """
    final = without_nothing(expect)
    checkpoints = final.pop("checkpoints", [])
    pairs: list[tuple[Json, Json]] = []
    given = checkpoints.items() if isinstance(checkpoints, dict) else ((None, each) for each in checkpoints)
    for key, each in given:
        if not isinstance(each, dict):
            pairs.append((None, {}))
        elif key is not None:
            pairs.append((int(key) if key.isdecimal() else None, each))
        else:
            number = next((name for name, value in each.items() if isinstance(value, int)), None)
            pairs.append((each.get(number), {name: value for name, value in each.items() if name != number}))
    return [*pairs, (step_count, final)]


def symbols_of(steps: list[Json], expects: list[Json]) -> list[str | None]:
    """All symbols that the case names, and None where an order has none."""
    named = [symbol_of(step) for step in steps if step.get("op") == "new" or "symbol" in step]
    return list(dict.fromkeys([*named, *(symbol for expect in expects for symbol in expect.get("books", {}))])) or [None]


def symbol_of(step: Json) -> str | None:
    """The symbol that a step names, or None."""
    return str(step["symbol"]) if "symbol" in step else None


def order_type_of(step: Json) -> str:
    """The type of a new order."""
    return str(step.get("type", "limit"))
