"""`/endcap.js` and its types: small, public, cacheable."""

import gzip
import re
from typing import get_args

import msgspec
import pytest

from models.events import Event
from service.routes.browser import compact
from service.serve.page import BannerSlate, ItemSlate, RolloutAnswer, ServedBanner, ServedItem
from tests.unit.service.routes.samples import Shop

MAX_BYTES = 6_000


def test_script_is_small_and_public(strict_shop: Shop) -> None:
    """Under 6,000 bytes as served, for any page, without a key, and not sent twice."""
    answer = strict_shop.call("GET", "/endcap.js", scope=None)
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "public" in answer.headers["cache-control"]
    assert len(answer.content) < MAX_BYTES
    assert len(gzip.compress(answer.content)) < MAX_BYTES / 2
    etag = answer.headers["etag"]
    # A proxy that packs answers marks their tags as weak.
    for known in (etag, f"W/{etag}"):
        again = strict_shop.call("GET", "/endcap.js", scope=None, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("source", "served"),
    [
        ("  const { a } = b, c = (d) => `x : ${e}`;\n", "const{a}=b,c=d=>`x : ${e}`;"),
        ("const a = {\n  b: 1,\n};\n// why\nconst c = 2;", "const a={b:1},c=2;"),
        (
            "if (a) {\n  b();\n}\nconst c = () => {\n  const d = 1;\n};\nlet e;\nconst f = 2;",
            "if(a){b()}\nconst c=()=>{const d=1};let e;const f=2;",
        ),
        ("a(\n  (b, c) => d,\n)\ne\n  || f", "a((b,c)=>d,)\ne||f"),
        ("a = 1\n\n  // why\n  (b)", "a=1\n(b)"),
        ('f("a , \\" ; b", c) /* d ; e */', 'f("a , \\" ; b",c)/* d ; e */'),
        ("a - -b + +c / 2", "a - -b + +c / 2"),
        ("return typeof a && b in c", "return typeof a&&b in c"),
    ],
)
def test_compact_keeps_the_meaning(source: str, served: str) -> None:
    """Texts, line ends and spaces between words stay as they are."""
    assert compact(source) == served


def test_types_are_served(strict_shop: Shop) -> None:
    """They declare `window.endcap`."""
    answer = strict_shop.call("GET", "/endcap.d.ts", scope=None)
    assert "endcap?: Endcap" in answer.text


@pytest.mark.parametrize(
    "sent", [*get_args(Event), ItemSlate, BannerSlate, RolloutAnswer, ServedItem, ServedBanner]
)
def test_types_name_every_field(strict_shop: Shop, sent: type[msgspec.Struct]) -> None:
    """Of events and slates; but what is no page's business, and what only `explain` answers."""
    left_out = {"schema_version", "user_agent", "parts", "rules", "why"}
    text = strict_shop.call("GET", "/endcap.d.ts", scope=None).text
    of_slates, _, of_events = text.partition("interface AnyEvent")
    types = of_events if sent in get_args(Event) else of_slates
    assert set(sent.__struct_fields__) - left_out <= set(re.findall(r"(\w+)\??:", types))
