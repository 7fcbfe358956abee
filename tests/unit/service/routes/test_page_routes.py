"""Pages over HTTP: the short way and the framework's route answer alike, in time, and are timed."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import structlog

from models.artifact import ArtifactStore
from models.pseudonym import load_pseudonymiser
from service.intake.exposure_queue import ExposureQueue
from service.intake.quick_reads import QuickReads
from service.measured import MeasuredApp
from service.middleware.problems import BodyError
from service.protocol.known_heads import Request
from service.routes.answer import GIVE_WAY_S
from service.routes.placement_query import check_encoding
from service.routes.shortcut import PageShortcut
from service.stores.key_filter import KeyFilter
from service.telemetry.metrics import MAX_TOLD, Metrics
from tests.snapshots import tiny_snapshot
from tests.unit.service.routes.samples import Shop, open_client

PAGE = {
    "user": {"user_id": "alice", "session_id": "s"},
    "placements": [{"id": "hero"}, {"id": "recs"}],
}
UNSTABLE = {"request_id", "exposure_id", "took_ms"}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Open an app with the tiny model live and a page of two placements."""
    alice = load_pseudonymiser(tmp_path).pseudonym("user_id", "alice")
    store = ArtifactStore(tmp_path)
    store.promote(store.publish(tiny_snapshot("", alice)))
    with open_client(tmp_path) as client:
        opened = Shop(client)
        opened.call("PUT", "/v1/placements/recs", json={"kind": "items", "count": 3})
        opened.call("PUT", "/v1/placements/hero", json={"kind": "banners"})
        banner = {"title": "Garden", "image_url": "/i", "link_url": "/l", "categories": ["Garden"]}
        opened.call("PUT", "/v1/banners/garden", json=banner)
        yield opened


def _stable(value: Any) -> Any:
    if isinstance(value, list):
        return [_stable(one) for one in value]
    if isinstance(value, dict):
        return {name: _stable(one) for name, one in value.items() if name not in UNSTABLE}
    return value


def _long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async def take(self: object, scope: object, receive: Any, send: object) -> Any:
        return receive

    monkeypatch.setattr(PageShortcut, "take", take)


