"""The checkers of floors and of house rules see what they are there to see, and let pass what is in order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"


def run(checker: str, root: Path) -> tuple[int, str]:
    """The exit code and the output of a checker on the tree at `root`."""
    result = subprocess.run([sys.executable, str(TOOLS / checker), str(root)], capture_output=True, text=True, check=False)
    assert not result.stderr
    return result.returncode, result.stdout


def write(root: Path, path: str, text: str | bytes) -> None:
    """Writes one file of a small tree."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("ome/engine.py", "from ome.server import Server\n", "ome.server.Server"),
        ("ome/engine.py", "def late() -> None:\n    import ome.server\n", "ome.server"),
        ("ome/engine.py", "from ome.reference import ReferenceEngine\n", "ome.reference.ReferenceEngine"),
        ("ome/engine.py", "from ome import Engine\n", "ome.Engine"),
        ("ome/engine.py", "from . import server\n", "ome.server"),
        ("ome/codec/wire.py", "from ..gateway import Gateway\n", "ome.gateway.Gateway"),
        ("ome/codec/wire.py", "import ome\n", "ome"),
        ("ome/errors.py", "from ome.units import Number\n", "ome.units.Number"),
        ("ome/gateway/__init__.py", "import zmq.utils\n", "zmq.utils"),
        ("ome/server.py", "import click\n", "click"),
        ("ome/client/book.py", "from sortedcontainers import SortedDict\n", "sortedcontainers.SortedDict"),
        ("ome/journal.py", "import pyarrow\n", "pyarrow"),
        ("ome/engine.py", "from cffi import FFI\n", "cffi.FFI"),
        ("ome/engine.py", "from ome._native import _ome\n", "ome._native._ome"),
        ("ome/somewhere.py", "", "ome.somewhere, which stands on no floor"),
        ("csrc/base/ome_clock.h", '#include "engine/ome_engine.h"\n', '"engine/ome_engine.h"'),
        ("csrc/book/ome_book.c", '#include "journal/ome_journal_format.h"\n', '"journal/ome_journal_format.h"'),
        ("csrc/engine/ome_engine.c", '  #  include "concurrent/ome_ring.h"\n', '"concurrent/ome_ring.h"'),
        ("csrc/engine/ome_engine.c", '#include "journal/ome_journal_format.h"\n', '"journal/ome_journal_format.h"'),
        ("csrc/wire/ome_gateway_in.c", '#include "pipeline/ome_venue.h"\n', '"pipeline/ome_venue.h"'),
        ("csrc/pipeline/ome_venue.c", '#include "ome.h"\n', '"ome.h"'),
        ("csrc/wire/ome_frame.c", '#include "../pipeline/ome_venue.h"\n', '"../pipeline/ome_venue.h"'),
        ("csrc/somewhere/ome_x.c", "", "csrc/somewhere, which stands on no floor"),
    ],
)
def test_what_points_up_the_floors_or_aside_is_found(tmp_path: Path, path: str, text: str, found: str) -> None:
    """A folder or module uses only what stands below it, and its own; what is found is named with its place."""
    write(tmp_path, path, text)
    code, output = run("check_floors.py", tmp_path)
    line = text.count("\n") or 1
    assert code == 1
    assert output.startswith(f"{path}:{line}: found {found}; allowed: ")
    assert output.count("\n") == 1


def test_files_that_use_each_other_are_found(tmp_path: Path) -> None:
    """Also where it takes three, and where it is a source that closes the circle; it is told from one to the next."""
    write(tmp_path, "csrc/orders/ome_a.h", '#include "engine/ome_engine.h"\n#include "orders/ome_b.h"\n')
    write(tmp_path, "csrc/orders/ome_b.h", '#include "orders/ome_c.h"\n')
    write(tmp_path, "csrc/orders/ome_c.c", '#include "orders/ome_c.h"\n#include "orders/ome_a.h"\n')
    code, output = run("check_floors.py", tmp_path)
    assert code == 1
    assert output.count("\n") == 1
    assert "the circle orders/ome_" in output
    assert all(output.count(f"orders/ome_{name}") >= 1 for name in "abc")


