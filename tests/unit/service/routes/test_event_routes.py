"""`POST /v1/events` and the report over HTTP: verdicts, refusals, keys, and what is counted."""

import gzip
import json
from typing import Any

import httpx
import pytest

from tests.unit.service.routes.samples import NOW_MS, Shop

VIEW = {"event": "view", "event_id": "e1", "item_id": "p1", "user_id": "shopper"}
WRONG = {"event": "purchase", "event_id": "e2", "item_id": "p2", "price": "dear"}


def post(shop: Shop, body: Any, **options: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    options.setdefault("scope", "publishable")
    return shop.call("POST", "/v1/events", content=content, **options)


def metric(shop: Shop, name: str) -> float:
    lines = shop.call("GET", "/metrics").text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(name + " "))


def test_each_event_gets_its_verdict(shop: Shop) -> None:
    """New, wrong and repeated in one body: 202, three verdicts, totals that add up."""
    answer = post(shop, [VIEW, WRONG, VIEW])
    assert answer.status_code == 202
    found = answer.json()
    assert (found["received"], found["accepted"], found["duplicate"], found["rejected"]) == (
        3,
        1,
        1,
        1,
    )
    assert found["events"] == [
        {"event_id": "e1", "status": "accepted"},
        {
            "event_id": "e2",
            "status": "rejected",
            "path": "$[1].price",
            "message": "Expected `float | null`, got `str`",
        },
        {"event_id": "e1", "status": "duplicate"},
    ]
    assert metric(shop, "endcap_events_received_total") == 3
    for verdict in ("accepted", "duplicate", "rejected"):
        assert metric(shop, f'endcap_events_total{{verdict="{verdict}"}}') == 1


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_content_type_is_not_asked(shop: Shop, content_type: str) -> None:
    """Beacons say text, some SDKs say form: gzipped JSON Lines under either name are two events."""
    lines = json.dumps(VIEW) + "\n" + json.dumps(VIEW | {"event_id": "e3"})
    answer = post(shop, gzip.compress(lines.encode()), headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)


def test_accepted_event_is_recent_at_once(shop: Shop) -> None:
    """The process that accepted an event serves by it with the next request."""
    post(shop, VIEW)
    key = shop.services.pseudonymiser.pseudonym("user_id", "shopper")
    assert [event.item_id for event in shop.services.intake.recents.get(key, None)] == ["p1"]


def test_clock_of_the_sender_is_put_right(shop: Shop) -> None:
    """A view 5 s before sending is 5 s old though the sender is ten minutes behind, or ahead."""
    key = shop.services.pseudonymiser.pseudonym("user_id", "shopper")
    for n, behind_ms in enumerate((600_000, -600_000), 1):
        sent_at = NOW_MS - behind_ms
        body = json.dumps([VIEW | {"event_id": f"c{n}", "timestamp": sent_at - 5_000}])
        answer = shop.call("POST", f"/v1/events?sent_at={sent_at}", content=body)
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
        assert [event.at_ms for event in shop.services.intake.recents.get(key, None)] == (
            [NOW_MS - 5_000] * n
        )


@pytest.mark.parametrize("sent_at", ["soon", "-1", str(10**15), "1.5"])
def test_time_of_sending_that_is_none_is_refused(shop: Shop, sent_at: str) -> None:
    """It would move every event of the body to some other time."""
    answer = shop.call("POST", f"/v1/events?sent_at={sent_at}", content=json.dumps(VIEW))
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "query.sent_at")


def test_no_events_are_no_mistake(shop: Shop) -> None:
    """An empty array is answered with zeros."""
    assert post(shop, []).json() == {
        "received": 0,
        "accepted": 0,
        "duplicate": 0,
        "rejected": 0,
        "events": [],
    }


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        (b"hello", 400, "input_invalid", "the body is not JSON"),
        (b"", 400, "input_invalid", ""),
        (WRONG, 400, "body_invalid", "$.price: Expected `float | null`, got `str`"),
        ([WRONG, WRONG], 400, "body_invalid", "$[0].price"),
        (VIEW | {"item_id": ""}, 400, "body_invalid", "$.item_id"),
        (VIEW | {"item_id": "p" * 257}, 400, "body_invalid", "$.item_id"),
        (VIEW | {"item_id": "a\0b"}, 400, "body_invalid", "NUL"),
        (VIEW | {"timestamp": "2026-01-01T00:00:00"}, 400, "body_invalid", "write 2026-01-01"),
        (b"[" * 5_000, 400, "", ""),
        (b" " * 2_000_000, 413, "body_too_large", "1000000 bytes"),
        (gzip.compress(b" " * 2_000_000), 413, "body_too_large", "1000000 bytes"),
        (gzip.compress(b"[]", mtime=0)[:-4], 400, "input_invalid", "ends too early"),
    ],
)
def test_bad_body_is_a_problem(
    strict_shop: Shop, body: Any, status: int, code: str, told: str
) -> None:
    """Each names the value, the rule and the next step; none is a 500."""
    answer = post(strict_shop, body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert code in problem["code"]
    assert told in problem["detail"]


def test_events_need_a_key(strict_shop: Shop) -> None:
    """Without a key nothing is taken in."""
    assert post(strict_shop, VIEW, scope=None).status_code == 401


def test_report_needs_a_merchandiser_and_a_rollout(shop: Shop) -> None:
    """A publishable key may not read it; an unknown rollout is 404; a configured one is empty."""
    path = "/v1/rollouts/home_recs/report"
    assert shop.call("GET", path, scope="publishable").status_code == 403
    assert shop.call("GET", path, scope="merchandiser").status_code == 404
    shop.call("PUT", "/v1/rollouts/home_recs", json={"share": 0.25})
    report = shop.call("GET", path, scope="merchandiser").json()
    shares = {arm["variant"]: arm["declared_share"] for arm in report["epochs"][0]["arms"]}
    assert shares == {"control": 0.75, "personal": 0.25}
    assert report["notes"] == ["no exposure was decided by this rollout's split yet"]


def test_robots_and_previews_are_in_no_report(shop: Shop) -> None:
    """A crawler is served and stored, and is in no arm; neither is an order that is a preview."""
    shop.call("PUT", "/v1/placements/home_recs", json={"kind": "items", "static_ids": ["p1"]})
    shop.call("PUT", "/v1/rollouts/home_recs", json={"share": 0.5})
    order = {"event": "purchase", "item_id": "p1", "price": 5.0}
    for name, agent in (("person", "Mozilla/5.0"), ("robot", "Googlebot/2.1")):
        visit = {"placements": [{"id": "home_recs"}], "user": {"user_id": name}}
        headers = {"user-agent": agent}
        assert shop.call("POST", "/v1/serve", json=visit, headers=headers).status_code == 200
        shop.advance(1_000)
        mine = order | {"user_id": name, "event_id": name}
        post(shop, [mine, mine | {"event_id": f"{name} looks", "preview": True}], headers=headers)
    report = shop.call("GET", "/v1/rollouts/home_recs/report").json()
    arms = report["epochs"][0]["arms"]
    assert sum(arm["units"] for arm in arms) == 1
    assert sum(arm["orders"] for arm in arms) == 1
    assert report["not_split"] == {"ROBOT": 1}
