"""The operator's log: its two forms, what peers can put into it, how much of it, and that it never holds anybody up."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import pytest
from venues import Wire

from ome import config as config_module, log as log_module
from ome.config import ServerConfig
from ome.enums import Policy
from ome.flood import Flood
from ome.log import FORMATS, LogError, LogKind, OperatorLog, bounded_fields, json_line, open_log, text_line
from ome.server import Server

TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
HOSTILE: Final = ("two\nlines", "\x1b[2J", 'quote" reason=OK', "\u202eevil", "\ud800", "x" * 100_000, "\0" * 5_000, "\U0001f600" * 5_000)


class Seconds:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Reason(IntEnum):
    """Any enumeration."""

    BAD_FRAME = 3


class Raising:
    """A value that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Callable[[str, Callable[[], object]], list[str]]]:
    """Gives the lines that the log has in that form after something was done."""

    def lines(form: str, do: Callable[[], object]) -> list[str]:
        path = tmp_path / f"{form}.log"
        with open_log(form, path):
            do()
        return path.read_text("ascii").splitlines()

    yield lines
    assert not any(thread.name == "ome-log" for thread in threading.enumerate())


Written = Callable[[str, Callable[[], object]], list[str]]


def test_an_event_has_the_same_content_in_both_forms(written: Written) -> None:
    """Time in UTC with microseconds, level, kind, then the fields by name."""

    def do() -> None:
        log = OperatorLog()
        log.event(LogKind.LOGON, participant="FIRM1", session=3, peer="10.0.0.7:51022")
        log.event(LogKind.REFUSAL, reason=Reason.BAD_FRAME, note="two words", is_new=True, empty=None)

    first, second = written("text", do)
    assert re.fullmatch(rf"{TIME.pattern} info logon participant=FIRM1 session=3 peer=10\.0\.0\.7:51022", first)
    assert re.fullmatch(rf'{TIME.pattern} warning refusal reason=BAD_FRAME note="two words" is_new=true empty=null', second)
    one, two = (json.loads(line) for line in written("json", do))
    assert TIME.fullmatch(one.pop("time"))
    assert one == {"level": "info", "kind": "logon", "participant": "FIRM1", "session": 3, "peer": "10.0.0.7:51022"}
    assert (two["level"], two["reason"], two["is_new"], two["empty"]) == ("warning", "BAD_FRAME", True, None)


def test_sentences_of_the_other_modules_have_the_same_form(written: Written) -> None:
    """Their kind follows from the module; a traceback is a field, and all is bounded."""

    def do() -> None:
        logging.getLogger("ome.storage").warning("storage is %s", "low")
        logging.getLogger("ome.recovery.follower").warning("no snapshot")
        logging.getLogger("ome.gateway.registry").info("something")
        logging.getLogger("ome.other").warning("x" * 10_000)
        try:
            raise ValueError("why")
        except ValueError:
            logging.getLogger("ome.supervision").exception("a thread failed")

    lines = [json.loads(line) for line in written("json", do)]
    assert [line["kind"] for line in lines] == ["storage", "snapshot", "gateway", "other", "threads"]
    assert lines[0]["text"] == "storage is low"
    assert lines[3]["text"] == f"{'x' * 2_000}...(8,000 more)"
    assert "ValueError: why" in lines[4]["trace"]
    assert re.fullmatch(rf'{TIME.pattern} warning storage text="storage is low"', written("text", do)[0])


@pytest.mark.parametrize("form", FORMATS)
def test_a_peer_adds_no_line_and_no_byte_that_a_terminal_heeds(written: Written, form: str) -> None:
    """Whatever it sends, in values or in names: one line of printable ASCII of bounded length, and JSON that can be read."""

    def do() -> None:
        log = OperatorLog(lines_per_second=1_000)
        for value in (*HOSTILE, b"\xff\n\x00" * 1_000, Raising(), 10**5_000, -(1 << 70), [HOSTILE] * 50):
            log.event(LogKind.REFUSAL, reason=value)
        log.event(LogKind.REFUSAL, **dict.fromkeys(HOSTILE, 1))
        log.event(LogKind.REFUSAL, **{f"field{number}": "\0" * 5_000 for number in range(100)})
        log.event(LogKind.REFUSAL, time="1970", level="info", kind="logon")

    lines = written(form, do)
    assert len(lines) == len(HOSTILE) + 8
    for line in lines:
        assert re.fullmatch(r"[ -~]{1,6000}", line), line
        assert TIME.match(line) or json.loads(line)["kind"] == "refusal"
    assert "1970" in lines[-1]
    assert " refusal " in lines[-1] or json.loads(lines[-1])["time"] != "1970"


