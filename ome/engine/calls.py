"""A C engine that Python may use: by one call at a time, and not once it is closed, or in a fork of the process."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar
from weakref import WeakSet

from ome._native import CData
from ome.errors import OmeError

__all__ = ["ConcurrentUseError", "EngineClosedError", "Handle", "concurrent_use", "one_call"]

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V", bound="_HasHolder")


class EngineClosedError(OmeError):
    """The engine was closed before this call, or made before a fork of this process."""


class ConcurrentUseError(OmeError, RuntimeError):
    """Another call on the same engine had not returned yet: in another thread, or in what a signal interrupted. This call did nothing."""


class Handle:
    """The C engine of a view: `engine` is its pointer, or raises EngineClosedError. `pointer` is None once it cannot be used any more."""

    __slots__ = ("__weakref__", "closed", "holder", "pointer")

    def __init__(self, pointer: CData) -> None:
        self.pointer = pointer
        self.closed = "closed"  # what an engine is that cannot be used any more
        self.holder: dict[str, object] = {}  # of the call that runs: one_call
        _HANDLES.add(self)

    @property
    def engine(self) -> CData:
        """The pointer. Raises EngineClosedError where the engine was closed, or made before a fork."""
        if self.pointer is None:
            raise EngineClosedError("engine", found=self.closed, allowed="an open engine of this process")
        return self.pointer


_HANDLES: Final[WeakSet[Handle]] = WeakSet()  # all of this process, for _leave_behind


def _leave_behind() -> None:
    """In a fork: its copies of engines may be in the middle of a call that will never return here, so none is used again."""
    for handle in list(_HANDLES):
        handle.pointer = None
        handle.closed = "made before a fork of this process"
        handle.holder.clear()


os.register_at_fork(after_in_child=_leave_behind)


class _HasHolder(Protocol):
    """What has methods that are calls: `_holder` is that of its handle."""

    _holder: dict[str, object]


def one_call(method: Callable[Concatenate[V, P], R]) -> Callable[Concatenate[V, P], R]:
    """Lets a method run only while no other call on the engine does, and otherwise raises ConcurrentUseError.

    The GIL is released while C runs, so another thread may call meanwhile. `setdefault` takes the engine in one step, in which no other
    thread and no signal handler can come between, and notes by whom: so whatever ends the call, even a KeyboardInterrupt before the first
    line, the engine is given back exactly where it was taken. No function is called on the way back, since a signal could end that.
    """

    @functools.wraps(method)
    def call(self: V, /, *args: P.args, **kwargs: P.kwargs) -> R:
        holder, token = self._holder, object()
        try:
            if holder.setdefault("call", token) is not token:
                raise concurrent_use()
            return method(self, *args, **kwargs)
        finally:
            if "call" in holder and holder["call"] is token:
                del holder["call"]

    return call


def concurrent_use() -> ConcurrentUseError:
    """What a call raises while another one runs."""
    return ConcurrentUseError("engine", found="another call that has not returned", allowed="one call at a time")
