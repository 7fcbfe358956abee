"""The control plane over HTTP: documents with ETags, keys with scopes, models, metrics, schema."""

import json
from dataclasses import replace
from urllib.parse import quote

import msgspec
import pytest

from models.manifest import Gate
from service.control.documents import Placement
from service.stores.control_rows import StoredDocument
from tests.snapshots import tiny_snapshot
from tests.unit.service.routes.samples import Shop
from tests.unit.service.routes.test_bad_input import is_problem


def test_placement_lives_its_life(shop: Shop) -> None:
    """Created 201, read with its ETag, listed, changed, deleted 204, gone 404."""
    created = shop.call("PUT", "/v1/placements/home", json={"kind": "items"})
    assert (created.status_code, created.json()["id"]) == (201, "home")
    read = shop.call("GET", "/v1/placements/home/config")
    assert (read.json(), read.headers["etag"]) == (created.json(), created.headers["etag"])
    assert shop.call("GET", "/v1/placements").json() == {"placements": [created.json()]}
    changed = shop.call(
        "PATCH",
        "/v1/placements/home",
        json={"count": 4},
        headers={"If-Match": read.headers["etag"]},
    )
    assert changed.json()["count"] == 4
    assert changed.headers["etag"] != read.headers["etag"]
    assert shop.call("DELETE", "/v1/placements/home").status_code == 204
    is_problem(shop.call("GET", "/v1/placements/home/config"), 404)


def test_stale_change_is_answered_with_the_current_state(shop: Shop) -> None:
    """Two editors, one ETag: the second gets 412 and the state the first one made."""
    etag = shop.call("PUT", "/v1/rollouts/r", json={"share": 0.1}).headers["etag"]
    first, second = (
        shop.call("PATCH", "/v1/rollouts/r", json={"share": share}, headers={"If-Match": etag})
        for share in (0.2, 0.3)
    )
    assert first.status_code == 200
    assert is_problem(second, 412)["current"]["share"] == 0.2


def test_rollout_share_moves_the_epoch(shop: Shop) -> None:
    """`{"share": 0.25}` is a whole change, and opens epoch 2."""
    shop.call("PUT", "/v1/rollouts/home_recs", json={"share": 0.1})
    moved = shop.call("PATCH", "/v1/rollouts/home_recs", json={"share": 0.25}).json()
    assert (moved["share"], moved["epoch"]) == (0.25, 2)


@pytest.mark.parametrize("item_id", ["p1", "AB/12", "ä b", "..%2f", "%2Fx"])
def test_item_id_may_hold_anything(shop: Shop, item_id: str) -> None:
    """An id with slashes, spaces or percent signs is one id when it is percent-encoded."""
    path = f"/v1/items/{quote(item_id, safe='')}"
    assert shop.call("PATCH", path, json={"hidden": True}).json()["item_id"] == item_id
    assert shop.services.current.get().hidden_items == {item_id}
    shop.call("PATCH", path, json={"hidden": False})
    assert shop.services.current.get().hidden_items == frozenset()


def test_request_without_key_is_refused(shop: Shop) -> None:
    """Without a key, or with an unknown one, 401 says how to send and make one."""
    answer = shop.call("GET", "/v1/placements", scope=None)
    assert "Authorization: Bearer KEY" in is_problem(answer, 401)["detail"]
    assert answer.headers["www-authenticate"] == "Bearer"
    unknown = shop.call("GET", "/v1/placements", scope=None, headers={"X-API-Key": b"guess-\xe9"})
    assert "guess" not in is_problem(unknown, 401)["detail"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/placements", {"merchandiser", "admin"}),
        ("/v1/models", {"trainer", "admin"}),
        ("/metrics", {"trainer", "admin"}),
        ("/v1/keys", {"admin"}),
        ("/schema", {"publishable", "merchandiser", "trainer", "support", "admin"}),
    ],
)
def test_scope_opens_its_routes_only(shop: Shop, path: str, allowed: set[str]) -> None:
    """A key without the scope gets 403, which says how to make one with it."""
    for scope in shop.keys:
        answer = shop.call("GET", path, scope=scope)
        if scope in allowed:
            assert answer.status_code == 200, answer.text
        else:
            assert "endcap keys create --scope" in is_problem(answer, 403)["detail"]


