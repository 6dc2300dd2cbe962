"""Check the rules of the house on every file that git tracks, or would: tools/check_house_rules.py [ROOT]

What is found is printed, one line each, with file and line and the rule. Ends with 0, or 1 if anything was found. Formatting is the
formatters' work and is not checked here.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SIZE_MAX_BYTES = 400_000
# One letter of each is in brackets so that this file keeps the rules it checks.
LEFT_OPEN = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(wor[k]|roo[t]|hom[e])/")
MODULE_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "manager"}
C_SUFFIXES = {".c", ".h", ".cpp"}
# What one has to read at once: in these folders of csrc/ a function fits a screen, and a file can be read in one go.
SHORT_FOLDERS = {"journal", "engine", "matching", "orders", "commands", "state", "pipeline", "wire"}
FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 600
# Not the parts of the public interface, ome.c and the faces: they have no folder.
STATIC_FUNCTION = re.compile(
    r"^(?:static (?:inline )?|OME_ALWAYS_INLINE |OME_NEVER_INLINE )(?!_Alignas)[\w \*]*?\b(?!ome_)(\w+)\([^;]*?\)\n\{", re.MULTILINE
)
# A C test has one subject; what several have in common is in a header beside them.
C_TESTS = ("tests", "c")
C_TEST_LINES_MAX = 800
# A client is small enough to be read before it is trusted.
CLIENT_LINES_MAX = 600


def tracked_files(root: Path) -> list[Path]:
    """The files of the work tree at `root` that git tracks, and those that it neither tracks nor ignores; relative to `root`."""
    listing = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"], check=True, capture_output=True
    )
    names = sorted(set(listing.stdout.decode().split("\0")) - {""})
    return [Path(name) for name in names if (root / name).is_file()]


def is_python(path: Path, text: str) -> bool:
    """Whether it is a Python module or a script that Python runs."""
    return path.suffix == ".py" or (not path.suffix and re.match(r"#!.*\bpython3?\b", text) is not None)


def check_lines(text: str) -> Iterator[tuple[int, str]]:
    """Line and broken rule, for the rules that hold for every line of text."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := LEFT_OPEN.search(line):
            yield number, f"{match[0]}: finish it, or say in words what does not exist"
        if match := MACHINE_PATH.search(line):
            yield number, f"{match[0]}: a path of one machine"
        if "\t" in line:
            yield number, "a tab: indent with spaces"


def check_c(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Line and broken rule of a C or C++ file: it opens by saying what it is, or includes its header, which does, before all else."""
    own_header = path.suffix != ".h" and re.match(rf'#include "([\w/]+/)?{re.escape(path.stem)}\.h"', text)
    if not text.startswith(("/*", "//")) and not own_header:
        yield 1, "opens neither with a comment that says what it is nor with its own header"


def check_c_length(text: str, lines_max: int) -> Iterator[tuple[int, str]]:
    """Line and broken rule of a C file that has more lines than it may have."""
    count = len(text.splitlines())
    if count > lines_max:
        yield 1, f"{count} lines: at most {lines_max}"


def check_c_statics(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Line and broken rule of a C file: a static function begins with a word of the file's name, so that a search finds where it is."""
    words = path.stem.removeprefix("ome_").split("_")
    allowed = {form for word in words for form in (word, word.removesuffix("s"))}
    for match in STATIC_FUNCTION.finditer(text):
        if match[1].split("_")[0] not in allowed:
            line = text.count("\n", 0, match.start()) + 1
            yield line, f"{match[1]}: begins with none of {', '.join(words)}, the words of its file's name"


def check_c_functions(text: str) -> Iterator[tuple[int, str]]:
    """Line and broken rule of a C file whose functions are to be short. A function's braces stand at the beginning of their lines."""
    begin = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line == "{":
            begin = number
        elif line == "}" and begin:
            if number - begin + 1 > FUNCTION_LINES_MAX:
                yield begin, f"a function of {number - begin + 1} lines: at most {FUNCTION_LINES_MAX}"
            begin = 0


def check_python(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Line and broken rule of a Python file."""
    if path.stem in MODULE_NAMES or path.parent.name in MODULE_NAMES:
        yield 1, f"named {path.stem if path.stem in MODULE_NAMES else path.parent.name}: name it for its concept"
    if not ast.get_docstring(ast.parse(text, str(path))):
        yield 1, "has no docstring"


def check_file(root: Path, path: Path) -> Iterator[tuple[int, str]]:
    """Line and broken rule, for every rule that `root`/`path` breaks."""
    data = (root / path).read_bytes()
    if len(data) > SIZE_MAX_BYTES:
        yield 1, f"{len(data)} bytes: at most {SIZE_MAX_BYTES}"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    yield from check_lines(text)
    if path.suffix in C_SUFFIXES:
        yield from check_c(path, text)
        if path.parts[0] == "csrc" and path.parts[1] in SHORT_FOLDERS:
            yield from check_c_length(text, FILE_LINES_MAX)
            yield from check_c_functions(text)
        if path.parts[0] == "clients" and path.name != "ome_messages.h":
            yield from check_c_length(text, CLIENT_LINES_MAX)
            yield from check_c_functions(text)
        if path.suffix == ".c" and path.parts[0] == "csrc" and len(path.parts) == 3 and path.parts[1] != "examples":
            yield from check_c_statics(path, text)
        if path.parts[:2] == C_TESTS:
            yield from check_c_length(text, C_TEST_LINES_MAX)
    elif is_python(path, text):
        yield from check_python(path, text)


def main(arguments: list[str]) -> int:
    """Checks the work tree at the root given, or the repository; returns the exit code."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    found = 0
    for path in tracked_files(root):
        for line, rule in check_file(root, path):
            print(f"{path}:{line}: {rule}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
