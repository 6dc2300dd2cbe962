"""The low-water mark: when storage is low, what is refused then and what is not, and that everybody is told."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from venues import Wire, journal_commands, new_order, venue_config

from ome.cli.admin import main as admin
from ome.client import OrderEntry, OrdersRefused
from ome.codec.wire import encode_message
from ome.enums import CommandKind, EventKind, Policy, Reason
from ome.metrics import Counters
from ome.server import Server
from ome.storage import Storage, StorageWatch

EVERYTHING = 1 << 50  # more than is free anywhere


class Disk:
    """A file system with as many free bytes as the test says."""

    def __init__(self, free_bytes: int) -> None:
        self.free_bytes = free_bytes

    def statvfs(self, path: object) -> SimpleNamespace:
        """As os.statvfs; blocks of 4 bytes, of which root has more."""
        return SimpleNamespace(f_bavail=self.free_bytes // 4, f_bfree=EVERYTHING, f_frsize=4, f_bsize=4096)


def free_bytes(directory: Path) -> int:
    """What is free now, as the watch counts it."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """What os.statvfs sees."""
    disk = Disk(0)
    monkeypatch.setattr(os, "statvfs", disk.statvfs)
    return disk


def test_low_begins_below_the_mark_and_ends_a_quarter_above_it(disk: Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each look is told; each change is a warning with free bytes, mark, directory and what to do."""
    told: list[tuple[int, Storage]] = []
    watch = StorageWatch(tmp_path, 4_000, lambda free_bytes, storage: told.append((free_bytes, storage)))
    room, low, scarce = Storage
    looks = [(4_000, room), (3_996, low), (4_000, low), (5_000, low), (5_004, room), (4_000, room), (3_000, low), (1 << 40, room)]
    messages: list[int] = []
    with caplog.at_level(logging.INFO):
        for free_bytes, _ in looks:
            disk.free_bytes = free_bytes
            watch.look()
            messages.append(len(caplog.records))
    assert told == looks
    assert messages == [0, 1, 1, 1, 2, 2, 3, 4]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    begun, over = caplog.records[0].getMessage(), caplog.records[1].getMessage()
    assert begun.startswith(f"storage is low: 3,996 bytes are free for {tmp_path}, the mark is 4,000")
    assert "STORAGE_LOW" in begun
    assert "Make room" in begun
    told.clear()
    for free_bytes in (2_000, 1_996, 2_000, 2_500, 2_504, 0, 5_004):  # half of the mark, and a quarter above that
        disk.free_bytes = free_bytes
        watch.look()
    assert [storage for _, storage in told] == [low, scarce, scarce, scarce, low, scarce, room]
    assert over.startswith(f"storage is no longer low: 5,004 bytes are free for {tmp_path}, the mark is 4,000")


def test_a_directory_that_cannot_be_looked_at_has_no_room(tmp_path: Path) -> None:
    """The watch goes on, and orders are refused."""
    told: list[tuple[int, Storage]] = []
    StorageWatch(tmp_path / "gone", 1, lambda free_bytes, storage: told.append((free_bytes, storage))).look()
    assert told == [(0, Storage.SCARCE)]


@pytest.mark.parametrize("fields", [{"policy": Policy.MEMORY}, {"low_water_bytes": 0}])
def test_nobody_watches_where_there_is_no_journal_or_no_mark(disk: Disk, tmp_path: Path, fields: dict[str, object]) -> None:
    """With policy `memory`, and with a mark of 0, a disk that has room for nothing but the segments refuses nothing."""
    disk.free_bytes = 2 * venue_config(None, policy=Policy.MEMORY).segment_bytes
    with Server(venue_config(tmp_path, **({"low_water_bytes": EVERYTHING} | fields))) as server, Wire(server.orders_endpoint) as wire:
        assert not any(thread.name == "ome-storage" for thread in threading.enumerate())
        wire.log_on("FIRM1")
        wire.say(new_order())
        assert wire.hear_report()["kind"] is EventKind.ACCEPTED


