"""Check that every folder and module uses only what stands below it: tools/check_floors.py [ROOT]

The tables below are those of docs/ARCHITECTURE.md. A module may import from lower floors and from its own package; modules that share a
floor are strangers. What is found is printed, one line each, with file and line, what it uses and what it may use. Ends with 0, or 1 if
anything was found.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

# Lowest first.
PYTHON_FLOORS = (
    ("errors", "units", "enums", "numerics"),
    ("attributes", "flood", "tables"),
    ("messages", "instruments"),
    ("config", "codec", "_native", "lock", "supervision", "keys", "accounts", "log"),
    (
        "engine",
        "reference",
        "journal",
        "sessions",
        "phases",
        "risk",
        "marketdata",
        "clearing",
        "metrics",
        "admission",
        "orderflow",
        "descriptors",
        "storage",
        "audit",
    ),
    ("recovery", "clock"),
    ("transport",),
    ("client",),
    ("gateway", "publisher", "replication", "conformance"),
    ("server",),
    ("cli",),
    ("__init__", "__main__"),
)
# Of strangers, who may use whom all the same: what refuses a value raises an error of ome; only the C library can name a thread.
PYTHON_EXCEPTIONS = {("units", "errors"), ("supervision", "_native"), ("log", "_native")}
# Libraries that only some modules may import.
LIBRARIES = {
    "zmq": ("transport", "keys"),
    "nacl": ("transport", "keys"),
    "click": ("cli",),
    "sortedcontainers": ("reference", "marketdata"),
    "pyarrow": ("recovery",),
    "cffi": ("_native",),
    "_cffi_backend": ("_native",),
}
# Modules inside a package that only the package itself may import.
PRIVATE = {"ome._native._ome": "_native"}

# The files of csrc/ itself are the top floor.
C_ROOT = "."
C_FLOORS = (
    ("abi",),
    ("base",),
    ("concurrent", "book", "journal"),
    ("engine",),
    ("matching",),
    ("orders",),
    ("commands", "state"),
    ("pipeline", "wire"),
    (C_ROOT,),
    ("examples",),
)
# The engine is a pure state machine: it knows neither threads nor files.
C_FORBIDDEN = dict.fromkeys(("engine", "matching", "orders", "commands", "state"), ("concurrent", "journal"))
C_INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One line that uses what it may not."""

    path: Path
    line: int
    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: found {self.found}; allowed: {self.allowed}"


def floor_of(floors: tuple[tuple[str, ...], ...], name: str) -> int | None:
    """The number of the floor on which `name` stands, the lowest is 0; None if it stands on none."""
    return next((number for number, names in enumerate(floors) if name in names), None)


def names_below(floors: tuple[tuple[str, ...], ...], floor: int) -> list[str]:
    """All names on floors below `floor`."""
    return [name for names in floors[:floor] for name in names]


def imported_modules(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every module imported anywhere in `tree`, which belongs to `package`; `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def check_import(module: str, imported: str) -> str | None:
    """What the module on a floor may use, when it may not use `imported`; None when it may."""
    library = imported.partition(".")[0]
    if library in LIBRARIES and module not in LIBRARIES[library]:
        return f"{library} only in {', '.join(LIBRARIES[library])}"
    for private, owner in PRIVATE.items():
        if f"{imported}.".startswith(f"{private}.") and module != owner:
            return f"{private} only in {owner}"
    if library != "ome":
        return None
    target = (imported.split(".")[1:] or ["__init__"])[0]
    floor, target_floor = floor_of(PYTHON_FLOORS, module), floor_of(PYTHON_FLOORS, target)
    assert floor is not None
    if target == module or (module, target) in PYTHON_EXCEPTIONS or (target_floor is not None and target_floor < floor):
        return None
    exceptions = [below for above, below in sorted(PYTHON_EXCEPTIONS) if above == module]
    return ", ".join(f"ome.{name}" for name in (*names_below(PYTHON_FLOORS, floor), *exceptions)) or "nothing of ome"


def check_python(root: Path) -> Iterator[Violation]:
    """Every import in `root`/ome that points up, aside, or at a library kept for others."""
    for path in sorted((root / "ome").rglob("*.py")):
        place = path.relative_to(root)
        module = place.with_suffix("").parts[1]
        if floor_of(PYTHON_FLOORS, module) is None:
            yield Violation(path=place, line=1, found=f"ome.{module}, which stands on no floor", allowed="modules of the table of floors")
            continue
        for line, imported in imported_modules(ast.parse(path.read_text(encoding="utf-8"), str(path)), ".".join(place.parent.parts)):
            allowed = check_import(module, imported)
            if allowed is not None:
                yield Violation(path=place, line=line, found=imported, allowed=allowed)


def check_c(root: Path) -> Iterator[Violation]:
    """Every #include "..." in `root`/csrc that points up, aside, or at what its folder may not know."""
    for path in sorted((root / "csrc").rglob("*.[ch]")):
        place = path.relative_to(root)
        folder = place.parts[1] if len(place.parts) > 2 else C_ROOT
        floor = floor_of(C_FLOORS, folder)
        if floor is None:
            yield Violation(path=place, line=1, found=f"csrc/{folder}, which stands on no floor", allowed="folders of the table of floors")
            continue
        forbidden = C_FORBIDDEN.get(folder, ())
        allowed = [folder, *(name for name in names_below(C_FLOORS, floor) if name not in forbidden)]
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = C_INCLUDE.match(text)
            if match is None:
                continue
            head, slash, _ = match[1].partition("/")
            if (head if slash else C_ROOT) not in allowed:
                yield Violation(path=place, line=line, found=f'"{match[1]}"', allowed=", ".join(allowed))


def check_circles(root: Path) -> Iterator[Violation]:
    """One circle of files in `root`/csrc that include each other, if there is any. A header and the source of its name are one."""
    uses: dict[str, dict[str, tuple[Path, int]]] = {}
    for path in sorted((root / "csrc").rglob("*.[ch]")):
        place = path.relative_to(root / "csrc")
        name = place.with_suffix("").as_posix()
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = C_INCLUDE.match(text)
            used = match[1].removesuffix(".h") if match else name
            if used != name:
                uses.setdefault(name, {}).setdefault(used, (Path("csrc") / place, line))
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        place, line = uses[circle[1]][circle[0]]
        yield Violation(path=place, line=line, found=f"the circle {' <- '.join(circle)}", allowed="files that do not use each other")


def main(arguments: list[str]) -> int:
    """Checks the tree at the root given, or the repository; returns the exit code."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    violations = [*check_python(root), *check_c(root), *check_circles(root)]
    for violation in violations:
        print(violation)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
