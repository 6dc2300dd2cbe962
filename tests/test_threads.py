"""The threads of a server's process, as the system shows them: each has a name, and there are no others."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from venues import VenueProcess, config_file, venue_config

from ome._native import lib
from ome.messages import Limits
from ome.metrics import Counters as VenueCounters
from ome.orderflow import order_flow
from ome.server import Server
from ome.supervision import Supervisor

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parent.parent / "docs" / "OPERATING.md"
DEADLINE_S = 20.0
LINUX = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
FLOW = order_flow(seed=1, count=100_000)


def thread_names(process: int) -> Counter[str]:
    """Of the threads of a process, without its main thread."""
    found: Counter[str] = Counter()
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            found[(task / "comm").read_text("utf-8").strip()] += int(task.name) != process
    return +found


def watched_files_in(directory: Path) -> dict[str, Any]:
    """A keys file that admits nobody, and an accounts file that names nobody: each is watched by a thread of the venue."""
    files = {name: directory / f"{name}.toml" for name in ("keys_file", "accounts_file")}
    for path in files.values():
        path.write_text("", encoding="utf-8")
    return files


def fault_counts() -> Counter[str]:
    """How many page faults the threads of this process had, by their names; the field `minflt` of /proc/.../stat."""
    found: Counter[str] = Counter()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            name, fields = re.fullmatch(r"\d+ \((.*)\) (.*)\n", (task / "stat").read_text("utf-8")).groups()  # type: ignore[union-attr]
            found[name] += int(fields.split()[7])
    return found


def listed_names() -> set[str]:
    """Those of the table of threads in docs/OPERATING.md."""
    table = PAGE.read_text("utf-8").split("| Thread | What it does |")[1].split("\n\n")[0]
    return set(re.findall(r"^\| `([\w-]+)` ", table, re.MULTILINE))


def test_every_thread_of_a_server_has_the_name_that_the_page_lists(tmp_path: Path) -> None:
    """All of them, each once but for helpers; and no name is longer than the system shows. Only `ome run` writes a log."""
    expected = listed_names() - {"ome-log"}
    before = thread_names(os.getpid())
    with Server(venue_config(tmp_path / "journal", low_water_bytes=1, event_log=True, gateway="process", **watched_files_in(tmp_path))):
        end = time.monotonic() + DEADLINE_S
        while not set(names := thread_names(os.getpid()) - before) >= expected and time.monotonic() < end:
            time.sleep(0.01)  # a thread takes its name when it first runs
    assert set(names) == expected
    assert max(map(len, names)) <= 15


@pytest.mark.skipif(LINUX < (5, 14), reason="the system cannot touch memory ahead")
def test_the_threads_of_the_pipeline_find_their_memory_touched(tmp_path: Path) -> None:
    """With the limits of the example: a thread that had to wait for its pages would have 100 faults and more."""
    with Server(venue_config(tmp_path, event_log=True, limits=Limits())) as server, VenueCounters(tmp_path) as venue_counters:
        before = fault_counts()
        for start in range(0, len(FLOW), 1_000):
            while server.submit(FLOW[start : start + 1_000]) == lib.OME_FULL:
                time.sleep(0.001)
        end = time.monotonic() + DEADLINE_S
        while venue_counters.values()["events.number"] < len(FLOW) and time.monotonic() < end:
            time.sleep(0.01)
        faults = fault_counts()
    faults.subtract(before)
    assert all(faults[name] < 50 for name in ("ome-match", "ome-journal", "ome-event-log")), faults


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


def thread_count_of(program: str, **environment: str) -> int:
    """How many threads a process has after it ran this program."""
    count = "import os\nprint(len(os.listdir('/proc/self/task')), os.environ.get('OPENBLAS_NUM_THREADS', '-'))"
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{count}"], env=clean | environment, capture_output=True, text=True, check=True
    )
    number, setting = done.stdout.split()
    assert setting == environment.get("OPENBLAS_NUM_THREADS", "-"), "the environment is left as it was"
    return int(number)


@pytest.mark.parametrize("module", ["ome", "ome.server", "ome.cli.main", "ome.cli.admin", "ome.client"])
def test_an_import_of_ome_starts_no_thread(module: str) -> None:
    """numpy's library would start one for each further core, and these spin."""
    assert thread_count_of(f"import {module}") == 1


def test_who_imports_numpy_first_or_sets_its_threads_decides_them() -> None:
    """As many threads as numpy starts by itself; or as the variable says."""
    alone = thread_count_of("import numpy")
    assert thread_count_of("import numpy, ome") == alone
    assert thread_count_of("import ome", OPENBLAS_NUM_THREADS="2") == thread_count_of("import numpy", OPENBLAS_NUM_THREADS="2")


def test_a_running_venue_has_no_thread_but_its_own(tmp_path: Path) -> None:
    """`ome run` in a process of its own: the main thread and those of the page."""
    with VenueProcess(config_file(tmp_path, low_water_bytes=1, **watched_files_in(tmp_path))) as venue:
        venue.start()
        end = time.monotonic() + DEADLINE_S
        while not set(names := thread_names(venue.pid)) >= listed_names() and time.monotonic() < end:
            time.sleep(0.01)
        assert set(names) == listed_names()
