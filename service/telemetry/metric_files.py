"""The files in which workers tell each other what they counted: written, and never mapped.

The library maps its files into memory. Where the disk has no room for a page of one the kernel ends
the process (SIGBUS), and so it does with each that takes its place. Here a worker counts in memory
of its own and writes each value to its file too; if that fails, all is written again by and by.
"""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path
from weakref import WeakSet

import structlog
from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

_HEADER = struct.Struct("i4x")
"""How many bytes of the file are used; all are."""
_LENGTH_BYTES, _ALIGNED_BYTES, _VALUE_BYTES = 4, 8, 16
_log = structlog.get_logger(__name__)


class MetricFile(MmapedDict):
    """Values by key, laid out as the library's mapped file is, which reads them."""

    _m: bytearray  # type: ignore[assignment]  # a map in the library

    def __init__(self, filename: str) -> None:
        """Begin with what the file holds, which is nothing if nobody made it."""
        self._path = Path(filename)
        self._descriptor = -1
        self._m = bytearray(_HEADER.pack(_HEADER.size))
        self._is_written = False
        self._positions: dict[str, int] = {}
        if self._path.exists():  # of a worker of this run that had our process id
            self._m = bytearray(self._path.read_bytes())
        (self._used,) = _HEADER.unpack_from(self._m)
        self._positions = {key: at for key, _, _, at in self._read_all_values()}  # type: ignore[no-untyped-call]  # the library has none
        _files.add(self)

    def _init_value(self, key: str) -> None:
        text = key.encode()
        text += b" " * (_ALIGNED_BYTES - (len(text) + _LENGTH_BYTES) % _ALIGNED_BYTES)
        entry = struct.pack(f"i{len(text)}sdd", len(key.encode()), text, 0.0, 0.0)
        begin = self._used
        self._m += entry
        self._used = len(self._m)
        _HEADER.pack_into(self._m, 0, self._used)
        self._positions[key] = self._used - _VALUE_BYTES
        self._write_now((begin, entry), (0, bytes(self._m[: _HEADER.size])))

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """Keep a value, and write it if there is room."""
        super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]  # as above
        at = self._positions[key]
        self._write_now((at, bytes(self._m[at : at + _VALUE_BYTES])))

    def write(self) -> None:
        """Write all, if the file is not what it should be.

        Raises
        ------
        OSError
            If there is no room. What was written is as it was, or newer in part.
        """
        if self._is_written:
            return
        data = bytes(self._m)
        if self._descriptor < 0:
            # Under its name it must have a header, for others read it at any moment.
            draft = self._path.with_suffix(".draft")
            draft.write_bytes(data)
            draft.replace(self._path)
            self._descriptor = os.open(self._path, os.O_WRONLY)
        else:
            self._write_parts((_HEADER.size, data[_HEADER.size :]), (0, data[: _HEADER.size]))
        self._is_written = data == self._m  # of which another thread may have counted meanwhile

    def _write_now(self, *parts: tuple[int, bytes]) -> None:
        """Write parts of a file that is as it should be; else, or if it fails, `write` does it."""
        if not self._is_written:
            return
        try:
            self._write_parts(*parts)
        except OSError:
            self._is_written = False

    def _write_parts(self, *parts: tuple[int, bytes]) -> None:
        """Write one after the other: readers see an entry only once the header counts it."""
        for begin, part in parts:
            if os.pwrite(self._descriptor, part, begin) < len(part):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Let go of the file; what was not written is lost."""
        _files.discard(self)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


_files: WeakSet[MetricFile] = WeakSet()
_unwritten: dict[str, str] = {}
"""Whether the last try failed, and why."""


def write_rather_than_map() -> None:
    """Have the library keep its values in these files; before the first metric is made."""
    values.MmapedDict = MetricFile  # type: ignore[assignment,attr-defined]  # no other way in


def write_metric_files() -> None:
    """Write what could not be before, for others to read; no room is told of once."""
    errors = {}
    for file in list(_files):
        try:
            file.write()
        except OSError as error:
            errors[str(file._path.parent)] = str(error)
    if errors and not _unwritten:
        [(folder, reason), *_] = errors.items()
        _log.warning(
            "metrics_not_shared",
            folder=folder,
            error=reason,
            detail="/metrics of other workers lacks what this one counts; make room on the disk",
        )
    elif _unwritten and not errors:
        _log.info("metrics_shared_again", folder=next(iter(_unwritten)))
    _unwritten.clear()
    _unwritten.update(errors)
