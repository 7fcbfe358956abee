"""GIF (89a specification): a screen, and blocks up to the trailer."""

from __future__ import annotations

from service.pictures.frame import BrokenPictureError, Frame

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B


def measure_gif(content: bytes, _max_pixels: int) -> Frame:
    """Go from block to block up to the trailer.

    Raises
    ------
    BrokenPictureError
        If it is cut off, or holds a block of no known kind or no image.
    """
    if len(content) < 13:
        raise BrokenPictureError("it ends before the picture does")
    width, height = _two(content, 6), _two(content, 8)
    at = 13 + _table(content[10])
    has_image = False
    while at < len(content):
        block = content[at]
        if block == _TRAILER and has_image:
            return Frame(width, height, at + 1)
        if block == _EXTENSION:
            at = _after_blocks(content, at + 2)
        elif block == _IMAGE and at + 10 <= len(content):
            # A frame may be larger than the screen, which browsers then enlarge.
            width = max(width, _two(content, at + 1) + _two(content, at + 5))
            height = max(height, _two(content, at + 3) + _two(content, at + 7))
            at = _after_blocks(content, at + 11 + _table(content[at + 9]))
            has_image = True
        else:
            raise BrokenPictureError(f"no block of a GIF stands at byte {at}")
    raise BrokenPictureError("it ends before the picture does")


def _two(content: bytes, at: int) -> int:
    return int.from_bytes(content[at : at + 2], "little")


def _table(flags: int) -> int:
    """Return the bytes of a table of colours."""
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0


def _after_blocks(content: bytes, at: int) -> int:
    while at < len(content) and content[at]:
        at += 1 + content[at]
    return at + 1
