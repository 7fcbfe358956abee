"""Flags over OFREP: every type, every error, ETags, and the published schema."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.routes.ofrep import MAX_LISTED
from tests.unit.service.routes.ofrep_schema import Check, schema_check
from tests.unit.service.routes.samples import NOW_MS, Shop, open_client

Failure = Callable[..., str]

BULK = "/ofrep/v1/evaluate/flags"
FLAGS: dict[str, dict[str, Any]] = {
    "boolean": {"value_type": "boolean", "control_value": False, "values": [True]},
    "string": {"value_type": "string", "control_value": "", "values": ["é"]},
    "integer": {"value_type": "integer", "control_value": 0, "values": [7]},
    "float": {"value_type": "float", "control_value": 0, "values": [1]},
    "object": {"value_type": "object", "control_value": {}, "values": [{"a": [1.0, None]}]},
    "code_default": {"value_type": "boolean", "share": 0, "values": [True]},
    "recipes": {"share": 0.5},
    "country": {
        "value_type": "boolean",
        "control_value": False,
        "values": [True],
        "audience": {"op": "equals", "attribute": "country", "value": "AE"},
    },
}


@pytest.fixture(scope="module")
def check_schema(ofrep_document: Path) -> Check:
    """Check an answer by the published document."""
    return schema_check(ofrep_document)


@pytest.fixture
def flags(shop: Shop) -> Shop:
    """Set the flags."""
    for key, flag in FLAGS.items():
        body = {"share": 1, **flag}
        values = body.pop("values", None)
        if values is not None:
            body["variants"] = [{"key": "on", "value": value} for value in values]
        assert shop.call("PUT", f"/v1/rollouts/{key}", json=body).status_code == 201
    return shop


def ask(shop: Shop, key: str, context: Any = None, **options: Any) -> httpx.Response:
    """Evaluate one flag for u1, or for a context."""
    body = {"context": {"targetingKey": "u1"} if context is None else context}
    return shop.call("POST", f"{BULK}/{key}", scope="publishable", json=body, **options)


def ask_all(shop: Shop, context: dict[str, Any], etag: str | None = None) -> httpx.Response:
    """Evaluate all flags."""
    headers = {} if etag is None else {"If-None-Match": etag}
    return shop.call("POST", BULK, scope="publishable", json={"context": context}, headers=headers)


@pytest.fixture(scope="module")
def failure(check_schema: Check) -> Failure:
    """Check a failure by the published document and return its code."""

    def check(answer: httpx.Response, status: int, schema: str = "evaluationFailure") -> str:
        assert answer.status_code == status, answer.text
        check_schema(schema, answer.json())
        assert answer.json()["errorDetails"]
        return str(answer.json()["errorCode"])

    return check


@pytest.mark.parametrize(
    ("key", "value", "reason", "variant"),
    [
        ("boolean", "true", "STATIC", "on"),
        ("string", '"é"', "STATIC", "on"),
        ("integer", "7", "STATIC", "on"),
        ("float", "1.0", "STATIC", "on"),
        ("object", '{"a":[1.0,null]}', "STATIC", "on"),
        ("country", "false", "STATIC", "control"),
    ],
)
def test_flag_answers_its_value(
    flags: Shop, check_schema: Check, *, key: str, value: str, reason: str, variant: str
) -> None:
    """Each type comes out as it is declared, with variant, reason and metadata."""
    answer = ask(flags, key)
    assert answer.status_code == 200
    check_schema("serverEvaluationSuccess", answer.json())
    assert f'"value":{value},' in answer.text
    found = answer.json()
    assert (found["key"], found["reason"], found["variant"]) == (key, reason, variant)
    assert found["metadata"]["epoch"] == 1


def test_code_default_has_no_value(flags: Shop, check_schema: Check) -> None:
    """Where control is left to the code, the answer has a variant and a reason, and no value."""
    answer = ask(flags, "code_default").json()
    check_schema("serverEvaluationSuccess", answer)
    assert "value" not in answer
    assert (answer["variant"], answer["reason"]) == ("control", "SPLIT")
    assert answer["metadata"]["detail"] == "NOT_ENROLLED"


def test_rollout_without_values_answers_its_variant(flags: Shop) -> None:
    """A rollout of a placement is a string flag: the name of the variant that serving gives too."""
    variants = {ask(flags, "recipes", {"targetingKey": f"u{n}"}).json()["value"] for n in range(20)}
    assert variants == {"control", "personal"}


def test_audience_is_asked_with_the_context(flags: Shop) -> None:
    """The context decides, and TARGETING_MATCH says so."""
    here = ask(flags, "country", {"targetingKey": "u1", "country": "AE"}).json()
    assert (here["value"], here["reason"]) == (True, "TARGETING_MATCH")
    there = ask(flags, "country", {"targetingKey": "u1", "country": "SA"}).json()
    assert (there["value"], there["metadata"]["detail"]) == (False, "AUDIENCE")


def test_disabled_flag_says_so(flags: Shop, check_schema: Check) -> None:
    """A killed flag answers control's value with DISABLED and KILLED."""
    flags.call("POST", "/v1/rollouts/boolean/kill")
    answer = ask(flags, "boolean").json()
    check_schema("serverEvaluationSuccess", answer)
    assert (answer["value"], answer["reason"]) == (False, "DISABLED")
    assert answer["metadata"]["detail"] == "KILLED"


