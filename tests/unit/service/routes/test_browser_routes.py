"""`/endcap.js` and its types: small, public, cacheable."""

import gzip

from tests.unit.service.routes.samples import Shop

MAX_BYTES = 6 * 1024


def test_script_is_small_and_public(strict_shop: Shop) -> None:
    """Under 6 KB as served, for any page, without a key, and not sent twice."""
    answer = strict_shop.call("GET", "/endcap.js", scope=None)
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "public" in answer.headers["cache-control"]
    assert len(answer.content) < MAX_BYTES
    assert len(gzip.compress(answer.content)) < MAX_BYTES / 2
    tag = {"If-None-Match": answer.headers["etag"]}
    again = strict_shop.call("GET", "/endcap.js", scope=None, headers=tag)
    assert (again.status_code, again.content) == (304, b"")


def test_types_are_served(strict_shop: Shop) -> None:
    """They declare `window.endcap`."""
    answer = strict_shop.call("GET", "/endcap.d.ts", scope=None)
    assert "endcap?: Endcap" in answer.text
