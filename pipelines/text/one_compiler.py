"""numba's cache on disk, with a lock: one process compiles a kernel, and all others that want it load it.

Workers that start a step together want the same kernels at the same moment. Without the lock each compiles
all of them, which takes tens of seconds of every core, and of two that save signatures of one function at
once, one can be lost.

A lock is one file a function beside its compiled code, held from the moment that the cache lacks a signature
until the code is saved. A function waits only for functions that it calls, so processes never wait for one
another in a circle. The system releases the lock of a process that dies. Where the folder cannot be locked,
each compiles.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EACCES, errno.EPERM, errno.EROFS)


def keep_once(dispatcher: Any) -> Any:
    """The same as `cache=True` of `njit`, with the lock. Returns the dispatcher."""
    cache = OneCompiler(dispatcher.py_func)
    dispatcher._cache = cache
    compile_function = dispatcher._compiler.compile

    def compile_or_release(*arguments: Any) -> Any:
        try:
            return compile_function(*arguments)
        except BaseException:  # numba tries some kinds of arguments that it then gives up
            cache.release()
            raise

    dispatcher._compiler.compile = compile_or_release
    return dispatcher


class OneCompiler(FunctionCache):  # type: ignore[misc]
    """The cache of one function: numba calls `load_overload`, compiles on None, and calls `save_overload`."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self.lock = Path(self.cache_path) / f"{self._impl.filename_base}.lock"
        self._held: list[int | None] = []  # descriptors: a function may need itself for other types

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code for a signature, or None, and then this process is the one to compile it."""
        found = super().load_overload(sig, target_context)
        if found is not None:
            return found
        self._held.append(None if self._held else self._acquire())
        found = super().load_overload(sig, target_context)  # another process may have made it meanwhile
        if found is not None:
            self.release()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled, and let the others have it."""
        try:
            super().save_overload(sig, data)
        finally:
            self.release()

    def _acquire(self) -> int | None:
        try:
            self._impl.locator.ensure_cache_path()
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return None
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _UNSUPPORTED:
                return None
            raise
        return descriptor

    def release(self) -> None:
        """Let another process compile; does nothing where no lock is held."""
        if self._held:
            descriptor = self._held.pop()
            if descriptor is not None:
                os.close(descriptor)
