"""The first import of numpy. numpy's library for linear algebra starts a thread for each further core as soon as it is loaded, and these
threads spin for a while; ome has no linear algebra, and a venue needs its cores. So the library is loaded with one thread.

Who imports numpy before ome, or sets OPENBLAS_NUM_THREADS, decides it: then nothing is changed. The environment is left as it was.
"""

from __future__ import annotations

import os
import sys
from typing import Final

__all__: list[str] = []

_THREADS: Final = "OPENBLAS_NUM_THREADS"  # before OMP_NUM_THREADS, which others obey too

if "numpy" not in sys.modules and _THREADS not in os.environ:
    os.environ[_THREADS] = "1"
    try:
        import numpy  # noqa: F401
    finally:
        del os.environ[_THREADS]
