"""Write the C source of the extension module `ome._native._ome` from the declarations in ome.h.

Usage: cffi_build.py OME_H OUTPUT_C. The declarations are ome.h and abi/ome_status.h without their preprocessor lines; the compiler checks each
against the real headers, because the module is compiled with them (cffi's API mode).
"""

import sys
from pathlib import Path

from cffi import FFI


def declarations(header: Path) -> str:
    return "\n".join(line for line in header.read_text().splitlines() if not line.startswith("#"))


def main(header: str, output: str) -> None:
    face = Path(header)
    builder = FFI()
    builder.cdef(declarations(face.parent / "abi" / "ome_status.h"))
    builder.cdef(declarations(face))
    builder.set_source("ome._native._ome", '#include "ome.h"', py_limited_api=True)
    builder.emit_c_code(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