def test_both_ways_answer_alike(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Body and headers are the same, but for what is new on each request."""
    short = shop.call("POST", "/v1/serve", scope="publishable", json=PAGE)
    _long_way(monkeypatch)
    long = shop.call("POST", "/v1/serve", scope="publishable", json=PAGE)
    assert short.status_code == long.status_code == 200
    assert _stable(short.json()) == _stable(long.json())
    assert short.json()["placements"][1]["tier"] == "personal"
    assert short.headers.keys() == long.headers.keys()
    assert short.headers["content-type"] == long.headers["content-type"]


def _at_once(
    shop: Shop, method: bytes, target: bytes, body: bytes = b"", scope: str = "publishable"
) -> tuple[dict[str, str], Any] | None:
    """Ask the app as `PageProtocol` does."""
    app = shop.client.app
    assert isinstance(app, MeasuredApp)
    sent = [(b"x-api-key", shop.keys[scope].encode())]
    found = app.answer_at_once(Request(method, target, app.read_sender(sent), body))
    if found is None:
        return None
    lines = found[0].decode().splitlines()
    return dict(line.split(": ", 1) for line in lines), json.loads(found[1])


def test_page_that_needs_no_waiting_is_the_same(shop: Shop) -> None:
    """Body, headers and counters are those of the route; a merchandiser sees the stages."""
    long = shop.call("POST", "/v1/serve", scope="publishable", json=PAGE)
    found = _at_once(shop, b"POST", b"/v1/serve", json.dumps(PAGE).encode())
    assert found is not None
    assert _stable(found[1]) == _stable(long.json())
    assert set(found[0]) == {"content-type", "content-length"}
    found = _at_once(shop, b"POST", b"/v1/serve", json.dumps(PAGE).encode(), "merchandiser")
    assert found is not None
    assert "gather;dur=" in found[0]["server-timing"]
    metrics = shop.call("GET", "/metrics").text
    labels = 'method="POST",route="/v1/serve",status="200"'
    assert f"endcap_request_seconds_count{{{labels}}} 3.0" in metrics


def test_unknown_placement_is_empty_on_every_way(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One placement that is gone empties no other; it is counted each time and told once."""
    page = {**PAGE, "placements": [{"id": "gone"}, *PAGE["placements"]]}
    with structlog.testing.capture_logs() as told:
        found = _at_once(shop, b"POST", b"/v1/serve", json.dumps(page).encode())
        short = shop.call("POST", "/v1/serve", scope="publishable", json=page)
        _long_way(monkeypatch)
        long = shop.call("POST", "/v1/serve", scope="publishable", json=page)
    assert found is not None
    assert short.status_code == long.status_code == 200
    assert _stable(found[1]) == _stable(short.json()) == _stable(long.json())
    gone, hero, recs = long.json()["placements"]
    assert gone == {
        "kind": "items",
        "id": "gone",
        "exposure_id": "",
        "tier": "static",
        "degraded": "not_configured",
        "rollout": None,
        "items": [],
    }
    assert [one["id"] for one in hero["banners"]] == ["garden"]
    assert len(recs["items"]) == 3
    named = [one["placement"] for one in told if one["event"] == "placement_not_configured"]
    assert named == ["gone"]
    assert "endcap_placements_unknown_total 3.0" in shop.call("GET", "/metrics").text


def test_log_names_no_end_of_unknown_placements() -> None:
    """Whoever makes up names fills neither the log nor the memory; all of them count."""
    metrics = Metrics()
    with structlog.testing.capture_logs() as told:
        metrics.count_unknown(f"made up {n}" for n in range(MAX_TOLD + 5))
    assert len(told) == MAX_TOLD
    assert f"endcap_placements_unknown_total {MAX_TOLD + 5}.0".encode() in metrics.render()


def test_page_of_unknown_placements_alone_is_not_found(shop: Shop) -> None:
    """Of one or of several, with POST and with GET; the first is named with the known ones."""
    page = {**PAGE, "placements": [{"id": "gone"}, {"id": "away"}]}
    assert _at_once(shop, b"POST", b"/v1/serve", json.dumps(page).encode()) is None
    for answer in (
        shop.call("POST", "/v1/serve", scope="publishable", json=page),
        shop.call("GET", "/v1/placements/gone", scope="publishable"),
    ):
        assert answer.status_code == 404
        assert "'gone' at $.placements[0].id is not configured" in answer.json()["detail"]
        assert "known: hero, recs" in answer.json()["detail"]


def test_key_that_is_revoked_opens_no_door_that_it_has_opened(shop: Shop) -> None:
    """What was read from headers is kept; whether the key in them is good is asked each time."""
    app = shop.client.app
    assert isinstance(app, MeasuredApp)
    made = shop.call("POST", "/v1/keys", json={"scope": "publishable", "name": "web"}).json()
    sender = app.read_sender([(b"x-api-key", made["key"].encode())])
    request = Request(b"POST", b"/v1/serve", sender, json.dumps(PAGE).encode())
    assert app.answer_at_once(request) is not None
    shop.call("DELETE", f"/v1/keys/{made['info']['id']}")
    assert app.answer_at_once(request) is None


def test_key_that_only_sends_events_gets_no_page(shop: Shop) -> None:
    """Not without a task either, and not though another key has just had the same page."""
    body = json.dumps(PAGE).encode()
    for method, target, sent in (
        (b"POST", b"/v1/serve", body),
        (b"GET", b"/v1/placements/recs?user_id=alice", b""),
    ):
        assert _at_once(shop, method, target, sent) is not None
        assert _at_once(shop, method, target, sent, "server") is None
    assert shop.call("POST", "/v1/serve", scope="server", json=PAGE).status_code == 403


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?user_id=alice&session_id=s",
        "?user_id=alice&country=GB&count=2&exclude_item_ids=mug&exclude_item_ids=pan&deadline_ms=9000",
        "?anonymous_id=a%20b&item_ids=mug&channel=web&platform=ios&page=home",
    ],
)
def test_placement_that_needs_no_waiting_is_the_same(shop: Shop, query: str) -> None:
    """An ordinary address is read as the framework reads it."""
    target = f"/v1/placements/recs{query}"
    found = _at_once(shop, b"GET", target.encode())
    assert found is not None
    assert _stable(found[1]) == _stable(shop.call("GET", target, scope="publishable").json())
    labels = 'method="GET",route="/v1/placements/{placement_id}",status="200"'
    assert f"endcap_request_seconds_count{{{labels}}} 2.0" in shop.call("GET", "/metrics").text


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/placements/recs/config",
        b"/v1/placements/",
        b"/v1/placements/r%65cs",
        b"/v1/placements/unknown",
        b"/v1/placements/recs?user=alice",
        b"/v1/placements/recs?user_id=a&user_id=b",
        b"/v1/placements/recs?user_id=",
        b"/v1/placements/recs?count=many",
        b"/v1/placements/recs?count=0",
        b"/v1/placements/recs?consent=false",
        b"/v1/placements/recs?explain=true",
        b"/v1/placements/recs?country=%ff",
        b"/v1/placements/recs?user_id=%ff",
        b"/v1/placements/recs?user_id=\xc3\xa9",
        b"/v1/placements/recs?user_id=a#b",
    ],
)
def test_address_that_is_not_ordinary_is_left_to_the_framework(shop: Shop, target: bytes) -> None:
    """Whether it refuses it or not."""
    assert _at_once(shop, b"GET", target) is None


@pytest.mark.parametrize(
    "query",
    [b"", b"user_id=a", b"user_id=%C3%A9", b"user_id=%ef%bf%bd", b"user_id=\xc3\xa9", b"user_id=%"],
)
def test_query_in_utf8_is_let_in(query: bytes) -> None:
    """Whatever its bytes mean."""
    check_encoding(query)