def test_what_points_down_the_floors_is_let_pass(tmp_path: Path) -> None:
    """A module may import from lower floors, from its own package, and what its table of libraries gives it."""
    write(tmp_path, "ome/__init__.py", "from ome.engine import Engine\n")
    write(tmp_path, "ome/units.py", "from ome.errors import OmeError\n")
    write(tmp_path, "ome/engine.py", "import numpy\nfrom ome import errors\nfrom ome._native import lib\n")
    write(tmp_path, "ome/transport/sockets.py", "import zmq\nfrom ome.transport.context import Context\nfrom . import table\n")
    write(tmp_path, "ome/conformance/tape.py", "from ome.client import OrderEntry\nfrom ome.engine import Engine\n")
    write(tmp_path, "ome/cli/main.py", "import click\nfrom ome.server import Server\n")
    write(tmp_path, "csrc/ome.c", '#include "ome.h"\n#include "wire/ome_frame.h"\n')
    write(tmp_path, "csrc/engine/ome_match.c", '#include "engine/ome_match.h"\n#include <string.h>\n#include "book/ome_book.h"\n')
    assert run("check_floors.py", tmp_path) == (0, "")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A new git repository without files."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "text", "rule"),
    [
        ("docs/A.md", "TO~DO: write\n", "TO~DO: finish it"),
        ("csrc/a.c", "/* a */ /* XX~X */\n", "XX~X: finish it"),
        ("docs/A.md", "see /wor~k/main\n", "/wor~k/: a path of one machine"),
        ("tools/run", "#!/bin/sh\ncd /ho~me/x\n", "/ho~me/: a path of one machine"),
        ("csrc/a.c", "/* a */\n\tint a;\n", "a tab"),
        ("csrc/a.h", '#include "a.h"\n', "opens neither"),
        ("csrc/a/b.c", '#include "a/c.h"\n', "opens neither"),
        ("ome/utils.py", '"""A."""\n', "named utils"),
        ("ome/helpers/__init__.py", '"""A."""\n', "named helpers"),
        ("ome/a.py", "A = 1\n", "has no docstring"),
        ("tools/a", "#!/usr/bin/env python3\nA = 1\n", "has no docstring"),
        ("data.bin", b"\xff" * 400_001, "400001 bytes: at most 400000"),
    ],
)
def test_a_broken_house_rule_is_found(repository: Path, path: str, text: str | bytes, rule: str) -> None:
    """Each rule of the house names file, line and itself when it is broken. A tilde keeps this file from breaking it, too."""
    write(repository, path, text.replace("~", "") if isinstance(text, str) else text)
    code, output = run("check_house_rules.py", repository)
    line = text.count("\n") if isinstance(text, str) and rule.startswith(("/", "a tab")) else 1
    assert code == 1
    assert output.startswith(f"{path}:{line}: {rule.replace('~', '')}")
    assert output.count("\n") == 1


def test_files_in_order_and_files_that_git_ignores_are_let_pass(repository: Path) -> None:
    """Words that only contain a forbidden one, files that open by including their header, data and ignored files break no rule."""
    write(repository, ".gitignore", "build/\n")
    write(repository, "build/a.py", "A = 1\n")
    write(repository, "csrc/a/b.c", '#include "a/b.h"\n')
    write(repository, "csrc/a/b.h", "/* b */\n")
    write(repository, "csrc/a/c.c", '/* c */\nstatic char name[] = "/tmp/c_XXXXXX";\n')
    write(repository, "ome/network/__init__.py", '"""Roots, homes and https://a.example/network/."""\n')
    write(repository, "data.bin", b"\xff" * 400_000)
    assert run("check_house_rules.py", repository) == (0, "")


@pytest.mark.parametrize(("folder", "code"), [("wire", 1), ("orders", 1), ("journal", 1), ("book", 0)])
def test_long_functions_and_files_are_found_where_they_are_to_be_short(repository: Path, folder: str, code: int) -> None:
    """A function of 60 lines passes, one of 61 does not; a file of 600 passes, one of 601 does not. In some folders, not in all."""
    longest = "/* a */\nvoid a(void)\n{\n" + "    b();\n" * 58 + "}\n"
    write(repository, f"csrc/{folder}/ome_a.c", longest)
    write(repository, f"csrc/{folder}/ome_b.h", "/* b */\n" * 600)
    assert run("check_house_rules.py", repository) == (0, "")
    write(repository, f"csrc/{folder}/ome_a.c", longest.replace("    b();\n", "    b();\n    c();\n", 1))
    write(repository, f"csrc/{folder}/ome_b.h", "/* b */\n" * 601)
    found = [
        f"csrc/{folder}/ome_a.c:3: a function of 61 lines: at most 60\n",
        f"csrc/{folder}/ome_b.h:1: 601 lines: at most 600\n",
    ]
    assert run("check_house_rules.py", repository) == (code, "".join(found) if code else "")


@pytest.mark.parametrize("name", ["test_a.c", "a_fixture.h"])
def test_a_long_file_of_the_c_tests_is_found(repository: Path, name: str) -> None:
    """A file of 800 lines passes, one of 801 does not. Its functions may be long: a test tells one story from its beginning to its end."""
    story = "/* a */\nvoid a(void)\n{\n" + "    b();\n" * 796 + "}\n"
    write(repository, f"tests/c/{name}", story)
    assert run("check_house_rules.py", repository) == (0, "")
    write(repository, f"tests/c/{name}", story + "\n")
    assert run("check_house_rules.py", repository) == (1, f"tests/c/{name}:1: 801 lines: at most 800\n")


def test_a_static_function_that_its_file_does_not_name_is_found(repository: Path) -> None:
    """It begins with a word of the file's name, in the singular too; other folders and headers do not matter."""
    text = "/* a */\nstatic int book_take(void)\n{\n}\n\nstatic inline int orders_take(void)\n{\n}\n\nstatic int order_take(void)\n{\n}\n"
    write(repository, "csrc/book/ome_book_orders.c", text)
    write(repository, "csrc/ome.c", text)
    write(repository, "csrc/book/ome_other.h", text)
    assert run("check_house_rules.py", repository) == (0, "")
    write(repository, "csrc/book/ome_book_orders.c", text.replace("book_take", "take"))
    rule = "take: begins with none of book, orders, the words of its file's name"
    assert run("check_house_rules.py", repository) == (1, f"csrc/book/ome_book_orders.c:2: {rule}\n")
