"""Pictures over HTTP: kept by content, shown to everyone, and never anything that runs."""

import pytest

from service.stores.pictures import kind_of
from tests.unit.service.pictures.samples import GIF, PNG
from tests.unit.service.routes.samples import Shop
from tests.unit.service.routes.test_bad_input import is_problem

AVIF = b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf" + b"\0" * 9


def test_picture_is_kept_once_and_shown_without_a_key(shop: Shop) -> None:
    """Its address is its content; a browser need not ask again."""
    made = shop.call("POST", "/v1/pictures", scope="merchandiser", content=PNG)
    assert made.status_code == 201, made.text
    again = shop.call("POST", "/v1/pictures", content=PNG, headers={"Content-Type": "text/html"})
    assert again.json() == made.json()
    assert (made.json()["media_type"], made.json()["n_bytes"]) == ("image/png", len(PNG))
    shown = shop.call("GET", made.json()["url"], scope=None)
    assert (shown.status_code, shown.content) == (200, PNG)
    assert shown.headers["content-type"] == "image/png"
    assert "immutable" in shown.headers["cache-control"]
    assert shown.headers["x-content-type-options"] == "nosniff"
    tag = {"If-None-Match": f"W/{shown.headers['etag']}"}
    assert shop.call("GET", made.json()["url"], scope=None, headers=tag).status_code == 304
    assert len(list((shop.services.settings.home / "pictures").iterdir())) == 1


def test_head_of_a_picture_answers_as_get_does(shop: Shop) -> None:
    """Type, length and tag, without the bytes; 404 as well."""
    url = shop.call("POST", "/v1/pictures", content=PNG).json()["url"]
    got, asked = (shop.call(method, url, scope=None) for method in ("GET", "HEAD"))
    assert (asked.status_code, asked.content) == (200, b"")
    assert dict(asked.headers) == dict(got.headers)
    assert shop.call("HEAD", f"/v1/pictures/{'0' * 32}", scope=None).status_code == 404


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'<?xml version="1.0"?><svg onload="alert(1)"/>', "an SVG, which may run scripts"),
        (b"<html><script>1</script>", "no picture that is known"),
        (b"", "no picture that is known"),
    ],
)
def test_what_is_no_picture_is_refused(shop: Shop, content: bytes, sentence: str) -> None:
    """The bytes decide, whatever the content type says."""
    sent = shop.call("POST", "/v1/pictures", content=content, headers={"Content-Type": "image/png"})
    assert sentence in is_problem(sent, 400)["detail"]


@pytest.mark.parametrize("content", [PNG[:50], b"GIF89a=1/*" + b" " * 40 + b"*/;alert(1)"])
def test_broken_or_disguised_picture_is_refused(shop: Shop, content: bytes) -> None:
    """Its first bytes are not enough."""
    problem = is_problem(shop.call("POST", "/v1/pictures", content=content), 400)
    assert problem["code"] == "picture_invalid"
    assert "save the picture again" in problem["detail"]


def test_page_behind_a_picture_is_not_kept(shop: Shop) -> None:
    """And nothing that is kept can run: no type to guess, no script, a sandbox of its own."""
    sent = shop.call("POST", "/v1/pictures", content=GIF + b"<script>alert(1)</script>")
    shown = shop.call("GET", sent.json()["url"], scope=None)
    assert shown.content == GIF
    assert shown.headers["content-type"] == "image/gif"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert shown.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_large_picture_and_wrong_key_are_refused(shop: Shop) -> None:
    """The limit is a setting; uploading is for merchandisers; an unknown hash is named."""
    limit = shop.services.settings.picture_limit_bytes
    is_problem(shop.call("POST", "/v1/pictures", content=PNG + b"\0" * limit), 413)
    is_problem(shop.call("POST", "/v1/pictures", scope="publishable", content=PNG), 403)
    is_problem(shop.call("GET", "/v1/pictures/..%2fcontrol.sqlite", scope=None), 404)
    is_problem(shop.call("GET", f"/v1/pictures/{'0' * 32}", scope=None), 404)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "png"),
        (b"\xff\xd8\xff\xe0JFIF", "jpg"),
        (b"GIF89a...", "gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (AVIF, "avif"),
        (b"\0\0\0\x1cftypisom\0\0\0\0mp42", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"\0", None),
    ],
)
def test_kind_is_told_by_the_first_bytes(content: bytes, kind: str | None) -> None:
    """Of each format that browsers show, and of nothing else."""
    assert kind_of(content) == kind
