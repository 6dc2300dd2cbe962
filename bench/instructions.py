"""Instructions that one operation costs, counted by callgrind, and the bounds that they are held to: python -m bench.instructions [--store]

Unlike times these do not depend on who else uses the machine: two runs of the same program give the same count. Prints what is counted
beside the bound; --store makes what is counted now the new bounds, with 5 % to spare. A bound belongs to a compiler and a processor family.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench import driver
from bench.driver import DriverError

__all__ = ["BOUNDS", "OPERATIONS", "bounds", "count", "family", "has_valgrind"]

BOUNDS = Path(__file__).resolve().parent / "instructions.json"
OPERATIONS = (
    "add",
    "cancel",
    "trade",
    "add-day",
    "add-post-only",
    "market",
    "fill-or-kill",
    "reduce",
    "amend-down",
    "cancel-by-order-id",
    "refuse",
    "mass-cancel",
    "trade-trailing",
)

_FEW, _MANY = 1_000, 3_000  # operations; with as many digits, so that the start of the process is the same
_SPARE_PERCENT = 5


def has_valgrind() -> bool:
    """Whether valgrind is there."""
    return shutil.which("valgrind") is not None


def family() -> str:
    """The compiler that the driver was built with, without its version, and the processor's family: what a bound belongs to."""
    compiler = str(driver.run("book-seed", count=1, repeat=1, seed=1).one("build")["compiler"]).split()[0]
    return f"{compiler}-{platform.machine()}"


def _total(operation: str, operations: int) -> int:
    """Instructions of a whole process."""
    with tempfile.TemporaryDirectory(dir=driver.BUILD) as directory:
        output = Path(directory) / "callgrind.out"
        command = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={output}"]
        done = subprocess.run([*command, driver.INSTRUCTIONS, operation, str(operations)], capture_output=True, text=True, check=False)
        found = re.search(r"^(?:totals|summary): (\d+)", output.read_text(encoding="utf-8"), re.MULTILINE) if output.exists() else None
        if done.returncode != 0 or found is None:
            raise DriverError(f"{done.stderr}\nexit status of {' '.join(command)}", found=done.returncode, allowed="0 and a total")
        return int(found[1])


def count(operation: str) -> float:
    """Instructions of one operation: what more of them cost more, divided by how many more there are.

    Raises DriverError where callgrind fails, or the operations do something else than they are named for.
    """
    return (_total(operation, _MANY) - _total(operation, _FEW)) / (_MANY - _FEW)


def bounds() -> Mapping[str, Mapping[str, int]]:
    """The most instructions that each operation may cost, by family."""
    stored: dict[str, dict[str, int]] = json.loads(BOUNDS.read_text(encoding="utf-8")) if BOUNDS.exists() else {}
    return stored


def main() -> int:
    """Counts, prints, and stores where asked to."""
    arguments = sys.argv[1:]
    if arguments not in ([], ["--store"]):
        print(__doc__, file=sys.stderr)
        return 2
    driver.build()
    here = family()
    stored = {name: dict(found) for name, found in bounds().items()}
    counted = {operation: count(operation) for operation in OPERATIONS}
    for operation, instructions in counted.items():
        print(f"{here} {operation:<18} {instructions:>8.1f} bound {stored.get(here, {}).get(operation, 'none')}")
    if arguments:
        stored[here] = {operation: int(instructions * (100 + _SPARE_PERCENT) / 100) for operation, instructions in counted.items()}
        BOUNDS.write_text(json.dumps(stored, indent=4, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
