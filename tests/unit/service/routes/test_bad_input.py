"""Bad input: a 4xx problem that names the value, the rule and the next step; never a 500."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.service.routes.samples import Shop

HOME = "/v1/placements/home_recs"
DEEP = b'{"kind":' + b"[" * 100_000

CASES = [
    # method, path, body, status, part of the detail
    ("GET", "/v1/nope", b"", 404, "there is no /v1/nope"),
    ("GET", "/v1/placements/hme/config", b"", 404, "'hme' is not configured; known: home_recs"),
    ("POST", HOME, b"{}", 405, "POST is not a method of"),
    ("PUT", HOME, b"", 400, "the body is empty"),
    ("PUT", HOME, b"{", 400, "not JSON"),
    ("PUT", HOME, b'{"kind":"items"} x', 400, "not JSON"),
    ("PUT", HOME, b"\xff\xfe{\x00", 400, "not JSON"),
    ("PUT", HOME, b'{"kind":"\xff"}', 400, "not JSON"),
    ("PUT", HOME, gzip.compress(b"{}"), 400, "compressed with gzip, which is for events and"),
    ("POST", "/v1/serve", gzip.compress(b"{}"), 400, "send one JSON value in UTF-8, uncompressed"),
    ("PUT", HOME, b'{"kind":"\\ud800"}', 400, "not JSON"),
    ("PUT", HOME, b'{"kind":"items","count":"\xff"}', 400, "not JSON"),
    ("GET", "/v1/audit?before=9223372036854775808", b"", 400, "before"),
    ("PUT", HOME, DEEP, 400, "nested too deeply"),
    ("PATCH", HOME, b'{"name":' + b'{"a":' * 900 + b"1" + b"}" * 901, 400, ""),
    ("PUT", HOME, b"[1]", 400, "Expected `object`, got `array`"),
    ("PUT", HOME, b"null", 400, "Expected `object`, got `null`"),
    ("PUT", HOME, b"{}", 400, "required field `kind`"),
    ("PUT", HOME, b'{"kind":"itms"}', 400, '$.kind is "itms": Invalid enum value'),
    ("PUT", HOME, b'{"kind":"items","knd":1}', 400, "unknown field `knd`"),
    ("PUT", HOME, b'{"kind":"items","count":0}', 400, "$.count is 0: Expected `int` >= 1"),
    ("PUT", HOME, b'{"kind":"items","count":10000}', 400, "$.count is 10000: Expected"),
    ("PUT", HOME, b'{"kind":"items","count":"4"}', 400, '$.count is "4": Expected `int'),
    ("PUT", HOME, b'{"kind":"items","count":1e400}', 400, ""),
    ("PUT", HOME, b'{"kind":"items","count":NaN}', 400, "not JSON"),
    ("PUT", HOME, b'{"kind":"items","count":' + b"9" * 5000 + b"}", 400, ""),
    ("PUT", HOME, b'{"kind":"items","recipe":"magic"}', 400, '$.recipe is "magic"'),
    (
        "PUT",
        HOME,
        b'{"kind":"banners","recipe":"trending"}',
        400,
        "recipe 'trending' does not fill a placement of kind 'banners'; use one of banner_for_you",
    ),
    ("PUT", HOME, b'{"kind":"items","static_ids":["a","b","a"]}', 400, "holds 'a' twice"),
    ("PUT", HOME, b'{"kind":"items","static_ids":["a",7]}', 400, "$.static_ids[1] is 7"),
    ("PUT", HOME, b'{"kind":"items","static_ids":[""]}', 400, "length >= 1"),
    ("PUT", HOME, b'{"kind":"items","static_ids":["a\\u0000"]}', 400, "$.static_ids[0]"),
    (
        "PUT",
        HOME,
        json.dumps({"kind": "items", "static_ids": ["é" * 129]}).encode(),
        400,
        "has 258 bytes; an id has 1 to 256 bytes",
    ),
    ("PUT", HOME, b'{"id":"other","kind":"items"}', 400, "is not 'home_recs' of the path"),
    ("PUT", "/v1/placements/" + "x" * 257, b'{"kind":"items"}', 400, "has 257 bytes"),
    ("PUT", "/v1/placements/a%00b", b'{"kind":"items"}', 400, "NUL"),
    ("PUT", "/v1/placements/%ff", b'{"kind":"items"}', 400, "not valid UTF-8"),
    ("PUT", HOME, b'{"kind":"items","name":"' + b"x" * 2_000_000 + b'"}', 413, "1000000 bytes"),
    ("PUT", "/v1/rollouts/r", b'{"share":1.5}', 400, "$.share is 1.5: Expected `float` <= 1"),
    ("PUT", "/v1/rollouts/r", b'{"share":-0.1}', 400, "$.share is -0.1"),
    ("PUT", "/v1/rollouts/r", b"{}", 400, "required field `share`"),
    ("PUT", "/v1/rollouts/r", b'{"share":1,"variants":[]}', 400, "$.variants is []"),
    (
        "PUT",
        "/v1/rollouts/r",
        b'{"share":1,"variants":[{"key":"a"},{"key":"control"}]}',
        400,
        "variant 'control' is every unit that is not treated",
    ),
    (
        "PUT",
        "/v1/rollouts/r",
        b'{"share":1,"variants":[{"key":"a"},{"key":"a"}]}',
        400,
        "variant 'a' is listed twice",
    ),
    (
        "PUT",
        "/v1/rollouts/r",
        b'{"share":1,"variants":[{"key":"a","weight":0}]}',
        400,
        "every variant has weight 0",
    ),
    ("PUT", "/v1/rollouts/r", b'{"share":1,"forced":{"u":"x"}}', 400, "forced variant 'x'"),
    ("PUT", "/v1/rollouts/r", b'{"share":1,"forced":{"":"control"}}', 400, "forced unit ''"),
    ("PATCH", "/v1/rollouts/nope", b'{"share":1}', 404, "rollout 'nope' is not configured"),
    (
        "PUT",
        "/v1/banners/b",
        b'{"title":"T","image_url":"i","link_url":"l",'
        b'"starts_at":"2026-02-01T00:00:00Z","ends_at":"2026-01-01T00:00:00Z"}',
        400,
        "is not after starts_at",
    ),
    (
        "PUT",
        "/v1/banners/b",
        b'{"title":"T","image_url":"i","link_url":"l","starts_at":"2026-02-01T00:00:00"}',
        400,
        "time_zone",
    ),
    ("PUT", "/v1/banners/b", b'{"title":"T"}', 400, "required field `image_url`"),
    ("PATCH", "/v1/items/p1", b'{"hidden":"yes"}', 400, "$.hidden"),
    ("PATCH", "/v1/items/p1", b"[]", 400, "Expected `object`"),
    ("POST", "/health/live", b"", 405, "POST is not a method of /health/live"),
    ("GET", f"{HOME}?count=ten", b"", 400, "query.count: Expected `int | null`, got `str`"),
    ("GET", f"{HOME}?user_id=%ff", b"", 400, "query.user_id: it is not valid UTF-8"),
    ("GET", f"{HOME}?count=1&anonymous_id=a+%c3", b"", 400, "query.anonymous_id: it is not valid"),
    ("GET", f"{HOME}?%fe=x", b"", 400, "query.%fe: it is not valid UTF-8"),
    ("GET", "/v1/audit?limit=1&kind=a%00b", b"", 400, "query.kind: it contains a NUL character"),
    ("GET", "/v1/audit?id=%00", b"", 400, "query.id: it contains a NUL character"),
    ("POST", "/v1/keys", b'{"scope":"trainer","name":"a\\u0000"}', 400, "$.name"),
    ("GET", "/v1/users/%ff", b"", 400, "not valid UTF-8"),
    ("DELETE", "/v1/users/%fe", b"", 400, "not valid UTF-8"),
    ("DELETE", "/v1/users/a%2F%c3?kind=anonymous_id", b"", 400, "not valid UTF-8"),
    ("DELETE", "/v1/users/a%00", b"", 400, "NUL"),
    ("PATCH", "/v1/items/", b"{}", 405, "PATCH is not a method of /v1/items/"),
    ("POST", "/v1/keys", b'{"scope":"root","name":"x"}', 400, '$.scope is "root"'),
    ("DELETE", "/v1/keys/key_x", b"", 404, "key 'key_x' does not exist"),
    ("POST", "/v1/models/0123456789abcdef/promote", b"", 404, "model version"),
    ("POST", "/v1/models/rollback", b"", 409, "no other version was live"),
]


def is_problem(response: Any, status: int) -> Any:
    """Check the form of a refusal and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].split(";")[0] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["type"] == f"urn:endcap:problem:{problem['code']}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"].startswith("/")
    assert "Traceback" not in response.text
    return problem


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1][:30]} {case[4][:30]}")
def test_bad_request_is_a_problem(
    strict_shop: Shop, case: tuple[str, str, bytes, int, str]
) -> None:
    """Each bad request is refused with its own status and a detail that names what is wrong."""
    method, path, body, status, detail = case
    answer = strict_shop.call(method, path, content=body)
    assert detail in is_problem(answer, status)["detail"]
    if status == 405:
        (allow,) = answer.headers.get_list("allow")
        assert "PUT" in allow or "GET" in allow


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data", "a/b; q=é"])
def test_body_is_json_whatever_its_content_type(strict_shop: Shop, content_type: str) -> None:
    """A content type neither helps a bad body nor breaks a good one."""
    headers = {"Content-Type": content_type.encode("latin-1")}
    is_problem(strict_shop.call("PUT", HOME, content=b"a=b", headers=headers), 400)
    good = strict_shop.call("PUT", HOME, content=b'{"kind":"items"}', headers=headers)
    assert good.status_code == 200


