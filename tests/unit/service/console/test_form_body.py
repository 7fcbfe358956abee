"""The body of a form: fields in their order, files, and what no browser sends."""

import pytest

from models.errors import InputError
from service.console.form import Upload
from service.console.form_body import MAX_FIELDS, read_fields, read_form_body

PARTS = "multipart/form-data"


def parts(*sent: tuple[str, bytes]) -> bytes:
    """Write parts with their heads, as a browser does."""
    written = [b"--x\r\n" + head.encode() + b"\r\n\r\n" + value + b"\r\n" for head, value in sent]
    return b"".join([*written, b"--x--\r\n"])


def test_fields_keep_their_order_and_their_characters() -> None:
    """A name may come several times, and an empty value is one."""
    sent = [("a", "é&="), ("b", ""), ("a", "2 3")]
    assert read_fields(b"a=%C3%A9%26%3D&b=&a=2+3") == sent
    assert read_form_body(b"a=1", "application/x-www-form-urlencoded", None) == [("a", "1")]
    assert read_form_body(b"a=1", "text/plain", None) == []


def test_parts_are_texts_and_files() -> None:
    """A file that was not chosen is an empty text; what a file holds is left as it is."""
    file = b"\x89PNG\r\n\x1a\n--x\0\xff"
    body = parts(
        ('Content-Disposition: form-data; name="title"', "Größe".encode()),
        (
            'Content-Disposition: form-data; name="picture"; filename="a.png"\r\n'
            "Content-Type: image/png",
            file,
        ),
        ('Content-Disposition: form-data; name="other"; filename=""', b""),
    )
    assert read_form_body(body, PARTS, "x") == [
        ("title", "Größe"),
        ("picture", Upload("a.png", "image/png", file)),
        ("other", ""),
    ]
    assert read_form_body(b"", PARTS, "x") == []


@pytest.mark.parametrize("charset", ["no-such", "zlib", "utf-16", "punycode"])
def test_part_is_utf8_whatever_it_says(charset: str) -> None:
    """What a sender names is not tried: some codecs take minutes, and some are for no text."""
    head = 'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset='
    assert read_form_body(parts((head + charset, b"caf\xc3\xa9\xff")), PARTS, "x") == [
        ("a", "café\ufffd")
    ]


@pytest.mark.parametrize(
    ("body", "boundary"),
    [(b"--x\r\n", "x"), (b"a=1", "x"), (parts(("X: y", b"")), "x"), (b"--x--", None)],
)
def test_parts_that_cannot_be_told_apart_are_refused(body: bytes, boundary: str | None) -> None:
    """Cut off, no parts at all, one without a name, no boundary."""
    with pytest.raises(InputError, match="the form cannot be read"):
        read_form_body(body, PARTS, boundary)


def test_form_of_more_fields_than_any_page_has_is_refused() -> None:
    """Of both types; as many as there may be are read."""
    head = 'Content-Disposition: form-data; name="a"'
    field, part = b"a=", (head, b"")
    sent = [("a", "")] * MAX_FIELDS
    assert read_fields(b"&".join([field] * MAX_FIELDS)) == sent
    assert read_form_body(parts(*[part] * MAX_FIELDS), PARTS, "x") == sent
    with pytest.raises(InputError, match=f"more than {MAX_FIELDS} fields"):
        read_fields(b"&".join([field] * (MAX_FIELDS + 1)))
    with pytest.raises(InputError, match="the form cannot be read"):
        read_form_body(parts(*[part] * (MAX_FIELDS + 1)), PARTS, "x")
