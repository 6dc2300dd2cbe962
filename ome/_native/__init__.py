"""The typed face of the C library. The only module that touches cffi."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ome._native._ome import ffi, lib

if TYPE_CHECKING:
    from typing import TypeAlias

CData: TypeAlias = Any

__all__ = ["CData", "ffi", "lib"]
