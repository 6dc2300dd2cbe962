"""Order attributes, each of those in the schema: from a client to the engine, the journal, a restart, and the command line."""

from __future__ import annotations

import itertools
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fake_servers import Array, FakeServer, message
from venues import venue_config

from ome.attributes import ATTRIBUTES, NO_ATTRIBUTES, Attributes
from ome.cli.admin import main as ome_admin
from ome.client import OrderEntry
from ome.client.reports import Report
from ome.codec import encode_commands
from ome.codec.layouts import TEMPLATE_IDS
from ome.engine import Engine
from ome.enums import EventKind, Reason, Side
from ome.errors import InvalidTypeError, InvalidValueError
from ome.instruments import Instrument
from ome.messages import Accepted, AttributesOf, DefineInstrument, Limits, NewOrder, Trade
from ome.reference import ReferenceEngine
from ome.server import Server

LARGEST: dict[str, Any] = {
    name: attribute.value_max if attribute.enumeration is None else attribute.enumeration(attribute.value_max)
    for name, attribute in ATTRIBUTES.items()
}
SUBSETS = [dict(chosen) for count in range(1, len(LARGEST) + 1) for chosen in itertools.combinations(LARGEST.items(), count)]


def worded(given: dict[str, Any]) -> dict[str, Any]:
    """The same with enumerators by name."""
    return {name: word for name, word in Attributes(**given).words().items() if word is not None}


def admin(*arguments: object) -> Any:
    """What ome-admin prints with --json."""
    result = CliRunner().invoke(ome_admin, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.output.splitlines()]


@pytest.mark.parametrize("given", SUBSETS, ids="+".join)
def test_an_order_is_accepted_with_its_attributes_and_keeps_them(given: dict[str, Any]) -> None:
    """A8: the event right after ACCEPTED has them, by word or by enumerator; so has the order while it lives, and nothing else does."""
    with Engine([Instrument("AAPL", tick="1")]) as market:
        for options in (given, worded(given)):
            report = market.buy("AAPL", 5, at=100, **options)
            accepted, attributes = report.events
            assert isinstance(accepted, Accepted)
            assert isinstance(attributes, AttributesOf)
            assert {name: getattr(attributes, name) for name in ATTRIBUTES} == {name: int(given.get(name, 0)) for name in ATTRIBUTES}
            order = market.order(report.order_id)
            assert order is not None
            assert order.attributes == Attributes(**given)
        plain = market.buy("AAPL", 5, at=99)
        assert len(plain.events) == 1
        assert [order.attributes for order in market.orders("AAPL", "buy")] == [Attributes(**given)] * 2 + [NO_ATTRIBUTES]
        trade = market.sell("AAPL", 5, at=100)
        assert [type(event) for event in trade.events] == [Accepted, Trade]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_a_value_that_an_attribute_cannot_have_is_refused(name: str) -> None:
    """A8: by the builder with a name, what was found and what is allowed; by core and reference alike as BAD_TERM."""
    attribute = ATTRIBUTES[name]
    wrong: list[Any] = ["nonsense", 1.5, True]
    if attribute.enumeration is None:
        wrong += [0, -1, attribute.value_max + 1]
    with Engine([Instrument("AAPL", tick="1")]) as market:
        for value in wrong:
            with pytest.raises((InvalidTypeError, InvalidValueError), match=name):
                market.buy("AAPL", 5, at=100, **{name: value})
    for engine in (Engine(), ReferenceEngine(Limits())):
        engine.apply_records(encode_commands([DefineInstrument(instrument=1, symbol=b"AAPL", tick=1)]))
        for number in (0, -1, attribute.value_max + 1, 2**63 - 1, -(2**63)):
            order = NewOrder(instrument=1, side=Side.BUY, price=100, quantity=5, terms=((attribute.term, number),))
            assert engine.apply_records(encode_commands([order]))["reason"].tolist() == [Reason.BAD_TERM]


def test_attributes_may_come_in_a_frame_of_their_own() -> None:
    """A8: the server's frames end where its turn ends, which may be between an order's acceptance and its attributes."""

    def answer(frame: Array) -> list[bytes]:
        order = {name: frame[0][name] for name in ("client_order_id", "instrument", "side")}
        values = {name: int(value) for name, value in LARGEST.items()}
        attributes = message(TEMPLATE_IDS["AttributesReport"], kind=EventKind.ATTRIBUTES, report_sequence=12, **order, **values)
        return [server.report(frame[0]), attributes]

    with closing(FakeServer()) as server:
        server.answer_frame = answer
        with OrderEntry(server.endpoint, "FIRM1") as client:
            order = client.buy("AAPL", 5, at="1.50", **worded(LARGEST))
            assert client.wait_for(order).kind == EventKind.ACCEPTED
            assert client.wait_for(order).attributes == Attributes(**LARGEST)
            assert client.pending == 0


def test_attributes_reach_the_client_the_journal_and_the_next_start(tmp_path: Path) -> None:
    """A8: reported once with a sequence of its own; after a restart the order still has them; the journal's listing names them."""
    words = worded(LARGEST)
    with Server(venue_config(tmp_path)) as server, OrderEntry(server.orders_endpoint, "FIRM1") as client:
        order = client.buy("AAPL", 5, at="1.50", **words)
        reports: list[Report] = []
        while len(reports) < 2:
            reports += client.reports(timeout=0.1)
        accepted, attributes = reports
        assert (accepted.kind, attributes.kind) == (EventKind.ACCEPTED, EventKind.ATTRIBUTES)
        assert accepted.attributes == NO_ATTRIBUTES
        assert attributes.attributes == Attributes(**LARGEST)
        assert (attributes.report_sequence, attributes.client_order_id) == (accepted.report_sequence + 1, order.client_order_id)
        assert attributes.order_id == accepted.order_id
        assert client.pending == 0
    with Server(venue_config(tmp_path)) as server, OrderEntry(server.orders_endpoint, "FIRM1") as client:
        assert server.summary is not None
        assert server.summary.recovered_commands > 0
        client.cancel(order)
        assert client.wait_for(order).kind == EventKind.CANCELLED
    listed = admin("dump", tmp_path, "--events")
    events = [event for row in listed for event in row.get("events", [])]
    (said,) = [event for event in events if event["kind"] == "attributes"]
    assert {name: str(said[name]) for name in ATTRIBUTES} == {name: str(word) for name, word in words.items()}
    terms = {term["term"]: str(term["value"]) for row in listed for term in row.get("terms", [])}
    assert terms == {name: str(word) for name, word in words.items()}
