"""Exceptions: they pickle with all that they say, also out of a process pool, and their text is bounded."""

from __future__ import annotations

import concurrent.futures
import copy
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import ome
from ome.client.errors import FrameRejected, ReportGap
from ome.conformance import Mismatch
from ome.engine import Engine, OrderRejectedError
from ome.enums import OrderFlags, Reason
from ome.errors import InvalidValueError, OmeError, one_of
from ome.instruments import Instrument
from ome.journal import JournalIntegrityError, JournalReport, ReplayAssertionError, Verdict


def exception_classes() -> list[type[BaseException]]:
    """Every exception class that a module of ome defines."""
    modules = [
        importlib.import_module(found.name) for found in pkgutil.walk_packages(ome.__path__, "ome.") if "_native._ome" not in found.name
    ]
    classes = {
        value
        for module in (ome, *modules)
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__.startswith("ome")
    }
    return sorted(classes, key=lambda kind: kind.__qualname__)


def journal_report() -> JournalReport:
    """A report whose every field says something."""
    kinds: dict[str, Any] = {"bool": True, "int": 7, "str": "text", "Path": Path("there"), "Verdict": Verdict.DAMAGED}
    values = {name: kinds[kind.split(" ")[0]] for name, kind in JournalReport.__annotations__.items()}
    return JournalReport(**values)


# Those whose arguments are not the ones of OmeError.
SAMPLES: dict[type[BaseException], Callable[[], BaseException]] = {
    OrderRejectedError: lambda: OrderRejectedError(Reason.UNKNOWN_ORDER, where="somewhere"),
    ReportGap: lambda: ReportGap(where="w", expected=1, found=3),
    Mismatch: lambda: Mismatch("book", source="tape", row=1, line=2, expected="a", found="b"),
    JournalIntegrityError: lambda: JournalIntegrityError(journal_report()),
    ReplayAssertionError: lambda: ReplayAssertionError(journal_report(), Path("there")),
    FrameRejected: lambda: FrameRejected(
        where="w",
        reason=Reason.BUSY,
        field="f",
        found=1,
        allowed=2,
        message_index=3,
        byte_offset=4,
        accepted_count=5,
        rejected_count=6,
    ),
}


def sample(kind: type[BaseException]) -> BaseException:
    """An exception of this class whose every attribute says something."""
    if kind in SAMPLES:
        return SAMPLES[kind]()
    assert issubclass(kind, OmeError), f"{kind}: all exceptions of ome are OmeErrors"
    assert kind.__init__ is OmeError.__init__, f"{kind} has arguments of its own: add it to SAMPLES"
    return kind("what", where="where", found=Decimal("1E-8"), allowed="allowed")


@pytest.mark.parametrize("kind", exception_classes(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, *(lambda e, p=p: pickle.loads(pickle.dumps(e, p)) for p in range(6))])
def test_an_exception_comes_back_from_pickle_as_it_was(kind: type[BaseException], again: Callable[[BaseException], BaseException]) -> None:
    """Class, text, arguments, attributes and notes are equal, for every class of the package and every protocol."""
    error = sample(kind)
    error.add_note("a note")
    back = again(error)
    assert type(back) is kind
    assert (str(back), back.args, back.__dict__, back.__notes__) == (str(error), error.args, error.__dict__, ["a note"])


def test_the_walk_finds_the_exceptions_of_all_parts() -> None:
    """The test above is about all of them: some of every floor are among them."""
    names = {kind.__name__ for kind in exception_classes()}
    assert {"InvalidValueError", "ConfigError", "ConcurrentUseError", "JournalError", "RepairError", "SessionLost", "ServerError"} <= names


def rejected(_: int) -> None:
    """What a worker process does: its exception has to come home."""
    with Engine([Instrument("AAPL")]) as market:
        market.cancel(123).raise_for_rejection()


def refused(_: int) -> None:
    """Raises an exception whose value found does not pickle."""
    raise InvalidValueError("callback", found=threading.Lock(), allowed="none")


@pytest.mark.parametrize(("work", "kind", "text"), [(rejected, OrderRejectedError, "UNKNOWN_ORDER"), (refused, InvalidValueError, "lock")])
def test_process_pools_raise_what_a_worker_raised(work: Callable[[int], None], kind: type[OmeError], text: str) -> None:
    """Neither kind of pool hangs or breaks."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor, pytest.raises(kind, match=text):
        executor.submit(work, 1).result(timeout=60)
    with context.Pool(1) as pool, pytest.raises(kind, match=text):
        pool.map_async(work, [1]).get(timeout=60)


def test_a_list_of_values_allowed_is_bounded() -> None:
    """However many there are, the message shows some and says how many more there are."""
    with Engine([Instrument(f"O{number:04d}") for number in range(1_200)]) as market, pytest.raises(InvalidValueError) as refusal:
        market.buy("XXXX", 1, at=1)
    assert len(str(refusal.value)) < 500
    assert "O0000, O0001" in str(refusal.value)
    assert str(refusal.value).endswith("and 1,160 more")
    assert one_of([], "none") == "none"
    assert one_of(["a", "b"]) == "a, b"


class Unspeakable:
    """A value whose text cannot be had."""

    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("found", ["x" * 10**6, 10**5_000, list(range(10**5)), Unspeakable(), Decimal("1E+999999")], ids=lambda _: "")
def test_a_message_is_bounded_whatever_was_found(found: object) -> None:
    """A value found may be of any size, or have no text."""
    assert len(str(OmeError("what", where="where", found=found, allowed="allowed"))) < 600


def test_enumerators_are_shown_by_name() -> None:
    """Also inside of what was found; and a text stays as it is."""
    flags = OrderFlags.HIDDEN | OrderFlags.WAITING
    assert str(OmeError("logon", found=Reason.BUSY)) == "logon: found BUSY"
    assert str(OmeError("what", found=(1, [Reason.BUSY], flags, OrderFlags(0)))) == "what: found (1, [BUSY], WAITING|HIDDEN, 0)"
    assert str(OmeError("what", found="<Reason.BUSY: 4>")) == "what: found '<Reason.BUSY: 4>'"


def test_numbers_too_long_to_be_written_are_refused_all_the_same() -> None:
    """Python itself refuses to write an int of more than 4,300 digits: the refusal is ome's."""
    with Engine([Instrument("AAPL")]) as market, pytest.raises(InvalidValueError, match="quantity of AAPL"):
        market.buy("AAPL", 10**5_000, at=1)


def test_decimals_in_messages_have_no_exponent() -> None:
    """0.00000001 is written so, in what was found and in what is allowed."""
    with Engine([Instrument("BTC", tick="0.00000001", quantity_decimals=8)]) as market:
        with pytest.raises(InvalidValueError) as refusal:
            market.buy("BTC", 1, at="0.00000001", minimum=Decimal("1E-8") / 10)
        assert "0.000000001" in str(refusal.value)
        with pytest.raises(InvalidValueError, match=r"0\.00000001 to 0\.00000005"):
            market.buy("BTC", "0.00000005", at="0.00000001", minimum=Decimal("6E-8"))