def test_a_value_is_cut_so_that_its_json_is_bounded() -> None:
    """Also where each character takes many bytes; what was left out is counted, and a value that fits stays as it is."""
    for text in ("x", '"', "\0", "\u20ac", "\U0001f600", "\ud800"):
        for count in (1, 20, 40, 42, 43, 127, 128, 254, 255, 256, 257, 100_000):
            (cut,) = bounded_fields({"value": text * count}).values()
            assert len(json.dumps(cut)) <= 256
            if len(json.dumps(text * count)) <= 256:
                assert cut == text * count
            else:
                kept, _, more = str(cut).rpartition("...(")
                assert kept == text * len(kept)
                assert len(kept) + int(more.removesuffix(" more)").replace(",", "")) == count


def test_fields_are_few_and_secrets_are_hidden() -> None:
    """Twelve at most; a name that has the word for a secret in it shows no value."""
    assert len(bounded_fields({f"name{number}": number for number in range(50)})) == 12
    secrets = ("password", "Passphrase", "client_secret", "token", "api_key", "credentials", "private_key")
    assert set(bounded_fields(dict.fromkeys(secrets, "hunter2")).values()) == {"(hidden)"}
    assert bounded_fields({"keyboard": 1, "tokens_left": 2, "participant": "SECRET"}) == {
        "keyboard": 1,
        "tokens_left": 2,
        "participant": "SECRET",
    }


def test_a_flood_of_one_kind_is_counted_and_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """So many lines a second; the rest is told in one line by the next event after that second, and by `tell_suppressed`."""
    clock = Seconds()
    log = OperatorLog(lines_per_second=20, clock=clock)
    with caplog.at_level(logging.INFO, "ome"):
        for _ in range(10_000):
            log.event(LogKind.REFUSAL, reason="BAD_FRAME")
        log.event(LogKind.LOGON, participant="FIRM1")
        assert [record.getMessage() for record in caplog.records] == ["refusal reason=BAD_FRAME"] * 20 + ["logon participant=FIRM1"]
        log.tell_suppressed()
        assert len(caplog.records) == 21
        clock.now_s += 1.0
        log.event(LogKind.LOGON, participant="FIRM2")
        assert [record.getMessage() for record in caplog.records[21:]] == ["refusal suppressed=9980", "logon participant=FIRM2"]
        caplog.clear()
        for _ in range(25):
            log.event(LogKind.REFUSAL)
        log.tell_suppressed(all_of_them=True)
        log.tell_suppressed(all_of_them=True)
        assert [record.getMessage() for record in caplog.records] == ["refusal"] * 20 + ["refusal suppressed=5"]


def test_a_flood_of_many_threads_is_counted_exactly() -> None:
    """Each that does not pass is in the count."""
    flood = Flood(lambda: 0.0)
    passed: list[int] = []

    def push() -> None:
        passed.append(sum(flood.passes("kind", 100) for _ in range(5_000)))

    threads = [threading.Thread(target=push) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(passed), flood.take(all_of_them=True), flood.take(all_of_them=True)) == (100, {"kind": 19_900}, {})


