"""What a banner may link to."""

from __future__ import annotations

import pytest

from service.control.documents import Banner


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", " JaVa\tScript:alert(1)", "data:text/html,x", "vbscript:x"]
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
