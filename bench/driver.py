"""The native parts, `ome_bench`, `ome_instructions` and the library of the wire's loops: built when stale, run, and their lines read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figure import Sample
from ome.errors import OmeError

__all__ = ["DriverError", "Output", "build", "run", "run_bytes"]

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
DRIVER = BUILD / "bench" / "ome_bench"
INSTRUCTIONS = BUILD / "bench" / "ome_instructions"
WIRE_LIBRARY = BUILD / "bench" / "libome_bench_wire.so"


class DriverError(OmeError):
    """The driver could not be built, or a check in it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What one run of the driver printed: its lines by type, in order."""

    lines: Sequence[Mapping[str, object]]

    def one(self, kind: str) -> dict[str, object]:
        """The line of a type that occurs once, without its type."""
        (line,) = (line for line in self.lines if line["type"] == kind)
        return {key: value for key, value in line.items() if key != "type"}

    def of(self, kind: str, subject: str) -> list[Mapping[str, object]]:
        """All lines of a type about one subject."""
        return [line for line in self.lines if line["type"] == kind and line["subject"] == subject]

    def samples(self, subject: str) -> list[Sample]:
        """The timed runs of one subject."""
        return [Sample(operations=_int(line["operations"]), elapsed_ns=_int(line["elapsed_ns"])) for line in self.of("sample", subject)]


def _int(value: object) -> int:
    assert isinstance(value, int), "the driver prints counts as integers"
    return value


def _call(command: Sequence[str | Path], directory: Path | None = None) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False, cwd=directory)
    if done.returncode != 0:
        output = (done.stdout + done.stderr).decode(errors="replace")[-4000:]
        what = f"{output}\nexit status of {' '.join(str(part) for part in command)}"
        raise DriverError(what, found=done.returncode, allowed="0")
    return done.stdout


def build() -> None:
    """Builds them in build/bench when a source is newer. Raises DriverError where there is no cmake or no compiler, or it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    cmake = shutil.which("cmake", path=path)
    if cmake is None:
        raise DriverError("cmake", where="PATH", found="nothing", allowed="CMake 3.20 or later")
    if not (BUILD / "CMakeCache.txt").exists():
        _call([cmake, "-S", ROOT / "csrc", "-B", BUILD, "-DOME_BENCH=ON", "-DCMAKE_BUILD_TYPE=Release"])
    _call([cmake, "--build", BUILD])


def run_bytes(name: str, *, count: int, repeat: int, seed: int) -> bytes:
    """What the driver's benchmark `name` prints. It writes files, if any, to a folder in build/bench that is removed afterwards.

    Raises DriverError when a check in it fails.
    """
    with tempfile.TemporaryDirectory(dir=BUILD) as directory:
        return _call([DRIVER, name, "--count", str(count), "--repeat", str(repeat), "--seed", str(seed)], Path(directory))


def run(name: str, *, count: int, repeat: int, seed: int) -> Output:
    """As `run_bytes`, for benchmarks that print JSON lines."""
    printed = run_bytes(name, count=count, repeat=repeat, seed=seed).decode()
    return Output(lines=[json.loads(line) for line in printed.splitlines()])