def test_nothing_is_logged_below_a_warning_unless_a_log_was_opened(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Of a library: who embeds it configures logging. After the log is closed the level is what it was."""
    logger = logging.getLogger("ome")
    before = (logger.level, list(logger.handlers))
    with open_log("text", tmp_path / "log"):
        assert logger.isEnabledFor(logging.INFO)
    assert (logger.level, list(logger.handlers)) == before
    OperatorLog().event(LogKind.LOGON, participant="FIRM1")
    assert not caplog.records


def test_a_handler_that_raises_reaches_no_caller() -> None:
    """An embedding program's handler may do anything."""

    class Bad(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise RuntimeError

    handler = Bad()
    logging.getLogger("ome").addHandler(handler)
    try:
        OperatorLog().event(LogKind.REFUSAL, reason="x")
    finally:
        logging.getLogger("ome").removeHandler(handler)


def test_a_file_that_is_moved_away_is_opened_again(tmp_path: Path) -> None:
    """As logrotate does it; the server is not told."""
    path = tmp_path / "log"
    with open_log("text", path):
        log = OperatorLog()
        log.event(LogKind.LOGON, session=1)
        wait_for(lambda: path.exists() and "session=1" in path.read_text())
        path.rename(tmp_path / "log.1")
        log.event(LogKind.LOGON, session=2)
    assert "session=2" in path.read_text()
    assert "session=1" in (tmp_path / "log.1").read_text()


def wait_for(is_so: Callable[[], bool]) -> None:
    """Waits for some seconds at most."""
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_log_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """What, where, what was found and what is allowed."""
    with (
        pytest.raises(LogError, match=r"log\.file in .*none/log: found 'No such file or directory', allowed: a file"),
        open_log("text", tmp_path / "none" / "log"),
    ):
        pass


def test_a_reader_that_stands_still_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that the thread cannot write wait, then are lost and counted; the caller never waits, and the next line says how many."""
    monkeypatch.setattr(log_module, "_QUEUE_SIZE", 100)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open_log("text", path):
        log = OperatorLog(lines_per_second=1 << 30)
        longest_s = 0.0
        for number in range(3_000):
            begun = time.monotonic()
            log.event(LogKind.REFUSAL, reason="x" * 200, number=number)
            longest_s = max(longest_s, time.monotonic() - begun)
        assert longest_s < 1.0
        data = b""
        end = time.monotonic() + 10
        while b"number=99999" not in data and time.monotonic() < end:
            log.event(LogKind.REFUSAL, number=99_999)
            data += read_all(reader)
    data += read_all(reader)
    os.close(reader)
    lost = sum(int(count) for count in re.findall(rb"warning log lost=(\d+)\n", data))
    assert lost > 500
    assert len(re.findall(rb"reason=x", data)) + lost >= 3_000


def read_all(descriptor: int) -> bytes:
    """What is there now."""
    data = b""
    try:
        while piece := os.read(descriptor, 1 << 16):
            data += piece
    except BlockingIOError:
        pass
    return data


def test_the_configuration_knows_the_forms() -> None:
    """Both are on one floor, and neither uses the other."""
    assert config_module._LOG_FORMATS == FORMATS
    assert {"text": text_line, "json": json_line}.keys() == set(FORMATS)


def test_a_server_logs_its_start_and_its_stop(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """With what an operator asks first; one that has not started logs neither."""
    with caplog.at_level(logging.INFO, "ome"):
        server = Server(ServerConfig(policy=Policy.MEMORY, orders_endpoint=f"ipc://{tmp_path}/o", feed_endpoint=f"ipc://{tmp_path}/f"))
        server.close()
        assert not caplog.records
        with Server(
            ServerConfig(policy=Policy.MEMORY, orders_endpoint=f"ipc://{tmp_path}/o", feed_endpoint=f"ipc://{tmp_path}/f")
        ) as server:
            pass
        server.close()
    lines = [record.getMessage() for record in caplog.records if record.name == "ome.log"]
    begun, started, stopped = lines
    assert re.match(r"gateway act=started pid=\d+", begun)
    assert re.match(r"started sequence=\d+ starts=1 epoch=\d+ policy=MEMORY orders=ipc://", started)
    assert re.match(r"stopped reason=asked sequence=\d+", stopped)


@pytest.mark.parametrize("form", FORMATS)
def test_ome_run_writes_the_log_that_is_configured(tmp_path: Path, form: str) -> None:
    """To the file, each line in the form; standard error has none."""
    (tmp_path / "ome.toml").write_text(
        f"""[server]
orders = "tcp://127.0.0.1:0"
feed = "tcp://127.0.0.1:0"
requests = "tcp://127.0.0.1:0"
[journal]
directory = "{tmp_path}/data"
[log]
format = "{form}"
file = "{tmp_path}/operator.log"
[[instruments]]
symbol = "AAPL"
"""
    )
    command = [sys.executable, "-c", "from ome.cli.main import main; main()", "run", "--json", "--config", str(tmp_path / "ome.toml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started: dict[str, Any] = json.loads(process.stdout.readline())
        with Wire(started["orders"]) as wire:
            wire.log_on("FIRM1")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    lines = (tmp_path / "operator.log").read_text("ascii").splitlines()
    kinds = [json.loads(line)["kind"] if form == "json" else line.split()[2] for line in lines]
    assert (kinds[:2], kinds[-1]) == (["gateway", "started"], "stopped")
