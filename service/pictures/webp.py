"""WebP (RFC 9649): a RIFF file of chunks; the canvas, or the one picture, says the size."""

from __future__ import annotations

from service.pictures.frame import BrokenPictureError, Frame

_PICTURES = (b"VP8 ", b"VP8L", b"ANMF")


def measure_webp(content: bytes, _max_pixels: int) -> Frame:
    """Go from chunk to chunk up to the end that the file declares.

    Raises
    ------
    BrokenPictureError
        If it is cut off, holds no picture, or one that does not begin as it should.
    """
    end = 8 + int.from_bytes(content[4:8], "little")
    if end > len(content):
        raise BrokenPictureError("it ends before the picture does")
    width = height = 0
    has_picture = False
    at = 12
    while at + 8 <= end:
        kind, n_bytes = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        data = content[at + 8 : at + 18]
        if at + 8 + n_bytes > end:
            raise BrokenPictureError(f"its chunk at byte {at} is cut off")
        # A canvas counts, and pictures inside it do not.
        if not width:
            width, height = _size(kind, data)
        elif kind in (b"VP8 ", b"VP8L"):
            _size(kind, data)
        has_picture = has_picture or kind in _PICTURES
        at += 8 + n_bytes + n_bytes % 2
    if not has_picture:
        raise BrokenPictureError("it holds no picture")
    return Frame(width, height, end)


def _size(kind: bytes, data: bytes) -> tuple[int, int]:
    if kind == b"VP8X" and len(data) == 10:
        return _three(data, 4) + 1, _three(data, 7) + 1
    if kind == b"VP8 " and data[3:6] == b"\x9d\x01\x2a" and len(data) == 10:
        return _two(data, 6) & 0x3FFF, _two(data, 8) & 0x3FFF
    if kind == b"VP8L" and data[:1] == b"\x2f" and len(data) >= 5:
        bits = int.from_bytes(data[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise BrokenPictureError("its first chunk is no picture")


def _two(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _three(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")