@pytest.mark.parametrize(
    ("context", "same_as"),
    [
        ({"targetingKey": "x", "user_id": "u1"}, {"targetingKey": "u1"}),
        ({"targetingKey": "a1", "anonymous": True}, {"anonymous_id": "a1"}),
        ({"targetingKey": "u1", "anonymous": False}, {"user_id": "u1"}),
        ({"targetingKey": "u1", "anonymous_id": "a1"}, {"targetingKey": "u1"}),
    ],
)
def test_targeting_key_is_the_user_unless_it_says_otherwise(
    flags: Shop, context: dict[str, Any], same_as: dict[str, Any]
) -> None:
    """Two ways to name the same unit get the same variant, over many units."""
    flags.call("PUT", "/v1/rollouts/many", json={"share": 0.5})

    def numbered(ids: dict[str, Any], number: int) -> dict[str, Any]:
        return {
            name: f"{value}-{number}" if isinstance(value, str) else value
            for name, value in ids.items()
        }

    for number in range(20):
        one, other = (
            ask(flags, "many", numbered(ids, number)).json()["variant"]
            for ids in (context, same_as)
        )
        assert one == other


@pytest.mark.parametrize("anonymous", ["true", "TRUE", "1", 1])
def test_anonymous_may_be_told_as_a_text(flags: Shop, anonymous: object) -> None:
    """A client whose attributes are all texts names a visitor so, and no user of that name."""
    rollout = {"share": 0, "unit": "anonymous_id", "forced": {"a1": "personal"}}
    flags.call("PUT", "/v1/rollouts/visitors", json=rollout)
    context = {"targetingKey": "a1", "anonymous": anonymous}
    answer = ask(flags, "visitors", context).json()
    assert (answer["variant"], answer["metadata"]["detail"]) == ("personal", "FORCED")


@pytest.mark.parametrize("consent", [False, "false", "DENIED", 0, "", {}])
def test_without_consent_no_id_is_used(flags: Shop, check_schema: Check, consent: object) -> None:
    """Without consent the answer is control's, for the reason UNKNOWN, which OFREP has for it."""
    answer = ask(flags, "boolean", {"targetingKey": "u1", "consent": consent}).json()
    check_schema("serverEvaluationSuccess", answer)
    assert (answer["value"], answer["reason"]) == (False, "UNKNOWN")
    assert answer["metadata"]["detail"] == "NO_UNIT"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"", "PARSE_ERROR"),
        (b'{"context": {"a": NaN}}', "PARSE_ERROR"),
        (b"[" * 10_000, "PARSE_ERROR"),
        (b"[]", "INVALID_CONTEXT"),
        (b"{}", "INVALID_CONTEXT"),
        (b'{"context": null}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 7}}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": "a\\u0000b"}}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": "' + b"x" * 257 + b'"}}', "INVALID_CONTEXT"),
        (
            b'{"context": {"targetingKey": "u1", "a": [' + b"1," * MAX_LISTED + b"1]}}",
            "INVALID_CONTEXT",
        ),
        (b'{"context": {}}', "TARGETING_KEY_MISSING"),
        (b'{"context": {"targetingKey": ""}}', "TARGETING_KEY_MISSING"),
        (b'{"context": {"targetingKey": null}}', "TARGETING_KEY_MISSING"),
    ],
)
def test_bad_request_has_its_code(flags: Shop, body: bytes, code: str, failure: Failure) -> None:
    """Every mistake is 400 with the protocol's code and a sentence, for one flag and for all."""
    one = flags.call("POST", f"{BULK}/boolean", content=body)
    assert failure(one, 400) == code
    assert one.json()["key"] == "boolean"
    everything = flags.call("POST", BULK, content=body)
    assert failure(everything, 400, "bulkEvaluationFailure") == code


def test_list_in_a_context_is_looked_at_to_its_end(flags: Shop) -> None:
    """One of its values is enough, the last of as many as there may be."""
    countries = ["DE"] * (MAX_LISTED - 1) + ["AE"]
    answer = ask(flags, "country", {"targetingKey": "u1", "country": countries})
    assert answer.json()["value"] is True


def test_unknown_flag_is_not_found(flags: Shop, failure: Failure) -> None:
    """An unknown key is 404 and named."""
    answer = ask(flags, "nope")
    assert failure(answer, 404, "flagNotFound") == "FLAG_NOT_FOUND"
    assert answer.json()["key"] == "nope"


