"""What a case may use, and what it needs that is not there: then it is skipped, by the name of what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ome.conformance.case_files import STOPS, WITH_LIMIT, Json, order_type_of
from ome.messages import NULL_VALUE

__all__ = ["missing_of"]

# What can be run: operation, key, values. `int` is any whole number that a record holds, `bool` what is there or not, `object` anything
# that names something.
SUPPORTED: Final[Mapping[str, Mapping[str, type | frozenset[str]]]] = {
    "new": {
        "id": object,
        "side": frozenset({"buy", "sell"}),
        "type": frozenset({"limit", "market", "stop", "stop_limit"}),
        "tif": frozenset({"gtc", "day", "gtd", "ioc", "fok", "fok_budget"}),
        "qty": int,
        "price": int,
        "stop_price": int,
        "display_qty": int,
        "min_qty": int,
        "slippage": int,
        "budget": int,
        "expire_time": int,
        "post_only": bool,
        "hidden": bool,
        "stp": frozenset({"none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"}),
        "acct": object,
        "symbol": object,
    },
    "cancel": {"id": object, "acct": object, "symbol": object},
    "reduce": {"id": object, "qty": int, "acct": object, "symbol": object},
    "amend": {
        "id": object,
        "price": int,
        "qty": int,
        "total_qty": int,
        "stop_price": int,
        "post_only": bool,
        "acct": object,
        "symbol": object,
    },
    "mass_cancel": {"side": frozenset({"buy", "sell"}), "acct": object, "symbol": object},
    "set_last": {"price": int, "symbol": object},
}
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "new": ("id", "side", "qty"),
    "cancel": ("id",),
    "reduce": ("id", "qty"),
    "amend": ("id",),
    "mass_cancel": (),
    "set_last": ("price",),
}
EXPECTATIONS: Final = frozenset({"trades", "book", "books", "rejected", "cancelled", "waiting_stops"})
# Labels of a case that name a way for the venue to behave which its steps alone may not show: with the key of the steps that does show
# it, or None where nothing does.
SHOWN_BY: Final[Mapping[str, str | None]] = {
    "auction": None,
    "expiry": None,
    "halt": None,
    "hidden": "hidden",
    "iceberg": "display_qty",
    "min_qty": "min_qty",
    "self_trade": "stp",
    "stp": "stp",
}
_CASE_KEYS: Final = frozenset({"name", "source", "features", "steps", "expect"})


def missing_of(case: Json, steps: list[Json], expectations: list[tuple[Json, Json]], symbols: list[str | None]) -> list[str]:
    """The names of all that is missing, each once, sorted; empty where the case can be run.

    `steps` are the case's without the keys that say nothing, `expectations` and `symbols` what `case_files` gives of them.
    """
    return sorted({*_missing_of_case(case), *_missing_of_steps(steps), *_missing_of_expectations(expectations, len(steps), symbols)})


def _missing_of_case(case: Json) -> list[str]:
    keys = {key for step in case["steps"] for key in step}
    labels = [str(label) for label in case.get("features") or []]
    return [str(key) for key in case.keys() - _CASE_KEYS] + [label for label in labels if label in SHOWN_BY and SHOWN_BY[label] not in keys]


def _missing_of_steps(steps: list[Json]) -> list[str]:
    names = [name for step in steps for name in _missing_of_step(step)]
    post_only = {str(step.get("id")) for step in steps if step.get("op") == "new" and "post_only" in step}
    if any(step.get("op") == "amend" and "post_only" in step and str(step.get("id")) not in post_only for step in steps):
        names.append("amend to post_only")
    return names


def _missing_of_step(step: Json) -> list[str]:
    operation = str(step.get("op"))
    keys = SUPPORTED.get(operation)
    if keys is None:
        return [operation]
    names = []
    for key, value in step.items():
        if key == "op":
            continue
        allowed = keys.get(key)
        if allowed is None:
            names.append(key)
        elif isinstance(allowed, frozenset):
            names += [] if isinstance(value, str) and value in allowed else [str(value)]
        elif not _is_a(allowed, value):
            names.append(f"{key} {value!r}")
    names += [f"{operation} without {key}" for key in _required(step) if key not in step]
    if "qty" in step and "total_qty" in step:
        names.append("amend with qty and total_qty")
    return names + (_contradictions(step) if operation == "new" else [])


def _required(step: Json) -> tuple[str, ...]:
    """The keys without which the step says nothing."""
    required = REQUIRED[step["op"]]
    if step["op"] == "new":
        order_type = order_type_of(step)
        required += ("price",) if order_type in WITH_LIMIT and step.get("tif") != "fok_budget" else ()
        required += ("stop_price",) if order_type in STOPS else ()
        required += ("budget",) if step.get("tif") == "fok_budget" else ()
    return required


def _contradictions(step: Json) -> list[str]:
    """What a new order has that its type does not, so that nobody can say what is meant."""
    belongs = {
        "stop_price": order_type_of(step) in STOPS,
        "slippage": order_type_of(step) not in WITH_LIMIT,
        "budget": step.get("tif") == "fok_budget",
        "expire_time": step.get("tif") == "gtd",
    }
    names = [
        f"{key} of {step.get('tif' if key in ('budget', 'expire_time') else 'type')}" for key in belongs if key in step and not belongs[key]
    ]
    return names + [f"{key} {step[key]}" for key in ("display_qty", "min_qty") if isinstance(step.get(key), int) and step[key] <= 0]


def _is_a(allowed: type, value: Json) -> bool:
    if allowed is bool or isinstance(value, bool):
        return allowed is bool and isinstance(value, bool)
    return isinstance(value, int) and NULL_VALUE < value < -NULL_VALUE if allowed is int else isinstance(value, (int, str))


def _missing_of_expectations(expectations: list[tuple[Json, Json]], step_count: int, symbols: list[str | None]) -> list[str]:
    names = []
    for after, expect in expectations:
        if not isinstance(after, int) or not 0 <= after <= step_count:
            names.append(f"checkpoint after {after}")
        names += [f"expect {key}" for key in expect.keys() - EXPECTATIONS]
        if "book" in expect and len(symbols) > 1 and None not in symbols:
            names.append("book of several symbols")
    return names if any(expect for _, expect in expectations) else [*names, "expect"]
