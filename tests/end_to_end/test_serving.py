"""Pages of the tiny shop from a real server with two worker processes."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from models.artifact import ArtifactStore
from models.pseudonym import load_pseudonymiser
from tests.end_to_end.event_load import column
from tests.end_to_end.running_server import (
    SETTLED_S,
    RunningServer,
    assert_live_everywhere,
    run_server,
    wait_until,
)
from tests.snapshots import tiny_snapshot

ALICE = {"user_id": "alice"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Return a server with the tiny shop live and two placements."""
    home = tmp_path_factory.mktemp("home")
    alice = load_pseudonymiser(home).pseudonym("user_id", "alice")
    store = ArtifactStore(home)
    store.promote(store.publish(tiny_snapshot("", alice)))
    with run_server(home, "--workers", "2") as server:
        server.put("/v1/placements/recs", {"kind": "items", "count": 3})
        server.put("/v1/placements/hero", {"kind": "banners"})
        banner = {"title": "Garden", "image_url": "/i", "link_url": "/l", "categories": ["Garden"]}
        server.put("/v1/banners/garden", banner)
        server.put("/v1/banners/kitchen", {**banner, "categories": ["Home > Kitchen"]})
        assert_live_everywhere(lambda: _is_configured(server))
        yield server


def _is_configured(server: RunningServer) -> bool:
    body = {"placements": [{"id": "hero", "count": 2}, {"id": "recs"}]}
    response = server.call("POST", "/v1/serve", body)
    return response.status_code == 200 and len(response.json()["placements"][0]["banners"]) == 2


def _ids(slate: dict[str, Any]) -> list[str]:
    return [item["id"] for item in slate["items"]]


def test_known_shopper_gets_a_personal_page(server: RunningServer) -> None:
    """The banner of the kitchen and items not bought, each with what spoke for it."""
    hero, recs = server.serve("hero", "recs", user=ALICE)
    assert [banner["id"] for banner in hero["banners"]] == ["kitchen"]
    assert _ids(recs) == ["pot", "mug", "cup"]
    assert [item["because"] for item in recs["items"]] == ["pan", "pan", "mug"]
    assert (recs["tier"], recs["degraded"], recs["rollout"]) == ("personal", None, None)
    assert recs["items"][0]["attributes"]["title"] == "The pot"


def test_two_views_make_an_unknown_shopper_known_to_every_worker(server: RunningServer) -> None:
    """The country's list before; personal within a second after."""
    shopper = {"anonymous_id": f"device-{uuid4()}"}
    [before] = server.serve("recs", user=shopper, context={"country": "GB"})
    assert (before["tier"], _ids(before)) == ("segment", ["spade", "rose", "mug"])
    views = [
        {"event": "view", "event_id": str(uuid4()), "item_id": item_id, **shopper}
        for item_id in ("rose", "lamp")
    ]
    assert server.call("POST", "/v1/events", views).status_code in (200, 202)
    # the worker may differ from the one that took the events
    assert_live_everywhere(lambda: server.serve("recs", user=shopper)[0]["tier"] == "personal")
    [after] = server.serve("recs", user=shopper)
    assert _ids(after)[:2] == ["spade", "bulb"]


@pytest.mark.parametrize("status", [{"hidden": True}, {"available": False}])
def test_item_taken_away_is_gone_everywhere(server: RunningServer, status: dict[str, bool]) -> None:
    """A hide and an out-of-stock hold in every worker within a second, and back."""
    changed = server.call("PATCH", "/v1/items/pot", status, scope="admin")
    assert changed.status_code in (200, 201), changed.text
    assert_live_everywhere(lambda: "pot" not in _ids(server.serve("recs", user=ALICE)[0]))
    back: dict[str, object] = {"hidden": False, "available": None}
    server.call("PATCH", "/v1/items/pot", back, scope="admin")
    assert_live_everywhere(lambda: "pot" in _ids(server.serve("recs", user=ALICE)[0]))