def test_key_is_asked_for(flags: Shop) -> None:
    """Without a key 401; the key may stand in either header."""
    assert flags.call("POST", BULK, scope=None, json={}).status_code == 401
    answer = flags.call(
        "POST",
        f"{BULK}/boolean",
        scope=None,
        json={"context": {"targetingKey": "u"}},
        headers={"X-API-Key": flags.keys["publishable"]},
    )
    assert answer.status_code == 200


def test_body_that_is_too_large_is_refused_in_the_protocols_words(
    flags: Shop, failure: Failure
) -> None:
    """A context of more than the body limit is 413 with code GENERAL."""
    answer = ask(flags, "boolean", {"targetingKey": "u", "x": "y" * 1_100_000})
    assert failure(answer, 413) == "GENERAL"


def test_bulk_is_the_sum_of_the_single_ones(flags: Shop, check_schema: Check) -> None:
    """All flags at once are each what it is alone, and a stream of changes is advertised."""
    answer = ask_all(flags, {"targetingKey": "u1"})
    assert answer.headers["content-type"] == "application/json"
    check_schema("bulkEvaluationSuccess", answer.json())
    found = {flag["key"]: flag for flag in answer.json()["flags"]}
    assert found == {key: ask(flags, key).json() for key in FLAGS}
    stream = answer.json()["eventStreams"][0]
    assert (stream["type"], stream["inactivityDelaySec"]) == ("sse", 120)
    assert stream["endpoint"]["requestUri"].startswith("/v1/changes?ticket=key_")


def test_etag_holds_while_nothing_changes(flags: Shop) -> None:
    """The same question gets 304 without a body, also with weak and listed tags."""
    etag = ask_all(flags, {"targetingKey": "u1", "a": 1, "b": 2}).headers["etag"]
    for sent in (etag, f"W/{etag}", f'"other", {etag}'):
        again = ask_all(flags, {"b": 2, "a": 1, "targetingKey": "u1"}, sent)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag


@pytest.mark.parametrize(
    "context",
    [
        {"targetingKey": "u1", "country": "AE"},
        {"targetingKey": "u1", "anything": "else"},
        {"targetingKey": "u2"},
        {"targetingKey": "u1", "consent": False},
    ],
)
def test_etag_changes_with_the_context(flags: Shop, context: dict[str, Any]) -> None:
    """Another context is another tag, even where the values happen to be the same."""
    etag = ask_all(flags, {"targetingKey": "u1"}).headers["etag"]
    assert ask_all(flags, context, etag).status_code == 200


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/v1/rollouts/float", {"share": 0.5}),
        ("/v1/rollouts/float", {"name": "New"}),
        ("/v1/holdout", {"share": 0.1}),
    ],
)
def test_etag_changes_with_the_configuration(
    flags: Shop, path: str, change: dict[str, Any]
) -> None:
    """Any change of what flags are made of is a new tag; another document's is not."""
    etag = ask_all(flags, {"targetingKey": "u1"}).headers["etag"]
    flags.call("PUT", "/v1/placements/home", json={"kind": "items"})
    assert ask_all(flags, {"targetingKey": "u1"}, etag).status_code == 304
    flags.call("PUT" if "holdout" in path else "PATCH", path, json=change)
    assert ask_all(flags, {"targetingKey": "u1"}, etag).status_code == 200


def test_etag_changes_with_the_time(flags: Shop) -> None:
    """A schedule that begins is a new tag, though nobody has changed anything."""
    assert datetime(2026, 1, 15, tzinfo=UTC).timestamp() * 1000 == NOW_MS
    flags.call("PATCH", "/v1/rollouts/boolean", json={"starts_at": "2026-01-15T00:00:01Z"})
    before = ask_all(flags, {"targetingKey": "u1"})
    flags.advance(1_000)
    after = ask_all(flags, {"targetingKey": "u1"}, before.headers["etag"])
    assert after.status_code == 200
    values = [answer.json()["flags"][0]["value"] for answer in (before, after)]
    assert values == [False, True]


def test_page_of_another_origin_may_read_the_tag(tmp_path: Path) -> None:
    """A browser asks first, then sees the ETag and Retry-After of answers and of refusals."""
    origin = {"Origin": "https://shop.example"}
    with open_client(tmp_path, cors_origins=("https://shop.example",)) as client:
        shop = Shop(client)
        wanted = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,if-none-match,x-api-key",
        }
        asked = shop.call("OPTIONS", BULK, scope=None, headers={**origin, **wanted})
        assert asked.status_code == 204
        body = {"context": {"targetingKey": "u1"}}
        for answer in (
            shop.call("POST", BULK, json=body, headers=origin),
            shop.call("POST", BULK, json={}, headers=origin),
        ):
            assert answer.headers["access-control-allow-origin"] == "https://shop.example"
            exposed = answer.headers["access-control-expose-headers"].lower()
            assert {"etag", "retry-after"} <= set(exposed.replace(" ", "").split(","))
