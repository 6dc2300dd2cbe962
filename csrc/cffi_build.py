"""Write the C source of the extension module `ome._native._ome` from the declarations in ome.h.

Usage: cffi_build.py OME_H OUTPUT_C. The declarations are ome.h and the two headers that it includes, without their preprocessor lines; the
compiler checks each against the real headers, because the module is compiled with them (cffi's API mode).
"""

import sys
from pathlib import Path

from cffi import FFI

# A socket table whose functions are Python's: the fallback where libzmq cannot be found.
PYTHON_SOCKET = """
extern "Python" {
    ome_status_t ome_python_receive(void *context, ome_socket_message_t *message);
    ome_status_t ome_python_send(
        void *context, const uint8_t *peer, uint32_t peer_size_bytes, const uint8_t *data, uint32_t data_size_bytes);
    ome_status_t ome_python_wait(void *context, int event_fd, uint32_t timeout_ms);
}
"""


def declarations(header: Path) -> str:
    return "\n".join(line for line in header.read_text().splitlines() if not line.startswith("#"))


def main(header: str, output: str) -> None:
    face = Path(header)
    builder = FFI()
    builder.cdef(declarations(face.parent / "abi" / "ome_status.h"))
    builder.cdef(declarations(face.parent / "wire" / "ome_socket.h"))
    builder.cdef(declarations(face))
    builder.cdef(PYTHON_SOCKET)
    builder.set_source("ome._native._ome", '#include "ome.h"', py_limited_api=True)
    builder.emit_c_code(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
