"""The memory of an embedded engine: made, moved to other limits, given back."""

from __future__ import annotations

from ome._native import CData, ffi, lib
from ome.engine.calls import Handle
from ome.engine.state import limits_in, limits_of, misfit, sessions_of, state_of
from ome.messages import Limits

__all__ = ["create", "destroy", "resize"]


def create(limits: Limits) -> tuple[CData, CData]:
    """An engine of these limits and a batch for its events: an ome_engine_t * and an ome_batch_t *. Raises MemoryError."""
    engine = ffi.new("ome_engine_t **")
    batch = ffi.new("ome_batch_t **")
    if lib.ome_engine_create(limits_of(limits), engine) != lib.OME_OK or lib.ome_batch_create(batch) != lib.OME_OK:
        raise MemoryError(f"no memory for an engine of {limits}")
    return engine[0], batch[0]


def resize(handle: Handle, limits: Limits) -> None:
    """Moves an engine to other limits. Raises InvalidValueError where something does not fit, MemoryError; then nothing has changed."""
    engine = handle.engine
    pointer = ffi.new("ome_engine_t **", engine)
    status = lib.ome_engine_resize(pointer, limits_of(limits))
    if status == lib.OME_FULL:
        raise misfit(state_of(engine), sessions_of(engine), limits_in(engine).rules_version, limits, "resize")
    if status != lib.OME_OK:
        raise MemoryError(f"no memory for an engine of {limits}")
    handle.pointer = pointer[0]


def destroy(handle: Handle, batch: CData) -> None:
    """Gives the memory of both back."""
    lib.ome_batch_destroy(batch)
    lib.ome_engine_destroy(handle.pointer)
    handle.pointer = None