def test_key_is_made_used_and_revoked(shop: Shop) -> None:
    """A key made over HTTP works in the next request, and not after it is revoked."""
    made = shop.call("POST", "/v1/keys", json={"scope": "merchandiser", "name": "Ann"}).json()
    as_ann = {"X-API-Key": made["key"]}
    assert shop.call("GET", "/v1/banners", scope=None, headers=as_ann).status_code == 200
    listed = shop.call("GET", "/v1/keys")
    assert made["info"] in listed.json()["keys"]
    assert made["key"] not in listed.text
    shop.call("DELETE", f"/v1/keys/{made['info']['id']}")
    is_problem(shop.call("GET", "/v1/banners", scope=None, headers=as_ann), 401)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_needs_no_key(shop: Shop, path: str) -> None:
    """A load balancer asks without a key."""
    assert shop.call("GET", path, scope=None).json() == {"status": "ok"}


def test_metrics_count_requests_by_route(shop: Shop) -> None:
    """Requests are timed under the route's template, never under an id, unknown paths as one."""
    shop.call("PATCH", "/v1/items/secret-item", json={"hidden": True})
    shop.call("GET", "/secret-path")
    text = shop.call("GET", "/metrics").text
    assert 'route="/v1/items/{item_id}"' in text
    assert 'route="unmatched",status="404"' in text
    assert "secret" not in text
    assert "endcap_configuration_revision 7.0" in text  # six keys and one item