def test_chunked_body_over_the_limit_is_refused(strict_shop: Shop) -> None:
    """A body without a length is counted as it comes."""
    chunks = (b'"' + b"x" * 65_536 for _ in range(20))
    is_problem(strict_shop.call("PUT", HOME, content=chunks), 413)


def test_mistake_is_located(strict_shop: Shop) -> None:
    """`errors` holds the place and the rule for programs."""
    body = b'{"share":1,"variants":[{"key":"a"},{"key":"b","weight":-1}]}'
    problem = is_problem(strict_shop.call("PUT", "/v1/rollouts/r", content=body), 400)
    assert problem["errors"] == [{"path": "$.variants[1].weight", "message": "Expected `int` >= 0"}]


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("value", ["x", '"', "9" * 400, '"1", ,', "é"])
def test_bad_precondition_is_a_problem(strict_shop: Shop, header: str, value: str) -> None:
    """A precondition that cannot be understood is refused, not ignored."""
    headers = {header: value.encode()}
    is_problem(strict_shop.call("PUT", HOME, content=b'{"kind":"items"}', headers=headers), 400)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PURGE"])
def test_other_methods_are_no_defects(strict_shop: Shop, method: str) -> None:
    """Methods nobody uses here are answered without a 5xx."""
    assert strict_shop.call(method, HOME).status_code < 500


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
FIELDS = """
kind count share variants forced revision epoch key id name static_ids title image_url link_url
starts_at weight hidden available
"""
bodies = json_values | st.dictionaries(st.sampled_from(FIELDS.split()), json_values)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["PUT", "PATCH"]),
    st.sampled_from([HOME, "/v1/rollouts/r", "/v1/banners/b", "/v1/items/p1"]),
    bodies,
)
def test_no_json_makes_a_defect(strict_shop: Shop, method: str, path: str, body: Any) -> None:
    """Whatever JSON is sent, the answer is below 500."""
    response = strict_shop.call(method, path, json=body)
    assert response.status_code < 500, response.text


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_no_bytes_make_a_defect(strict_shop: Shop, body: Any) -> None:
    """Whatever bytes are sent, the answer is below 500."""
    response = strict_shop.call("PUT", "/v1/rollouts/r", content=body)
    assert response.status_code < 500, response.text


def test_time_without_seconds_is_taken_and_no_time_is_told_how(shop: Shop) -> None:
    """In a PUT and in a PATCH alike; the refusal shows a time that would do."""
    banner = {"title": "T", "image_url": "/i", "link_url": "/l"}
    short = {"starts_at": "2026-11-27T09:00", "time_zone": "Asia/Dubai"}
    made = shop.call("PUT", "/v1/banners/b", json=banner | short)
    assert (made.status_code, made.json()["starts_at"]) == (201, "2026-11-27T09:00:00")
    patch = {"starts_at": "2026-11-28T09:00+04:00"}
    changed = shop.call("PATCH", "/v1/banners/b", json=patch)
    assert changed.json()["starts_at"] == "2026-11-28T09:00:00+04:00"
    for method, body in (("PUT", banner), ("PATCH", {})):
        asked = shop.call(method, "/v1/banners/b", json=body | {"starts_at": "tomorrow"})
        problem = is_problem(asked, 400)
        assert problem["detail"].startswith(
            '$.starts_at "tomorrow" is no date and time; write for example 2026-11-27T09:00+04:00'
        )
        assert problem["errors"][0]["path"] == "$.starts_at"
