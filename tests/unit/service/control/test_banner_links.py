"""What a banner may link to, and where its picture may lie."""

from __future__ import annotations

import pytest

from service.control.documents import Banner


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        " JaVa\tScript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "blob:https://shop.example/1",
    ],
)
def test_banner_link_that_runs_code_is_refused(url: str) -> None:
    """A link that a browser runs instead of opening is refused, however it is spelt."""
    with pytest.raises(ValueError, match="runs code in the page"):
        Banner(title="Sale", image_url="/sale.png", link_url=url)


@pytest.mark.parametrize(
    "url", ["https://shop.example/a:b", "/sale", "sale?x=data:1", "myshop://sale"]
)
def test_banner_link_to_page_or_app_is_kept(url: str) -> None:
    """Pages, paths and the schemes of apps are links."""
    assert Banner(title="Sale", image_url="/sale.png", link_url=url).link_url == url


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:image/svg+xml,x", "file:///etc/passwd", "myshop://sale"]
)
def test_banner_picture_that_is_no_address_is_refused(url: str) -> None:
    """A picture lies on the web or in the shop; the refusal names it, the rule and the way."""
    with pytest.raises(ValueError, match="is no address of a picture") as refused:
        Banner(title="Sale", image_url=url, link_url="/sale")
    assert repr(url) in str(refused.value)
    assert "POST /v1/pictures" in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["https://shop.example/a:b.png", "/v1/pictures/0a", "sale.png", "//cdn.example/a", "a/b:c"],
)
def test_banner_picture_on_the_web_or_in_the_shop_is_kept(url: str) -> None:
    """An address with http or https, or a path."""
    assert Banner(title="Sale", image_url=url, link_url="/sale").image_url == url
