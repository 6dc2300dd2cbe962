"""Write the C source of the extension module `ome._native._ome` from the declarations in the public headers.

Usage: cffi_build.py CSRC OUTPUT_C. The declarations are those of HEADERS, without their preprocessor lines and what is for C++ only; the
compiler checks each against the real headers, because the module is compiled with them (cffi's API mode).
"""

import re
import sys
from pathlib import Path

from cffi import FFI

# Lowest first: each uses the types of those before it.
HEADERS = (
    "abi/ome_status.h",
    "abi/ome_choices.h",
    "concurrent/ome_thread.h",
    "engine/ome_engine_limits.h",
    "engine/ome_sink.h",
    "ome.h",
    "ome_replay_face.h",
    "ome_repair_face.h",
    "ome_reports_face.h",
    "pipeline/ome_venue_config.h",
    "wire/ome_curve_config.h",
    "ome_venue_face.h",
    "ome_requests_face.h",
    "ome_gateway_face.h",
)

# Python reads and writes records as arrays: their fields are not declared to cffi.
RECORDS = """
typedef struct { ...; } ome_command_t;
typedef struct { ...; } ome_event_t;
"""


def declarations(header: Path) -> str:
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", header.read_text(), flags=re.DOTALL)
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def main(csrc: str, output: str) -> None:
    builder = FFI()
    builder.cdef(RECORDS)
    for header in HEADERS:
        builder.cdef(declarations(Path(csrc) / header))
    builder.set_source(
        "ome._native._ome",
        '#include "ome_repair_face.h"\n#include "ome_reports_face.h"\n#include "ome_requests_face.h"\n#include "ome_gateway_face.h"',
        py_limited_api=True,
    )
    builder.emit_c_code(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