def test_a_venue_that_starts_with_low_storage_refuses_orders_and_takes_all_else(tmp_path: Path) -> None:
    """From the first order on: an order is refused and leaves no trace in the journal; orders from before can be cancelled and amended."""
    with Server(venue_config(tmp_path)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        wire.say(b"".join(new_order(client_order_id=number) for number in range(1, 5)))
        assert [wire.hear_report()["kind"] for _ in range(4)] == [EventKind.ACCEPTED] * 4
    count = len(journal_commands(tmp_path))
    with Server(venue_config(tmp_path, low_water_bytes=free_bytes(tmp_path) * 3 // 2)) as server, Wire(server.orders_endpoint) as wire:
        assert wire.log_on("FIRM1")["report_sequence"] == 4
        cancel, order = encode_message("CancelOrder", client_order_id=1, instrument=1), new_order(client_order_id=9, price=101)
        wire.say(cancel + order + encode_message("ReduceOrder", client_order_id=2, instrument=1, quantity=1))
        (_, refused), cancelled = wire.hear(), wire.hear_report()
        assert (refused["reason"], refused["field"], refused["found"]) == (Reason.STORAGE_LOW, b"session_sequence", 6)
        assert (refused["accepted_count"], refused["rejected_count"], refused["message_index"]) == (1, 2, 1)
        assert (cancelled["kind"], cancelled["report_sequence"], cancelled["client_order_id"]) == (EventKind.CANCELLED, 5, 1)
        with OrderEntry(server.orders_endpoint, participant="FIRM2") as client:  # a new session is defined all the same
            stop = client.buy("AAPL", 1, at="1.00", stop="1.00", hidden=True)
            with pytest.raises(OrdersRefused, match="STORAGE_LOW") as caught:
                client.wait_for(stop)
            assert caught.value.client_order_ids == (stop.client_order_id,)
            assert client.pending == 0
        wire.say(encode_message("ReduceOrder", client_order_id=2, instrument=1, quantity=1))
        wire.say(encode_message("AmendOrder", client_order_id=3, instrument=1, price=102, quantity=10))
        wire.say(encode_message("MassCancel", instrument=1))
        kinds = [wire.hear_report()["kind"] for _ in range(6)]
        cancels = [EventKind.CANCELLED] * 3
        assert kinds == [EventKind.REDUCED, EventKind.AMENDED, *cancels, EventKind.COMPLETED]
        with Counters(tmp_path) as counters:
            values = counters.values()
        assert (values["gateway.orders_storage_low"], values["storage.is_low"], values["gateway.orders_accepted"]) == (
            4,
            1,
            0,
        )  # messages, with those behind
        assert 0 < values["storage.free_bytes"] < 2 * free_bytes(tmp_path)
        first = CliRunner().invoke(admin, ["stats", str(tmp_path)]).output.splitlines()[0]
        assert first.endswith("STORAGE IS LOW: new orders are refused")
    kinds = journal_commands(tmp_path)["kind"][count:].tolist()
    changes = [CommandKind.REDUCE_ORDER, CommandKind.AMEND_ORDER, CommandKind.MASS_CANCEL]
    assert kinds == [CommandKind.CANCEL_ORDER, *changes]


def test_a_venue_whose_storage_is_scarce_takes_nothing_from_clients(tmp_path: Path) -> None:
    """Each command is answered and none is sequenced: cancels of nothing cannot fill the disk. Orders from before stay."""
    with Server(venue_config(tmp_path)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        wire.say(new_order(client_order_id=1))
        assert wire.hear_report()["kind"] is EventKind.ACCEPTED
    count = len(journal_commands(tmp_path))
    with Server(venue_config(tmp_path, low_water_bytes=EVERYTHING)) as server, Wire(server.orders_endpoint) as wire:
        wire.log_on("FIRM1")
        for message in (
            new_order(client_order_id=2),
            encode_message("CancelOrder", client_order_id=1, instrument=1),
            encode_message("MassCancel", instrument=1, side=1),
            encode_message("AmendOrder", client_order_id=1, price=5, quantity=3),
        ):
            name, refused = wire.ask(message * 2)
            assert (name, refused["reason"], refused["found"]) == ("FrameReject", Reason.STORAGE_LOW, 2)
            assert (refused["accepted_count"], refused["rejected_count"]) == (0, 2)
        first = CliRunner().invoke(admin, ["stats", str(tmp_path)]).output.splitlines()[0]
        assert first.endswith("STORAGE IS SCARCE: all commands are refused")
    assert len(journal_commands(tmp_path)) == count


def test_orders_are_taken_again_when_there_is_room_again(disk: Disk, tmp_path: Path) -> None:
    """While it runs: open, low, open; the same client, without a new logon, and its report sequence without a gap."""
    disk.free_bytes = 1_000_000
    with (
        Server(venue_config(tmp_path, low_water_bytes=1_000, segment_bytes=1 << 18)) as server,
        OrderEntry(server.orders_endpoint, "FIRM1") as client,
    ):

        def answer() -> Reason:
            try:
                return client.wait_for(client.buy("AAPL", 1, at="1.00")).reason
            except OrdersRefused as refused:
                assert client.pending == 0
                return refused.reason

        def answers_change_to(reason: Reason) -> bool:
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                if answer() is reason:
                    return True
            return False

        assert client.wait_for(client.buy("AAPL", 1, at="1.00")).kind is EventKind.ACCEPTED
        disk.free_bytes = 996
        assert answers_change_to(Reason.STORAGE_LOW)
        disk.free_bytes = 1_248
        time.sleep(0.5)
        assert answer() is Reason.STORAGE_LOW, "between the two marks"
        disk.free_bytes = 1_252
        assert answers_change_to(Reason.NONE)
