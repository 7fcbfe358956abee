"""Looks into an uploaded picture before it is kept: it goes on as it began, and is of a sane size.

A file may be a picture to one program and a page or an archive to another. What follows the end of
the picture is therefore left out, and what stands inside it is shown as a picture and nothing else:
see the headers of `service.routes.pictures`.
"""

from __future__ import annotations

from collections.abc import Callable

from service.pictures.avif import measure_avif
from service.pictures.frame import BrokenPictureError, Frame
from service.pictures.gif import measure_gif
from service.pictures.jpeg import measure_jpeg
from service.pictures.png import measure_png
from service.pictures.webp import measure_webp
from service.stores.pictures import PictureError, kind_of

MAX_SIDE = 16_384
"""Pixels; what phones draw on one surface."""
MAX_PIXELS = 40_000_000
"""160 MB in the memory of each browser that shows it."""

_MEASURES: dict[str, Callable[[bytes, int], Frame]] = {
    "png": measure_png,
    "jpg": measure_jpeg,
    "gif": measure_gif,
    "webp": measure_webp,
    "avif": measure_avif,
}
_NAMES = {"png": "a PNG", "jpg": "a JPEG", "gif": "a GIF", "webp": "a WebP", "avif": "an AVIF"}


def only_picture(content: bytes) -> bytes:
    """Return a picture without what follows its end.

    Bytes that do not begin as a picture come back as they are: the store says what they are.

    Raises
    ------
    PictureError
        If it is cut off, damaged, without an area or with too large a one.
    """
    kind = kind_of(content)
    if kind is None:
        return content
    try:
        frame = _MEASURES[kind](content, MAX_PIXELS)
    except BrokenPictureError as error:
        raise PictureError(
            f"this begins as {_NAMES[kind]}, but {error}; save the picture again and send that"
        ) from None
    width, height = frame.width, frame.height
    if not width or not height:
        raise PictureError(f"the picture is {width} × {height} pixels, so it shows nothing")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise PictureError(
            f"the picture is {width} × {height} pixels; a side may have {MAX_SIDE}, and all "
            f"{MAX_PIXELS:,}; save it smaller"
        )
    return content[: frame.n_bytes]
