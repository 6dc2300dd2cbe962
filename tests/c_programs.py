"""C programs of tests/c for the tools that start one with arguments of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["build"]

ROOT = Path(__file__).resolve().parent.parent


def build(program: str, folder: str, *definitions: str) -> Path:
    """Builds the program in build/`folder` with these CMake definitions, where it is not up to date; ends the process where it cannot."""
    place = ROOT / "build" / folder
    environment = {**os.environ, "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    for command in (
        ["cmake", "-S", str(ROOT / "csrc"), "-B", str(place), "-G", "Ninja", *(f"-D{definition}" for definition in definitions)],
        ["cmake", "--build", str(place), "--target", program],
    ):
        made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            sys.exit(f"{made.stdout}{made.stderr}{program} could not be built in {place}: see above")
    return place / program
