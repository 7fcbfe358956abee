"""JPEG (ITU-T T.81, annex B): segments between markers, and scans that end with a marker."""

from __future__ import annotations

import re

from service.pictures.frame import BrokenPictureError, Frame

_SHOWN = (0xC0, 0xC1, 0xC2)
"""Frames that browsers show: baseline, extended and progressive."""
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _END = 0xDA, 0xD9
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length."""
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""Without the fill bytes before it: with them a row of those is looked at from each anew."""


def measure_jpeg(content: bytes, _max_pixels: int) -> Frame:
    """Go from marker to marker up to the end of the picture.

    Raises
    ------
    BrokenPictureError
        If it is cut off, holds no scan, or is of a kind that browsers do not show.
    """
    width = height = 0
    has_scan = False
    at = 2
    while at + 2 <= len(content):
        if content[at] != 0xFF:
            raise BrokenPictureError(f"no marker stands at byte {at}")
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        at += 2
        if marker == _END:
            if not (has_scan and width):
                break
            return Frame(width, height, at)
        if marker in _ALONE:
            continue
        n_bytes = int.from_bytes(content[at : at + 2], "big")
        if n_bytes < 2 or at + n_bytes > len(content):
            break
        if marker in _SHOWN:
            height = int.from_bytes(content[at + 3 : at + 5], "big")
            width = int.from_bytes(content[at + 5 : at + 7], "big")
        elif marker in _OTHER_FRAMES:
            raise BrokenPictureError("it is a kind of JPEG that browsers do not show")
        at += n_bytes
        if marker == _START_OF_SCAN:
            found = _AFTER_SCAN.search(content, at)
            if found is None:
                break
            has_scan, at = True, found.end() - 2
    raise BrokenPictureError("it ends before the picture does")
