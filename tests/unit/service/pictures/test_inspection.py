"""Uploaded pictures are looked into: each format as written elsewhere, cut off, damaged."""

from struct import pack
from zlib import compress, crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pictures.avif import measure_avif
from service.pictures.frame import BrokenPictureError, Frame
from service.pictures.gif import measure_gif
from service.pictures.inspection import MAX_PIXELS, MAX_SIDE, only_picture
from service.pictures.jpeg import measure_jpeg
from service.pictures.png import measure_png
from service.pictures.webp import measure_webp
from service.stores.pictures import PictureError
from tests.unit.service.pictures import samples

MEASURES = [
    (measure_png, samples.PNG),
    (measure_jpeg, samples.JPEG),
    (measure_jpeg, samples.JPEG_PROGRESSIVE),
    (measure_gif, samples.GIF),
    (measure_gif, samples.GIF_ANIMATED),
    (measure_webp, samples.WEBP),
    (measure_webp, samples.WEBP_LOSSLESS),
    (measure_webp, samples.WEBP_EXIF),
    (measure_webp, samples.WEBP_ANIMATED),
    (measure_avif, samples.AVIF),
]
PICTURES = [picture for _, picture in MEASURES]


def chunk(kind: bytes, data: bytes) -> bytes:
    """Write a chunk of a PNG."""
    return pack(">I", len(data)) + kind + data + pack(">I", crc32(kind + data))


