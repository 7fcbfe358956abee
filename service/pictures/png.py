"""PNG (W3C Recommendation, third edition): chunks with checksums, and pixels that inflate."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from service.pictures.frame import BrokenPictureError, Frame

_BITS = {
    0: (1, 2, 4, 8, 16),
    2: (8, 16),
    3: (1, 2, 4, 8),
    4: (8, 16),
    6: (8, 16),
}
"""Bits of a sample, by colour type."""
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column and row of Adam7's passes, and their steps."""
_BLOCK = 1 << 20


def measure_png(content: bytes, max_pixels: int) -> Frame:
    """Read every chunk, and inflate the pixels of one that is not too large.

    Raises
    ------
    BrokenPictureError
        If a chunk is cut off or damaged, or the pixels are more or fewer than the header says.
    """
    width = height = n_wanted = 0
    inflated = zlib.decompressobj()
    n_found = 0
    end = len(content)
    for kind, data, end in _chunks(content):  # noqa: B007  # the last end counts
        if not n_wanted:
            width, height, n_wanted = _header(kind, data)
        if kind == b"IDAT" and width * height <= max_pixels:
            n_found += _inflate(inflated, data, n_wanted - n_found)
        if kind == b"IEND":
            break
    else:
        raise BrokenPictureError("it ends before its last chunk")
    if n_found != n_wanted and width * height <= max_pixels:
        raise BrokenPictureError(f"it holds {n_found} bytes of pixels where {n_wanted} are due")
    return Frame(width, height, end)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    at = 8
    while at + 12 <= len(content):
        n_bytes = int.from_bytes(content[at : at + 4], "big")
        end = at + 12 + n_bytes
        if end > len(content):
            return
        body = memoryview(content)[at + 4 : end - 4]
        if zlib.crc32(body) != int.from_bytes(content[end - 4 : end], "big"):
            raise BrokenPictureError(f"the checksum of its chunk at byte {at} is wrong")
        yield bytes(body[:4]), bytes(body[4:]), end
        at = end


def _header(kind: bytes, data: bytes) -> tuple[int, int, int]:
    """Return width, height and the bytes of all rows."""
    if kind != b"IHDR" or len(data) != 13:
        raise BrokenPictureError("its first chunk is no header")
    width, height = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
    bits, colour, interlaced = data[8], data[9], data[12]
    if bits not in _BITS.get(colour, ()) or interlaced > 1 or data[10] or data[11]:
        raise BrokenPictureError("its header names a kind of pixel that does not exist")
    a_pixel = bits * _SAMPLES[colour]
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    n_bytes = 0
    for column, row, across, down in passes:
        n_columns, n_rows = -(-(width - column) // across), -(-(height - row) // down)
        if n_columns > 0 and n_rows > 0:
            n_bytes += n_rows * (1 + -(-n_columns * a_pixel // 8))
    return width, height, max(1, n_bytes)


def _inflate(inflated: zlib._Decompress, data: bytes, n_left: int) -> int:
    """Inflate and count, and never hold more than a block of it."""
    n_found = 0
    while data and not inflated.eof:
        try:
            n_found += len(inflated.decompress(data, _BLOCK))
        except zlib.error as error:
            raise BrokenPictureError(f"its pixels do not inflate ({error})") from None
        if n_found > n_left:
            raise BrokenPictureError("it holds more pixels than its header says")
        data = inflated.unconsumed_tail
    return n_found