def test_rule_holds_everywhere(server: RunningServer) -> None:
    """A rule that hides holds in every worker within a second; so does the end of it."""
    server.put("/v1/rules/no-pot", {"action": "hide", "select": {"attributes": ["pot"]}})
    assert_live_everywhere(lambda: "pot" not in _ids(server.serve("recs", user=ALICE)[0]))
    server.call("DELETE", "/v1/rules/no-pot", scope="admin")
    assert_live_everywhere(lambda: "pot" in _ids(server.serve("recs", user=ALICE)[0]))


def test_share_of_a_rollout_moves_nobody_twice(server: RunningServer) -> None:
    """Share 0 is control for all, 1 personal for all; at 0.3 each keeps its arm on every worker."""
    server.put("/v1/placements/split", {"kind": "items", "count": 2, "static_ids": ["pot", "cup"]})
    server.put("/v1/rollouts/split", {"share": 0.0})
    assert_live_everywhere(
        lambda: _slate_of(server, "alice").get("rollout") == _arm("control", epoch=1)
    )
    control = _slate_of(server, "alice")
    assert (control["tier"], _ids(control)) == ("static", ["pot", "cup"])

    _move(server, 1.0)
    assert_live_everywhere(lambda: _slate_of(server, "alice")["rollout"] == _arm("personal", 2))
    assert _slate_of(server, "alice")["tier"] == "personal"

    _move(server, 0.3)
    assert_live_everywhere(lambda: _slate_of(server, "alice")["rollout"]["epoch"] == 3)
    units = [f"u{number}" for number in range(40)]
    arms = {unit: _slate_of(server, unit)["rollout"]["variant"] for unit in units}
    assert set(arms.values()) == {"control", "personal"}
    assert arms == {unit: _slate_of(server, unit)["rollout"]["variant"] for unit in units}


def test_visitor_who_signs_in_keeps_the_arm(server: RunningServer) -> None:
    """First seen without a user id, then with one: the same arm on every worker and device."""
    server.put("/v1/placements/stitch", {"kind": "items", "count": 2, "static_ids": ["pot"]})
    server.put("/v1/rollouts/stitch", {"share": 0.5})

    def arm_of(**user: str) -> str:
        variant: str = server.serve("stitch", user=user)[0]["rollout"]["variant"]
        return variant

    page = {"placements": [{"id": "stitch"}]}
    assert_live_everywhere(lambda: '"NO_UNIT"' in server.call("POST", "/v1/serve", page).text)
    before = {n: arm_of(anonymous_id=f"device-{n}") for n in range(16)}
    assert set(before.values()) == {"control", "personal"}
    written = "SELECT count(anonymous_key) FROM exposures WHERE placement_id = 'stitch'"
    wait_until(lambda: column(server.home, written) == [16], SETTLED_S)  # some ms after the answers
    both = {n: arm_of(anonymous_id=f"device-{n}", user_id=f"member-{n}") for n in range(16)}
    assert both == before
    assert_live_everywhere(
        lambda: {n: arm_of(user_id=f"member-{n}") for n in range(16)} == before, n_calls=3
    )


def test_cap_of_a_banner_holds_across_workers(server: RunningServer) -> None:
    """A banner that may be seen three times is seen three times, whichever worker answers."""
    fields = {"image_url": "/i", "link_url": "/l", "weight": 0.001}
    server.put("/v1/banners/rare", {"title": "R", **fields, "cap": {"max_views": 3, "hours": 1}})
    capped = {"kind": "banners", "recipe": "static", "static_ids": ["rare", "garden"]}
    server.put("/v1/placements/capped", capped)

    def shown(user_id: str) -> str:
        banner_id: str = server.serve("capped", user={"user_id": user_id})[0]["banners"][0]["id"]
        return banner_id

    page: dict[str, object] = {
        "placements": [{"id": "capped"}]
    }  # nobody known, so nobody is counted
    assert_live_everywhere(
        lambda: '"rare"' in server.call("POST", "/v1/serve", page).text, n_calls=5
    )
    assert [shown("capped-shopper") for _ in range(3)] == ["rare"] * 3
    looked_at = {**page, "user": {"user_id": "capped-shopper"}, "options": {"preview": {}}}

    def previewed() -> str:
        return server.call("POST", "/v1/serve", looked_at, scope="admin").text

    assert_live_everywhere(lambda: '"garden"' in previewed())
    assert [shown("capped-shopper") for _ in range(5)] == ["garden"] * 5
    assert shown("somebody-else") == "rare"