@pytest.mark.parametrize("value", [b"%ff", b"%c3", b"a%C3+", b"\xff", b"%c3\xff"])
def test_query_of_other_bytes_is_refused(value: bytes) -> None:
    """They would all become the same sign, and different shoppers one."""
    with pytest.raises(BodyError, match=r"query\.user_id: it is not valid UTF-8"):
        check_encoding(b"count=1&user_id=" + value)


@pytest.mark.parametrize(
    ("scope", "body", "status"),
    [
        (None, PAGE, 401),
        ("publishable", {**PAGE, "placements": []}, 400),
        ("publishable", {**PAGE, "placements": [{"id": "unknown"}]}, 404),
        ("publishable", {**PAGE, "options": {"explain": True}}, 403),
        ("merchandiser", {**PAGE, "options": {"explain": True}}, 200),
        ("publishable", {**PAGE, "context": {"page": "x" * 1_100_000}}, 413),
    ],
)
def test_what_is_not_ordinary_takes_the_long_way(
    shop: Shop, scope: str | None, body: object, status: int
) -> None:
    """The route hears the whole request and answers it once."""
    answer = shop.call("POST", "/v1/serve", scope=scope, json=body)
    assert answer.status_code == status, answer.text
    metrics = shop.call("GET", "/metrics").text
    labels = f'method="POST",route="/v1/serve",status="{status}"'
    assert f"endcap_request_seconds_count{{{labels}}} 1.0" in metrics


def test_same_page_twice_is_the_same_page(shop: Shop) -> None:
    """What is remembered of a slate is what was worked out; only ids are new."""
    first, second = (shop.call("POST", "/v1/serve", json=PAGE).json() for _ in range(2))
    assert _stable(first) == _stable(second)
    ids = [slate["exposure_id"] for page in (first, second) for slate in page["placements"]]
    assert len(set(ids)) == 4


def test_page_lets_the_writer_work_once_many_exposures_wait(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moment each, so that nothing is dropped because the event loop never rests."""
    rests: list[float] = []
    monkeypatch.setattr("service.routes.answer.give_way", rests.append)
    shop.call("POST", "/v1/serve", json=PAGE)
    assert rests == []
    monkeypatch.setattr(ExposureQueue, "is_crowded", property(lambda _: True))
    shop.call("POST", "/v1/serve", json=PAGE)
    assert rests == [GIVE_WAY_S]


def test_stages_are_timed_for_merchandisers_and_metrics(shop: Shop) -> None:
    """The header goes to merchandisers and above; the histogram counts every page."""
    assert (
        "server-timing"
        not in shop.call("POST", "/v1/serve", scope="publishable", json=PAGE).headers
    )
    stages: list[str] = []
    for way in ("POST", "GET"):
        path = "/v1/serve" if way == "POST" else "/v1/placements/recs"
        body = {"json": PAGE} if way == "POST" else {}
        timing = shop.call(way, path, scope="merchandiser", **body).headers["server-timing"]
        stages = [part.partition(";dur=")[0] for part in timing.split(", ")]
        assert stages == ["decode", "gather", "decide", "encode"]
    metrics = shop.call("GET", "/metrics").text
    for stage in stages:
        assert f'endcap_serve_stage_seconds_count{{stage="{stage}"}} 3.0' in metrics
    assert 'endcap_placements_served_total{degraded="",tier="personal"}' in metrics


def test_slow_store_lets_the_next_tier_answer_in_time(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that takes a second costs a page its newest events, and not a second."""
    released = asyncio.Event()

    async def stuck(self: object, *keys: object) -> Any:
        await released.wait()

    monkeypatch.setattr(type(shop.services.intake.recents), "read", stuck)
    # The event loop has noticed that reads are slow, and leaves them to the thread.
    monkeypatch.setattr(QuickReads, "are_allowed", lambda _: False)
    monkeypatch.setattr(KeyFilter, "lacks", lambda *_: False)
    began_s = perf_counter()
    body = {**PAGE, "user": {"anonymous_id": "a"}, "options": {"deadline_ms": 40}}
    answer = shop.call("POST", "/v1/serve", scope="publishable", json=body)
    assert perf_counter() - began_s < 1
    slate = answer.json()["placements"][1]
    assert answer.status_code == 200
    assert (slate["tier"], slate["degraded"], len(slate["items"])) == ("popular", "deadline", 3)
    assert answer.json()["took_ms"] < 1000


def test_pages_of_every_way_count_for_guardrails(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three pages, by three ways, and one that fails; no refusal and no change of a placement."""
    pages = shop.services.metrics.pages
    pages.take(0)
    shop.call("POST", "/v1/serve", scope="publishable", json=PAGE)
    shop.call("POST", "/v1/serve", scope=None, json=PAGE)
    shop.call("GET", "/v1/placements/recs")
    shop.call("GET", "/v1/placements/recs/config")
    _long_way(monkeypatch)
    shop.call("POST", "/v1/serve", json=PAGE)
    monkeypatch.setattr(type(shop.services.engine), "serve", None)
    assert shop.call("POST", "/v1/serve", json=PAGE).status_code == 500
    counts = pages.take(1)
    assert (counts.n, counts.n_errors) == (4, 1)
