"""The audit trail, histories and undo over HTTP, and `endcap audit verify`."""

import sqlite3
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from service.cli.audit import audit
from service.control.stale import stale_rollouts
from service.rollouts.definition import Rollout
from tests.unit.service.routes.samples import NOW_MS, Shop
from tests.unit.service.routes.test_bad_input import is_problem

DOCUMENTS = {
    "rollouts": ({"share": 0.1}, {"share": 0.2}),
    "placements": ({"kind": "items"}, {"count": 3}),
    "banners": ({"title": "A", "image_url": "i", "link_url": "l"}, {"title": "B"}),
    "rules": ({"action": "hide", "select": {"item_ids": ["a"]}}, {"priority": 3}),
}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_document_goes_back_to_a_revision_of_its_history(shop: Shop, path: str) -> None:
    """The history lists both states; undo writes the first again and answers with its ETag."""
    document, patch = DOCUMENTS[path]
    first = shop.call("PUT", f"/v1/{path}/x", json=document).json()
    shop.call("PATCH", f"/v1/{path}/x", json=patch)
    history = shop.call("GET", f"/v1/{path}/x/history", scope="merchandiser").json()["changes"]
    assert [one["before"] is None for one in history] == [False, True]
    undone = shop.call("POST", f"/v1/{path}/x/undo", json={"revision": first["revision"]})
    assert undone.status_code == 200
    assert undone.headers["etag"] == f'"{undone.json()["revision"]}"'
    ignored = {"revision": 0, "epoch": 0}
    assert {**undone.json(), **ignored} == {**first, **ignored}
    is_problem(shop.call("POST", f"/v1/{path}/none/undo", json={"revision": 1}), 409)
    is_problem(shop.call("POST", f"/v1/{path}/x/undo", json={"revision": 0}), 400)


def test_audit_is_paged_and_filtered(shop: Shop) -> None:
    """Newest first, by document or kind; who may not change documents may not read it."""
    shop.call("PUT", "/v1/rollouts/r", json={"share": 0.1})
    shop.call("PUT", "/v1/placements/r", json={"kind": "items"})
    page = shop.call("GET", "/v1/audit?limit=1").json()
    assert [one["kind"] for one in page["changes"]] == ["placement"]
    page = shop.call("GET", f"/v1/audit?limit=1&before={page['next_before']}").json()
    assert [one["kind"] for one in page["changes"]] == ["rollout"]
    only = shop.call("GET", "/v1/audit?kind=rollout&id=r").json()
    assert [one["id"] for one in only["changes"]] == ["r"]
    assert only["next_before"] is None
    is_problem(shop.call("GET", "/v1/audit", scope="publishable"), 403)
    is_problem(shop.call("GET", "/v1/audit?limit=0"), 400)


def test_jump_and_new_phase_are_answered_409_until_said(shop: Shop) -> None:
    """The word is a field of a patch and a parameter of a put, and is not stored."""
    shop.call("PUT", "/v1/rollouts/r", json={"share": 0.1})
    jump = is_problem(shop.call("PATCH", "/v1/rollouts/r", json={"share": 1}), 409)
    assert (jump["code"], "10 times the 10 %" in jump["detail"]) == ("confirmation_needed", True)
    said = shop.call("PATCH", "/v1/rollouts/r", json={"share": 0.9, "confirm": True})
    assert (said.status_code, "confirm" in said.json()) == (200, False)
    again = {"share": 0.9, "salt": "two"}
    phase = is_problem(shop.call("PUT", "/v1/rollouts/r", json=again), 409)
    assert phase["code"] == "new_phase_needed"
    assert shop.call("PUT", "/v1/rollouts/r?new_phase=true", json=again).json()["phase"] == 2
    is_problem(shop.call("PATCH", "/v1/rollouts/r", json={"confirm": "yes"}), 400)


def test_verify_names_the_first_broken_row(shop: Shop) -> None:
    """The command exits 0 with the newest hash, and 1 with the row once one was altered."""
    shop.call("PUT", "/v1/rollouts/r", json={"share": 0.1})
    home = shop.services.settings.home
    whole = verify(home)
    newest = shop.call("GET", "/v1/audit?limit=1").json()["changes"][0]
    assert whole == (0, {**whole[1], "is_whole": True, "hash": newest["hash"]})
    with sqlite3.connect(home / "control.sqlite") as connection:
        connection.execute("DROP TRIGGER audit_no_update")
        connection.execute("UPDATE audit SET actor = 'x' WHERE revision = 2")
    code, found = verify(home)
    assert (code, found["broken"]["revision"]) == (1, 2)


