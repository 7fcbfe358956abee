"""Starts a process while other threads go on.

`subprocess` and `os.posix_spawn` keep the interpreter until the new program is loaded: 1 to 12 ms,
34 on a machine that was busy, in which no page is answered. The same call of the C library's,
called by `ctypes`, leaves it to others.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

_ROOM = 512
"""Bytes for a list of actions, which is the C library's own; glibc needs 80, musl 80, macOS 8."""

_KEPT = 3


class QuietProcess:
    """A child that reads what it is given, and is waited for by a thread."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        given: bytes,
        kept: int | None = None,
        on_end: Callable[[int], None] = lambda _code: None,
    ) -> None:
        """Run a program, its path first; its descriptor 3 is our `kept`, its output goes nowhere.

        `on_end` gets its exit code, in the thread that waits for it.

        Raises
        ------
        OSError
            If it cannot be started.
        """
        self._on_end = on_end
        self.returncode: int | None = None
        """Once it has ended; negative for a signal."""
        self._has_ended = Event()
        theirs, ours = os.pipe()
        try:
            self.pid = _spawn(command, environment, theirs, kept)
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        # It reads once it has started, and none is left behind when it ends by itself.
        attending = Thread(target=self._attend, args=(ours, given), daemon=True)
        try:
            attending.start()
        except RuntimeError as error:
            os.close(ours)  # there is nothing to read then, so it ends
            raise OSError(errno.EAGAIN, str(error)) from error

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for its end, at most so long; return the exit code if it has ended."""
        self._has_ended.wait(timeout_s)
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end, unless it has."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def _attend(self, pipe: int, given: bytes) -> None:
        with suppress(BrokenPipeError), os.fdopen(pipe, "wb") as file:
            file.write(given)
        try:
            _, status = os.waitpid(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
        except ChildProcessError:  # ended children are waited for by the system, if it was told so
            code = 0
        self.returncode = code
        try:
            self._on_end(code)
        finally:
            self._has_ended.set()


def _others(kept: int | None) -> list[int]:
    """List what the child would have too, such as the socket at which workers listen."""
    first = _KEPT + (kept is not None)
    found = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    return [one for one in found if one >= first and _is_inheritable(one)]


def _is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:  # it is closed by now
        return False


if sys.platform == "linux":
    _library = ctypes.CDLL(None)

    def _spawn(
        command: Sequence[str], environment: Mapping[str, str], stdin: int, kept: int | None
    ) -> int:
        actions = ctypes.create_string_buffer(_ROOM)
        pid = ctypes.c_int()
        _check(_library.posix_spawn_file_actions_init(actions))
        try:
            nowhere = os.fsencode(os.devnull)
            _check(_library.posix_spawn_file_actions_adddup2(actions, stdin, 0))
            _check(_library.posix_spawn_file_actions_addopen(actions, 1, nowhere, os.O_WRONLY, 0))
            if kept is not None:
                _check(_library.posix_spawn_file_actions_adddup2(actions, kept, _KEPT))
            for other in _others(kept):
                _check(_library.posix_spawn_file_actions_addclose(actions, other))
            path = os.fsencode(command[0])
            words = _texts(command)
            variables = _texts([f"{name}={value}" for name, value in environment.items()])
            _check(_library.posix_spawn(ctypes.byref(pid), path, actions, None, words, variables))
        finally:
            _library.posix_spawn_file_actions_destroy(actions)
        return pid.value

    def _texts(texts: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
        return (ctypes.c_char_p * (len(texts) + 1))(*map(os.fsencode, texts), None)

    def _check(error: int) -> None:
        if error:
            raise OSError(error, os.strerror(error))
else:

    def _spawn(
        command: Sequence[str], environment: Mapping[str, str], stdin: int, kept: int | None
    ) -> int:
        actions = [
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            *(() if kept is None else ((os.POSIX_SPAWN_DUP2, kept, _KEPT),)),
            *((os.POSIX_SPAWN_CLOSE, other) for other in _others(kept)),
        ]
        return os.posix_spawn(command[0], command, environment, file_actions=actions)