def _slate_of(server: RunningServer, user_id: str) -> dict[str, Any]:
    body = {"placements": [{"id": "split"}], "user": {"user_id": user_id}}
    response = server.call("POST", "/v1/serve", body)
    return response.json()["placements"][0] if response.status_code == 200 else {}


def _arm(variant: str, epoch: int) -> dict[str, object]:
    detail = "NOT_ENROLLED" if variant == "control" else None
    return {
        "key": "split",
        "variant": variant,
        "reason": "SPLIT",
        "epoch": epoch,
        "detail": detail,
    }


def _move(server: RunningServer, share: float) -> None:
    response = server.call("PATCH", "/v1/rollouts/split", {"share": share}, scope="admin")
    assert response.status_code == 200, response.text


def test_one_placement_is_filled_with_get(server: RunningServer) -> None:
    """The same page with one slate, from a query."""
    path = "/v1/placements/recs?user_id=alice&count=2&exclude_item_ids=pot&item_ids=lamp"
    response = server.call("GET", path)
    assert response.status_code == 200, response.text
    [slate] = response.json()["placements"]
    assert _ids(slate) == ["mug", "cup"]


def test_explain_needs_a_merchandiser(server: RunningServer) -> None:
    """The parts of a score are for those who may see them."""
    body = {"placements": [{"id": "recs"}], "user": ALICE, "options": {"explain": True}}
    refused = server.call("POST", "/v1/serve", body)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    explained = server.call("POST", "/v1/serve", body, scope="admin").json()
    assert set(explained["placements"][0]["items"][0]["parts"]) == {
        "graph",
        "factors",
        "popularity",
    }


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"placements": [{"id": "hme"}, {"id": "res"}]}, 404, "'hme' at $.placements[0].id"),
        ({"placements": [{"id": "recs", "count": 0}]}, 400, "$.placements[0].count"),
        ({"placements": [{"id": "recs", "count": 10_000}]}, 400, "$.placements[0].count"),
        ({"placements": [{"id": "x" * 257}]}, 400, "$.placements[0].id"),
        ({"placements": [{"id": "recs"}], "user": {"user_id": "a\0b"}}, 400, "NUL"),
        ({"placements": [{"id": "recs"}], "user": {"user_id": 7}}, 400, "$.user.user_id"),
        ({"placements": [{"id": "recs"}], "options": {"preview": {"at": 1}}}, 400, "preview.at"),
        ({"placements": "recs"}, 400, "$.placements"),
        ([], 400, "object"),
    ],
)
def test_bad_request_is_a_problem(
    server: RunningServer, body: object, status: int, said: str
) -> None:
    """A 4xx that names the place, never a 500."""
    response = server.call("POST", "/v1/serve", body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    assert said in response.json()["detail"]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/placements/hme", 404, "hme"),
        ("/v1/placements/recs?count=0", 400, "query.count"),
        ("/v1/placements/recs?usr_id=7", 400, "query.usr_id: it is no parameter; known: anonymous"),
        ("/v1/placements/recs?count=x", 400, "count"),
        ("/v1/placements/recs?user_id=a%00b", 400, "user_id"),
        ("/v1/placements/recs?user_id=", 400, "query.user_id"),
    ],
)
def test_bad_query_is_a_problem(server: RunningServer, path: str, status: int, said: str) -> None:
    """The same rules hold for GET, and the parameter is named."""
    response = server.call("GET", path)
    assert response.status_code == status, response.text
    assert said in response.json()["detail"]