def png(width: int, height: int, pixels: bytes, interlaced: int = 0) -> bytes:
    """Write a grey PNG."""
    head = pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlaced)
    chunks = ((b"IHDR", head), (b"IDAT", compress(pixels)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


@pytest.mark.parametrize(("measure", "picture"), MEASURES)
def test_size_and_end_are_read(measure, picture: bytes) -> None:  # type: ignore[no-untyped-def]  # one of five alike
    """Each format tells width, height and its last byte, whatever follows."""
    assert measure(picture, MAX_PIXELS) == Frame(5, 3, len(picture))
    if measure is not measure_avif:
        assert measure(picture + b"<script>", MAX_PIXELS) == Frame(5, 3, len(picture))


@pytest.mark.parametrize("picture", PICTURES)
def test_whole_picture_is_kept_as_it_is(picture: bytes) -> None:
    """Not a byte of it changes."""
    assert only_picture(picture) == picture


@pytest.mark.parametrize("picture", PICTURES)
def test_picture_that_is_cut_off_is_refused(picture: bytes) -> None:
    """Wherever it is cut, once it is known as a picture."""
    for n_bytes in range(32, len(picture) - 1):
        with pytest.raises(PictureError, match="save the picture again"):
            only_picture(picture[:n_bytes])


@pytest.mark.parametrize("picture", PICTURES[:-1])
def test_what_follows_the_picture_is_left_out(picture: bytes) -> None:
    """An archive or a page behind it is not kept."""
    for tail in (b"PK\x03\x04archive", b"<html><script>alert(1)</script>", b"\0" * 9):
        assert only_picture(picture + tail) == picture


def test_avif_with_something_behind_is_refused() -> None:
    """Boxes have no end but that of the file, so what is no box is an error."""
    with pytest.raises(PictureError, match="an AVIF, but its box at byte 309 is cut off"):
        only_picture(samples.AVIF + b"<script>alert(1)</script>")


def test_script_that_begins_as_a_gif_is_refused() -> None:
    """`GIF89a` is the name of a variable too, and then no block of a GIF follows."""
    with pytest.raises(PictureError, match="no block of a GIF stands at byte"):
        only_picture(b"GIF89a/*" + b" " * 30 + b"*/=1;alert(1)//;")


def test_damaged_png_is_refused() -> None:
    """A checksum, a header, the pixels and their number are looked at."""
    broken = bytearray(samples.PNG)
    broken[20] ^= 1
    with pytest.raises(PictureError, match="checksum of its chunk at byte 8 is wrong"):
        only_picture(bytes(broken))
    with pytest.raises(PictureError, match="5 bytes of pixels where 8 are due"):
        only_picture(png(3, 2, b"\0" * 5))
    with pytest.raises(PictureError, match="more pixels than its header says"):
        only_picture(png(3, 2, b"\0" * 9))
    with pytest.raises(PictureError, match="do not inflate"):
        only_picture(samples.PNG[:33] + chunk(b"IDAT", b"nothing") + chunk(b"IEND", b""))
    with pytest.raises(PictureError, match="first chunk is no header"):
        only_picture(samples.PNG[:8] + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def test_interlaced_png_has_the_rows_of_its_passes() -> None:
    """Of 3 × 2 pixels passes 1, 4, 6 and 7 hold 1 × 1, 1 × 1, 1 × 1 and 3 × 1: 10 bytes."""
    assert measure_png(png(3, 2, b"\0" * 10, interlaced=1), MAX_PIXELS)[:2] == (3, 2)
    assert measure_png(samples.PNG_ONE_BIT, MAX_PIXELS)[:2] == (13, 5)


def test_picture_that_is_too_large_to_show_is_refused_unread() -> None:
    """A header that promises a side or an area that would fill a browser's memory."""
    with pytest.raises(PictureError, match=f"a side may have {MAX_SIDE}"):
        only_picture(png(MAX_SIDE + 1, 1, b"\0" * (MAX_SIDE + 2)))
    with pytest.raises(PictureError, match="10000 × 10000 pixels"):
        only_picture(png(10_000, 10_000, b""))
    with pytest.raises(PictureError, match="0 × 3 pixels, so it shows nothing"):
        only_picture(png(0, 3, b"\0"))


def test_bomb_in_a_small_png_stops_at_what_is_due() -> None:
    """Sixteen megabytes behind a header of one pixel are not inflated."""
    with pytest.raises(PictureError, match="more pixels than its header says"):
        only_picture(png(1, 1, b"\0" * 16_000_000))


def test_jpeg_is_read_in_one_go_however_many_fill_bytes_it_has() -> None:
    """A row of them is looked at once, and not from each of them anew."""
    fill = b"\xff" * 1_000_000
    filled = samples.JPEG[:-2] + fill + b"\xd9"
    assert measure_jpeg(filled, MAX_PIXELS) == (5, 3, len(filled))
    with pytest.raises(PictureError, match="ends before"):
        only_picture(samples.JPEG[:-2] + fill + b"\0")


def test_jpeg_of_a_kind_no_browser_shows_is_refused() -> None:
    """A lossless one, and one without a scan."""
    with pytest.raises(PictureError, match="browsers do not show"):
        only_picture(samples.JPEG.replace(b"\xff\xc0", b"\xff\xc3"))
    with pytest.raises(PictureError, match="ends before"):
        only_picture(b"\xff\xd8\xff\xe0\0\x04ab\xff\xd9")
    with pytest.raises(PictureError, match="no marker stands at byte 8"):
        only_picture(b"\xff\xd8\xff\xe0\0\x04ab<script>")


def test_webp_and_avif_without_a_picture_are_refused() -> None:
    """Containers that hold something else."""
    with pytest.raises(BrokenPictureError, match="its first chunk is no picture"):
        measure_webp(b"RIFF\x0c\0\0\0WEBPEXIF\0\0\0\0", MAX_PIXELS)
    with pytest.raises(BrokenPictureError, match="it holds no picture"):
        measure_webp(b"RIFF\x04\0\0\0WEBP", MAX_PIXELS)
    with pytest.raises(BrokenPictureError, match="it holds no picture"):
        measure_avif(samples.AVIF.replace(b"ispe", b"free"), MAX_PIXELS)


def test_what_is_no_picture_is_left_to_the_store() -> None:
    """It says what an SVG or a page is."""
    assert only_picture(b"<svg/>") == b"<svg/>"


@given(st.sampled_from(PICTURES), st.integers(4, 400), st.binary(min_size=1, max_size=9))
def test_any_damage_is_kept_as_a_picture_or_refused(picture: bytes, at: int, wrong: bytes) -> None:
    """Nothing else is raised, whatever bytes stand where."""
    at %= len(picture)
    try:
        kept = only_picture(picture[:at] + wrong + picture[at + len(wrong) :])
    except PictureError:
        return
    assert len(kept) <= len(picture) + len(wrong)