def test_openapi_describes_everything(shop: Shop) -> None:
    """Each route has a unique id, a summary, a description and described problems; refs resolve."""
    document = shop.call("GET", "/schema").json()
    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    operations = [
        (f"{method} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    ids = [operation["operationId"] for _, operation in operations]
    assert len(set(ids)) == len(ids)
    for name, operation in operations:
        assert operation["summary"], name
        assert "Needs" in operation["description"], name
        assert operation["tags"], name
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                (content,) = response["content"].items()
                is_ofrep = "/ofrep/" in name and status not in ("401", "403")
                expected = (
                    ("application/json", "#/components/schemas/Failure")
                    if is_ofrep
                    else ("application/problem+json", "#/components/schemas/Problem")
                )
                assert (content[0], content[1]["schema"]["$ref"]) == expected, name
    for path in ("/v1/placements/{placement_id}", "/v1/holdout"):
        assert {"200", "201"} <= set(document["paths"][path]["put"]["responses"])
    for name, schema in schemas.items():
        assert schema.get("description"), f"{name} has no docstring"
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.split('"')[0] in schemas
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}


def test_rollout_is_killed_and_resumed(shop: Shop) -> None:
    """One call without a body kills, whatever is put meanwhile; resume restores, both audited."""
    shop.call("PUT", "/v1/rollouts/r", json={"share": 0.5})
    killed = shop.call("POST", "/v1/rollouts/r/kill", scope="merchandiser")
    assert (killed.status_code, killed.json()["killed"], killed.json()["epoch"]) == (200, True, 2)
    assert shop.call("POST", "/v1/rollouts/r/kill").headers["etag"] == killed.headers["etag"]
    assert shop.call("PUT", "/v1/rollouts/r", json={"share": 0.9}).json()["killed"] is True
    resumed = shop.call("POST", "/v1/rollouts/r/resume").json()
    assert (resumed["killed"], resumed["share"]) == (False, 0.9)
    is_problem(shop.call("POST", "/v1/rollouts/r/kill", scope="publishable"), 403)
    is_problem(shop.call("POST", "/v1/rollouts/nope/kill"), 404)


def test_layer_shows_its_slots_and_refuses_the_taken(shop: Shop) -> None:
    """A layer is set, divided, shown; a slot that is taken is 409 with its owner's name."""
    assert shop.call("PUT", "/v1/layers/home", json={"n_slots": 10}).status_code == 201
    share = {"share": 1, "layer": {"key": "home", "slots": [[0, 4]]}}
    assert shop.call("PUT", "/v1/rollouts/first", json=share).status_code == 201
    problem = is_problem(shop.call("PUT", "/v1/rollouts/second", json=share), 409)
    assert (problem["code"], "'first'" in problem["detail"]) == ("slot_taken", True)
    assert shop.call("GET", "/v1/layers/home/slots").json() == {
        "n_slots": 10,
        "slots": [{"first": 0, "last": 4, "rollout": "first", "rests_until": None}],
    }
    is_problem(shop.call("DELETE", "/v1/layers/home"), 409)
    assert len(shop.call("GET", "/v1/layers").json()["layers"]) == 1


def test_holdout_lives_its_life(shop: Shop) -> None:
    """There is none until one is set; then it is read, widened and ended."""
    is_problem(shop.call("GET", "/v1/holdout"), 404)
    assert shop.call("PUT", "/v1/holdout", json={"share": 0.05}).status_code == 201
    assert shop.call("PUT", "/v1/holdout", json={"share": 0.1}).json()["share"] == 0.1
    assert shop.call("DELETE", "/v1/holdout").status_code == 204


def test_refused_model_goes_live_only_by_force(shop: Shop) -> None:
    """409 names the reason; with force the version is live and its manifest says so."""
    tiny = tiny_snapshot()
    refused = Gate(verdict="refused", reason="worse than popularity")
    manifest = msgspec.structs.replace(tiny.manifest, gate=refused)
    version = shop.services.artifacts.publish(replace(tiny, manifest=manifest))
    path = f"/v1/models/{version}/promote"
    answer = shop.call("POST", path, scope="trainer")
    assert (answer.status_code, answer.json()["code"]) == (409, "gate_refused")
    assert "worse than popularity" in answer.json()["detail"]
    answer = shop.call("POST", path, scope="trainer", params={"force": "true"})
    assert answer.json() == {"live": version}
    told = shop.call("GET", f"/v1/models/{version}", scope="trainer").json()
    assert told["gate"]["verdict"] == "forced"


PAGED = {
    "placements": {"kind": "items"},
    "banners": {"title": "t", "image_url": "/i.png", "link_url": "/"},
    "rules": {"action": "hide", "select": {"item_ids": ["p1"]}},
    "rollouts": {"share": 0.1},
    "layers": {},
}


@pytest.mark.parametrize("section", PAGED)
def test_new_document_needs_an_id_that_has_a_page(shop: Shop, section: str) -> None:
    """Neither a step up a path, nor an address of the console, nor nothing that can be seen."""
    blank = ("%20", "%C2%A0%09")
    for encoded in ("%2e", "%2e%2e", "new", "preview", "save", *blank, "a%2Fb", "%5C", "a%0Ab"):
        refused = shop.call("PUT", f"/v1/{section}/{encoded}", json=PAGED[section])
        assert is_problem(refused, 400)["code"] == "id_invalid"
        assert "choose" in refused.json()["detail"]
    assert shop.call("GET", f"/v1/{section}").json()[section] == []
    assert shop.call("PUT", f"/v1/{section}/news", json=PAGED[section]).status_code == 201


@pytest.mark.parametrize("document_id", ["..", "new", " ", "a/b", "/a//b/", "50%2F1/2"])
def test_document_that_has_no_page_can_be_read_changed_and_deleted(
    shop: Shop, document_id: str
) -> None:
    """One of an older version, whose ids nobody checked."""
    body = msgspec.json.encode(Placement(id=document_id, kind="items")).decode()
    with shop.services.control_store.transaction() as transaction:
        transaction.write_document(StoredDocument("placement", document_id, body, 1), 0)
    path = f"/v1/placements/{quote(document_id, safe='').replace('.', '%2e')}"
    assert shop.call("GET", f"{path}/config").json()["id"] == document_id
    assert shop.call("PUT", path, json={"kind": "items", "count": 3}).status_code == 200
    assert shop.call("PATCH", path, json={"count": 4}).json()["count"] == 4
    assert shop.call("DELETE", path).status_code == 204
    is_problem(shop.call("GET", f"{path}/config"), 404)


def test_rollout_of_an_older_version_with_a_slash_can_be_killed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read, killed, told as a flag and in its history by the id that was sent."""
    monkeypatch.setattr("service.control.writing.check_new_id", lambda *_: None)
    path = "/v1/rollouts/shop%2fhome"
    shop.call("PUT", path, json={"share": 0.5})
    assert shop.call("POST", f"{path}/kill").json()["killed"] is True
    assert len(shop.call("GET", f"{path}/history").json()["changes"]) == 2
    user = {"context": {"targetingKey": "u"}}
    told = shop.call("POST", "/ofrep/v1/evaluate/flags/shop%2Fhome", json=user).json()
    assert (told["key"], told["reason"]) == ("shop/home", "DISABLED")
    missing = is_problem(shop.call("GET", "/v1/rollouts/shop%2Fshelf"), 404)
    assert missing["instance"] == "/v1/rollouts/shop/shelf"
    assert is_problem(shop.call("GET", f"{path}/nothing"), 404)["instance"].endswith("/nothing")
    assert shop.call("GET", "/v1/rollouts/shop%2F%c3").status_code in (400, 404)


@pytest.mark.parametrize(
    "path", ["/endcap.js", "/endcap.d.ts", "/metrics", "/console/assets/console.css"]
)
def test_charset_is_said_once(shop: Shop, path: str) -> None:
    """Strict caches refuse a content type that says it twice."""
    assert shop.call("GET", path).headers["content-type"].count("charset") == 1
