"""The client's protocol without input and output, against a model of a venue: whatever breaks, each command is taken and each report is
seen exactly once and in order.

Docs/PROTOCOL.md, "A client that loses nothing".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import pytest
from fake_servers import message, new_orders
from hypothesis import given, settings, strategies as st

from ome.client.errors import OrdersRefused, SessionLost
from ome.client.logon import LogonOptions
from ome.client.protocol import OrderEntryProtocol, Phase
from ome.client.retransmission import SentFrames, cut
from ome.codec import cancel_order, encode_commands, layouts
from ome.codec.wire import next_number, numbered_messages
from ome.enums import CommandKind, EventKind, Policy, Reason
from ome.errors import InvalidValueError

NUMBERS = 2**32 - 1


@dataclass
class Venue:
    """What a venue keeps of one session over all connections and starts, and the connection that there is."""

    command_sequence: int = 0
    reports: list[bytes] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)  # client order ids, in order
    first_report: int = 1  # older ones are gone
    refusals: deque[tuple[Reason, int]] = field(default_factory=deque)  # for the next frames: why, and how many messages are taken
    sent_sequence: int = 0
    is_logged_on: bool = False
    out: deque[bytes] = field(default_factory=deque)
    held: list[bytes] = field(default_factory=list)  # reports that the journal holds up

    def cut(self) -> None:
        """The connection is gone."""
        self.is_logged_on = False
        self.out.clear()
        self.held.clear()

    def hear(self, frame: bytes) -> None:
        """One frame from the client."""
        template = int(np.frombuffer(frame, "<u2", count=4)[1])
        if template == 128:
            self._log_on(int(np.frombuffer(frame, layouts.LOGON_MESSAGE)["next_report_sequence"][0]))
        elif not self.is_logged_on:
            self.out.append(message(131, reason=Reason.NOT_LOGGED_ON, field=b"session", rejected_count=1))
        elif template == 130:
            self.publish()
            self.out.append(message(130, reason=Reason.REQUESTED))
            self.is_logged_on = False
        elif template == 135:
            request_id = int(np.frombuffer(frame, layouts.TEST_REQUEST_MESSAGE)["request_id"][0])
            self.out.append(message(133, request_id=request_id, command_sequence=self.command_sequence, report_sequence=len(self.reports)))
        elif template == 136:
            self._resend(int(np.frombuffer(frame, layouts.RESEND_REQUEST_MESSAGE)["next_report_sequence"][0]), is_asked=True)
        elif template != 133:
            self._take(np.frombuffer(frame, layouts.COMMAND_MESSAGE))

    def publish(self) -> None:
        """The journal has what was held up."""
        self.out += self.held
        self.held.clear()

    def _log_on(self, wanted: int) -> None:
        numbers = {"command_sequence": self.command_sequence, "report_sequence": len(self.reports), "heartbeat_ms": 1_000}
        self.out.append(message(129, epoch=1, frame_message_count_max=256, policy=Policy.COMMIT, **numbers))
        self.is_logged_on = True
        self._resend(wanted or len(self.reports) + 1, is_asked=False)

    def _resend(self, wanted: int, *, is_asked: bool) -> None:
        self.held.clear()
        first = min(max(wanted, self.first_report), len(self.reports) + 1)
        if is_asked or first != wanted:
            reason = Reason.NONE if first == wanted else Reason.REPORTS_GONE if first > wanted else Reason.SEQUENCE_GAP
            self.out.append(message(137, next_report_sequence=first, report_sequence=len(self.reports), reason=reason))
        self.out += self.reports[first - 1 :]

    def _refuse(self, row: np.void, index: int, count: int, reason: Reason, allowed: int = 0) -> None:
        found = {"found": row["session_sequence"], "field": b"session_sequence", "allowed": allowed}
        self.out.append(message(131, reason=reason, accepted_count=index, rejected_count=count - index, **found))

    def _take(self, rows: np.ndarray[tuple[int], np.dtype[np.void]]) -> None:
        assert np.unique(rows["session_sequence"]).size == len(rows)
        expected = next_number(self.command_sequence)
        if rows["session_sequence"][0] != expected:
            is_seen = (expected - int(rows["session_sequence"][0])) % NUMBERS < NUMBERS // 2
            assert not is_seen, "the client sends nothing again that was taken"
            self._refuse(rows[0], 0, len(rows), Reason.SEQUENCE_GAP, expected)
            return
        reason, count = self.refusals.popleft() if self.refusals else (Reason.NONE, len(rows))
        if reason is Reason.STORAGE_LOW:
            count = next((index for index, row in enumerate(rows) if row["template_id"] == CommandKind.NEW_ORDER), len(rows))
        count = min(count, len(rows))
        for row in rows[:count]:
            assert row["session_sequence"] == next_number(self.command_sequence)
            self.command_sequence = int(row["session_sequence"])
            self.taken.append(int(row["client_order_id"]))
            is_new = row["template_id"] == CommandKind.NEW_ORDER
            answer = (EventKind.ACCEPTED, Reason.NONE) if is_new else (EventKind.CANCELLED, Reason.REQUESTED)
            for kind, why in [answer, (EventKind.TRADE, Reason.NONE)]:
                number = len(self.reports) + 1
                fields = {"kind": kind, "reason": why, "client_order_id": row["client_order_id"], "report_sequence": number}
                self.reports.append(message(132, **fields))
                self.held.append(self.reports[-1])
        if count < len(rows):
            self._refuse(rows[count], count, len(rows), reason)


class Run:
    """A client and a venue in a time of their own."""

    def __init__(self, next_report: int | None = None) -> None:
        self.now = 100.0
        self.venue = Venue()
        self.to_venue: deque[bytes] = deque()
        options = LogonOptions(participant="FIRM1", next_report=next_report)
        self.client = OrderEntryProtocol(
            options, where="test", timeout=60.0, liveness=5.0, reconnect=1_000.0, reports_kept=100_000, now=self.now
        )
        self.seen: list[int] = []
        self.refused: list[int] = []
        self.other_errors: list[BaseException] = []
        self._next_id = 1

    def pump(self, seconds: float = 0.0, *, is_heard: bool = False) -> None:
        """Time passes; the client looks and sends."""
        self.now += seconds
        self.client.look(is_heard, self.now)
        if self.client.is_connection_due(self.now):
            self.cut()
            self.client.note_connected(self.now)
        while (frame := self.client.next_frame(self.now)) is not None:
            self.to_venue.append(bytes(frame))
            self.client.note_sent(self.now)

    def carry(self, count: int) -> None:
        """So many frames arrive at the venue."""
        while self.to_venue and count:
            self.venue.hear(self.to_venue.popleft())
            count -= 1

    def bring(self, count: int) -> None:
        """So many frames arrive at the client."""
        while self.venue.out and count and self.client.wants_connection:
            self.client.receive(self.venue.out.popleft(), self.now)
            count -= 1
        self.read()

    def read(self) -> None:
        """The user takes reports and errors."""
        if len(self.client.received):
            self.seen += self.client.received.take()["report_sequence"].tolist()
        while True:
            try:
                self.client.failures.raise_error()
            except OrdersRefused as refused:
                self.refused += refused.client_order_ids
            except Exception as error:
                self.other_errors.append(error)
            else:
                return

    def cut(self) -> None:
        """The connection breaks; what was on its way is lost."""
        self.to_venue.clear()
        self.venue.cut()
        self.client.note_lost(self.now)

    def send(self, kinds: list[bool]) -> int:
        """Commands in one frame, new orders and others, where there is room; how many."""
        commands = new_orders(len(kinds))
        commands["client_order_id"] = range(self._next_id, self._next_id + len(kinds))
        commands["kind"] = [CommandKind.NEW_ORDER if is_new else CommandKind.CANCEL_ORDER for is_new in kinds]
        (frame,) = self.client.cut(commands, 256)
        if not self.client.has_room(len(frame), self.now):
            return 0
        self.client.send(frame)
        self._next_id += len(kinds)
        return len(kinds)

    def settle(self) -> None:
        """Nothing breaks any more, until all is answered."""
        self.venue.refusals.clear()
        for turn in range(2_000):
            if turn % 100 == 99:
                self.send([True])  # shows that the last reports are missing
            self.pump(0.05, is_heard=True)
            self.carry(1_000)
            self.venue.publish()
            self.bring(1_000)
            if self.client.phase is Phase.OPEN and self.client.sent.pending == 0 and len(self.seen) >= len(self.venue.reports):
                return
        raise AssertionError(f"{self.client.phase}, {self.client.sent.pending} pending, {len(self.seen)} of {len(self.venue.reports)}")


REFUSALS = st.tuples(st.sampled_from([Reason.BUSY, Reason.THROTTLED, Reason.STORAGE_LOW]), st.integers(0, 3))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.lists(st.booleans(), min_size=1, max_size=4)),
        st.tuples(st.just("carry"), st.integers(1, 4)),
        st.tuples(st.just("bring"), st.integers(1, 4)),
        st.tuples(st.just("publish"), st.none()),
        st.tuples(st.just("refuse"), REFUSALS),
        st.tuples(st.just("pump"), st.sampled_from([0.0, 0.002, 0.06, 0.3, 2.0])),
        st.tuples(st.just("cut"), st.none()),
        st.tuples(st.just("end"), st.sampled_from([Reason.SLOW_CONSUMER, Reason.ENGINE_STOPPED, Reason.HEARTBEAT_TIMEOUT])),
        st.tuples(st.just("lose"), st.integers(0, 3)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, start=st.sampled_from([0, 5, NUMBERS - 3, NUMBERS]))
def test_each_command_is_taken_and_each_report_is_seen_exactly_once(steps: list[tuple[str, object]], start: int) -> None:
    """Connections break at any frame, the venue refuses any message for now, ends the session, or leaves reports out; numbers wrap."""
    run = Run()
    run.venue.command_sequence = start
    for _ in range(3):
        run.pump()
        run.carry(5)
        run.bring(5)
    for name, argument in steps:
        match name, argument:
            case "send", list(kinds):
                run.send(kinds)
                run.pump(is_heard=True)
            case "carry", int(count):
                run.carry(count)
            case "bring", int(count):
                run.bring(count)
            case "publish", _:
                run.venue.publish()
            case "refuse", (Reason() as reason, int(count)):
                run.venue.refusals.append((reason, count))
            case "pump", float(seconds):
                run.pump(seconds, is_heard=True)
            case "cut", _:
                run.cut()
            case "end", reason:
                run.venue.publish()
                run.venue.out.append(message(130, reason=reason))
                run.venue.is_logged_on = False
            case "lose", int(index) if index < len(run.venue.held):
                del run.venue.held[index]
    run.settle()
    sent = set(range(1, run._next_id))
    assert run.other_errors == []
    assert run.seen == list(range(1, len(run.venue.reports) + 1))
    assert run.venue.taken == sorted(run.venue.taken)
    assert sorted(run.venue.taken + run.refused) == sorted(sent)
    run.client.log_out()
    run.pump()
    run.carry(10)
    run.bring(10)
    assert run.client.is_over


def test_a_venue_that_has_forgotten_what_it_took_gets_the_rest_in_its_own_numbers() -> None:
    """PROTOCOL, Logon: after a power cut without a journal both streams begin again. The user learns of it."""
    run = Run()
    run.settle()
    run.send([True, True, True])
    run.settle()
    run.send([True, True])
    run.pump()
    run.cut()
    run.venue = Venue()
    run.seen.clear()
    run.settle()
    assert run.venue.taken == [4, 5]
    assert run.seen == [1, 2, 3, 4]
    assert [type(error).__name__ for error in run.other_errors] == ["ReportGap"]
    assert run.client.sent.last_sequence == 2


def test_a_session_that_somebody_else_has_used_meanwhile_is_over() -> None:
    """It cannot know which of its messages were taken."""
    run = Run()
    run.settle()
    run.send([True])
    run.settle()
    run.cut()
    run.venue.command_sequence = 7
    with pytest.raises(AssertionError):
        run.settle()
    assert run.client.is_over
    with pytest.raises(SessionLost, match="message 7 taken, which this one has not sent"):
        run.client.failures.raise_loss()


def test_reports_from_a_stored_number_on_come_at_the_first_logon() -> None:
    """PROTOCOL, Logon: next_report_sequence. What is gone is an error, and the rest comes."""
    run = Run(next_report=3)
    run.venue.reports = [message(132, report_sequence=number, kind=EventKind.TRADE) for number in range(1, 9)]
    run.venue.first_report = 5
    run.pump()
    run.carry(5)
    run.bring(50)
    assert run.seen == [5, 6, 7, 8]
    assert [str(error).split(":")[0] for error in run.other_errors] == ["report_sequence (REPORTS_GONE"]


def test_answers_are_found_by_either_id_also_where_an_amend_changes_it() -> None:
    """RULES, AmendOrder: its reports have the new client order id; a command by order id is answered with both."""
    from ome.codec import amend_order

    sent = SentFrames()
    commands = encode_commands([amend_order(7, price=5, stop_price=3, new_client_order_id=8), cancel_order(99, by_order_id=True)])
    (frame,) = cut(numbered_messages(commands, 1), 10)
    sent.add(frame)
    sent.note_sent()
    assert (sent.pending, sent.message_count, sent.unanswered) == (2, 3, (7, 99))
    reports = np.zeros(2, layouts.EXECUTION_REPORT_MESSAGE)
    reports["kind"] = [EventKind.AMENDED, EventKind.CANCELLED]
    reports["reason"] = [Reason.NONE, Reason.REQUESTED]
    reports["client_order_id"], reports["order_id"] = [8, 8], [99, 99]
    assert sent.answer(reports[:1]) == 1
    assert sent.answer(reports[1:]) == 1
    assert (sent.pending, sent.message_count, sent.sent_count) == (0, 0, 0)


def test_an_answer_counts_also_where_its_frame_was_to_be_sent_again() -> None:
    """What was sent may arrive behind a question that came later: then the server says that it has not taken it, and takes it."""
    sent = SentFrames()
    for first in (1, 4):
        orders = numbered_messages(new_orders(3), 1)
        orders["client_order_id"] = range(first, first + 3)
        sent.add(orders)
    sent.note_sent()
    assert sent.resume(0)
    reports = np.zeros(4, layouts.EXECUTION_REPORT_MESSAGE)
    reports["kind"], reports["client_order_id"] = EventKind.ACCEPTED, range(1, 5)
    assert sent.answer(reports[:2]) == 2
    assert (sent.unanswered, sent.sent_count, sent.message_count) == ((3, 4, 5, 6), 1, 1)
    assert sent.answer(reports[2:]) == 1, "the second frame was never sent: nothing answers it"
    assert (sent.unanswered, sent.sent_count, sent.message_count) == ((4, 5, 6), 0, 0)
    assert sent.next_frame is not None
    assert sent.next_frame.first_sequence == 4


@pytest.mark.parametrize("arguments", [{"next_report": 0}, {"secret": ""}, {"secret": "x" * 33}, {"cancel_on_disconnect": "always"}])
def test_what_no_logon_has_is_refused(arguments: dict[str, object]) -> None:
    """Before anything is sent; and a secret is not in the message."""
    with pytest.raises(InvalidValueError) as caught:
        LogonOptions(participant="FIRM1", **arguments)  # type: ignore[arg-type]
    assert "xxx" not in str(caught.value)
