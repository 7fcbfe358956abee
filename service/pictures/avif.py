"""AVIF (ISO/IEC 23008-12 and 14496-12): boxes in boxes; `ispe` says the size of each picture."""

from __future__ import annotations

from collections.abc import Iterator

from service.pictures.frame import BrokenPictureError, Frame

_HOLDS = {b"meta": 4, b"iprp": 0, b"ipco": 0}
"""Boxes on the way to `ispe`, and what stands before the boxes in them."""


def measure_avif(content: bytes, _max_pixels: int) -> Frame:
    """Walk all boxes; the size is that of the largest picture, for tiles are smaller.

    Raises
    ------
    BrokenPictureError
        If a box is cut off, something that is no box follows, or no picture is described.
    """
    sizes: list[tuple[int, int]] = []
    kinds = _walk(content, 0, len(content), sizes)
    if not sizes or not {b"mdat", b"meta"} <= kinds:
        raise BrokenPictureError("it holds no picture")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Frame(width, height, len(content))


def _walk(content: bytes, start: int, end: int, sizes: list[tuple[int, int]]) -> set[bytes]:
    kinds = set()
    for kind, first, last in _boxes(content, start, end):
        kinds.add(kind)
        if kind in _HOLDS:
            _walk(content, first + _HOLDS[kind], last, sizes)
        elif kind == b"ispe":
            if last - first < 12:
                raise BrokenPictureError(f"its box at byte {first} is cut off")
            size = content[first + 4 : first + 12]
            sizes.append((int.from_bytes(size[:4], "big"), int.from_bytes(size[4:], "big")))
    return kinds


def _boxes(content: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """List kind, first byte inside and end of the boxes in a stretch."""
    while at < end:
        head = 8
        n_bytes = int.from_bytes(content[at : at + 4], "big")
        if n_bytes == 1:
            head, n_bytes = 16, int.from_bytes(content[at + 8 : at + 16], "big")
        elif n_bytes == 0:
            n_bytes = end - at
        if n_bytes < head or at + n_bytes > end:
            raise BrokenPictureError(f"its box at byte {at} is cut off")
        yield content[at + 4 : at + 8], at + head, at + n_bytes
        at += n_bytes
