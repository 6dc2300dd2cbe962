"""The threads of a server's process, as the system shows them: each has a name, and there are no others."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections import Counter
from pathlib import Path

from venues import venue_config

from ome.server import Server
from ome.supervision import Supervisor

PAGE = Path(__file__).resolve().parent.parent / "docs" / "OPERATING.md"
DEADLINE_S = 20.0


def thread_names() -> Counter[str]:
    """Of the threads of this process, without its main thread."""
    found: Counter[str] = Counter()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            found[(task / "comm").read_text("utf-8").strip()] += int(task.name) != os.getpid()
    return +found


def listed_names() -> set[str]:
    """Those of the table of threads in docs/OPERATING.md."""
    table = PAGE.read_text("utf-8").split("| Thread | What it does |")[1].split("\n\n")[0]
    return set(re.findall(r"^\| `([\w-]+)` ", table, re.MULTILINE))


def test_every_thread_of_a_server_has_the_name_that_the_page_lists(tmp_path: Path) -> None:
    """All of them, each once but for helpers; and no name is longer than the system shows."""
    before = thread_names()
    with Server(venue_config(tmp_path, low_water_bytes=1, event_log=True)):
        end = time.monotonic() + DEADLINE_S
        while not set(names := thread_names() - before) >= listed_names() and time.monotonic() < end:
            time.sleep(0.01)  # a thread takes its name when it first runs
    assert set(names) == listed_names()
    assert max(map(len, names)) <= 15


def test_a_supervised_thread_with_a_long_name_shows_its_beginning() -> None:
    """The system keeps 15 bytes."""
    done = threading.Event()
    names: list[str] = []

    def work() -> bool:
        names.append((Path("/proc/thread-self") / "comm").read_text().strip())
        done.set()
        return False

    thread = Supervisor().thread("ome-a-name-that-is-long", work, period_s=0.0)
    thread.start()
    assert done.wait(DEADLINE_S)
    thread.stop()
    assert names == ["ome-a-name-that"]