def verify(home: Path) -> tuple[int, dict]:
    """Run `endcap audit verify --json`."""
    ran = CliRunner().invoke(audit, ["verify", "--home", str(home), "--json"])
    return ran.exit_code, msgspec.json.decode(ran.stdout)


def test_stale_rollouts_are_listed(shop: Shop) -> None:
    """At 0 or 100 %, switched off or killed, for 30 days; a younger or a split one is not."""
    day_ms = 86_400_000
    states = {
        "everyone": {"share": 1.0},
        "nobody": {"share": 0.0},
        "off": {"share": 0.5, "enabled": False},
        "split": {"share": 0.5},
    }
    for key, document in states.items():
        shop.call("PUT", f"/v1/rollouts/{key}", json=document)
    found = [
        one for one in shop.call("GET", "/v1/rollouts").json()["rollouts"] if one["key"] in states
    ]
    assert len(found) == 4
    assert shop.call("GET", "/v1/rollouts?stale=true").json() == {"rollouts": []}
    rollouts = [msgspec.convert(one, Rollout) for one in found]
    store = shop.services.control_store
    later = stale_rollouts(store, rollouts, NOW_MS + 30 * day_ms)
    assert [one.key for one in later] == ["everyone", "nobody", "off"]
    assert stale_rollouts(store, rollouts, NOW_MS + 30 * day_ms - 1) == []


def test_proposal_is_answered_202_and_decided_by_another_key(shop: Shop) -> None:
    """The change waits; its own key gets 409, another one 200, and it is listed as approved."""
    shop.call("PUT", "/v1/rollouts/r", json={"share": 0.1, "approval": True})
    asked = shop.call("PATCH", "/v1/rollouts/r", json={"share": 0.2}, scope="merchandiser")
    assert (asked.status_code, asked.json()["state"]) == (202, "open")
    assert shop.call("GET", "/v1/rollouts/r").json()["share"] == 0.1
    preview = shop.call("POST", "/v1/rollouts/r/preview-change", json={"share": 0.2})
    assert preview.status_code == 200
    path = f"/v1/rollouts/r/proposals/{asked.json()['id']}"
    is_problem(shop.call("POST", f"{path}/approve", scope="merchandiser"), 409)
    assert shop.call("POST", f"{path}/approve").json()["state"] == "approved"
    assert shop.call("GET", "/v1/rollouts/r").json()["share"] == 0.2
    listed = shop.call("GET", "/v1/rollouts/r/proposals").json()["proposals"]
    assert [one["state"] for one in listed] == ["approved"]
    is_problem(shop.call("POST", f"{path}/reject"), 409)
    is_problem(shop.call("POST", "/v1/rollouts/r/proposals/none/approve"), 404)


@pytest.mark.parametrize("kind", ["rollouts", "placements", "banners", "rules"])
def test_history_of_what_never_was_is_a_problem(shop: Shop, kind: str) -> None:
    """A slip of the pen is told, with what there is; so are proposals of no rollout."""
    told = is_problem(shop.call("GET", f"/v1/{kind}/NOPE/history"), 404)["detail"]
    assert told.startswith(f"{kind[:-1]} 'NOPE' is not configured")
    is_problem(shop.call("GET", f"/v1/{kind}/NOPE/history?before=5"), 404)
    is_problem(shop.call("GET", "/v1/rollouts/NOPE/proposals"), 404)


def test_deleted_rollout_has_its_history_and_proposals(shop: Shop) -> None:
    """And there are fewer pages than asked for, without that being a problem."""
    shop.call("PUT", "/v1/rollouts/gone", json={"share": 0.1})
    shop.call("DELETE", "/v1/rollouts/gone")
    found = shop.call("GET", "/v1/rollouts/gone/history").json()["changes"]
    assert len(found) == 2
    first = found[-1]["revision"]
    older = shop.call("GET", f"/v1/rollouts/gone/history?before={first}")
    assert (older.status_code, older.json()["changes"]) == (200, [])
    assert shop.call("GET", "/v1/rollouts/gone/proposals").json() == {"proposals": []}
