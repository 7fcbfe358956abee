"""What a person may ask: a notice, a copy of what is kept, and to be forgotten for good."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from service.control.trail import check_trail
from service.privacy.erase import search
from service.privacy.notice import notice
from service.reports.gather import report_rollout
from service.stores.archiving import archive_old_days
from service.stores.event_ledger import reconcile
from service.stores.event_log import EVENTS_FILE
from tests.snapshots import tiny_snapshot
from tests.unit.service.routes.samples import NOW_MS, Shop

WHO = "erika.mustermann@example.org"


def send(shop: Shop, *events: dict[str, Any]) -> None:
    answer = shop.call("POST", "/v1/events", scope="publishable", content=json.dumps(events))
    assert answer.json()["rejected"] == 0, answer.text


def event(event_id: str, user: str | None, visitor: str | None, **fields: Any) -> dict[str, Any]:
    return {
        "event": "view", "event_id": event_id, "item_id": "mug", "user_id": user,
        "anonymous_id": visitor,
    } | fields  # fmt: skip


@pytest.fixture
def known(shop: Shop) -> Shop:
    """A shop that served Erika, heard of her, and learnt from her; and the same of another."""
    home = shop.services.settings.home
    key = shop.services.pseudonymiser.pseudonym("user_id", WHO)
    version = shop.services.artifacts.publish(tiny_snapshot(user_key=key))
    shop.services.artifacts.promote(version)
    shop.services.live_model.refresh()
    shop.call("PUT", "/v1/placements/home", json={"kind": "items", "recipe": "for_you"})
    shop.call("PUT", "/v1/rollouts/home", json={"share": 0.5})
    for user in (WHO, "another-person"):
        page = {"user": {"user_id": user}, "placements": [{"id": "home"}]}
        answer = shop.call("POST", "/v1/serve", scope="publishable", json=page)
        assert answer.status_code == 200, answer.text
    send(
        shop,
        event("e1", WHO, "her-own-phone"),
        event("e2", WHO, "shared-tablet"),
        event("e3", "another-person", "shared-tablet"),
        event("e4", None, "her-own-phone", event="purchase", price=5.0),
    )
    wait_for_exposures(home, 2)
    report_rollout(home / EVENTS_FILE, shop.services.control_store, "home", at_ms=NOW_MS)
    return shop


def wait_for_exposures(home: Path, n: int) -> None:
    """Give the writer's thread time, which answers nobody."""
    for _ in range(500):
        if reconcile(home / EVENTS_FILE).exposure_rows == n:
            return
        asyncio.run(asyncio.sleep(0.01))
    raise AssertionError("the exposures were not written")


def test_erased_person_is_in_no_archived_day(known: Shop) -> None:
    """All rows lie in the archive: the copy has them, the receipt counts them, none is left."""
    home = known.services.settings.home
    archive_old_days(home / EVENTS_FILE, 10, now_ms=4_000_000_000_000)
    rows = known.call("GET", f"/v1/users/{WHO}").json()["rows"]
    assert (len(rows["events"]), len(rows["exposures"])) == (3, 1)
    receipt = known.call("DELETE", f"/v1/users/{WHO}").json()
    erased = [each for each in receipt["erased"] if each["place"].startswith("archive/")]
    assert sum(each["rows"] for each in erased) == 4
    assert receipt["is_verified"], receipt["found_in"]
    found = reconcile(home / EVENTS_FILE)
    assert (found.archived_events, found.archived_exposures, found.erased_events) == (1, 1, 3)
    assert found.is_balanced, found.differences
    again = known.call("DELETE", f"/v1/users/{WHO}").json()
    assert {"place": "archive", "rows": 0} in again["erased"]


def test_erased_person_is_nowhere(known: Shop) -> None:
    """Two pseudonyms, three events, an exposure and a model row go; a shared tablet's others stay.

    She is no forced unit and on no list any more, the trail is whole without her, and no cache of
    the worker knows her. The files are searched for her pseudonyms, as text, as bytes and as the
    numbers of lists, and for her address, before and after.
    """
    home = known.services.settings.home
    forced = {"forced": {WHO: "personal", "tester": "control"}}
    assert known.call("PATCH", "/v1/rollouts/home", json=forced).status_code == 200
    for members in (f"user_id\n{WHO}\nu1\n", f"user_id\n{WHO}\nu2\nu3\n"):
        answer = known.call("PUT", "/v1/segments/friends/members", content=members)
        assert answer.status_code == 200, answer.text
    key = known.services.pseudonymiser.pseudonym("user_id", WHO)
    phone = known.services.pseudonymiser.pseudonym("anonymous_id", "her-own-phone")
    in_files = search(home, [], [key])
    assert len([name for name in in_files if name.startswith("segments/")]) == 2
    assert {"events.sqlite", "control.sqlite"} <= {
        name.removesuffix("-wal") for name in search(home, [key])
    }
    answer = known.call("DELETE", f"/v1/users/{WHO}")
    assert answer.status_code == 200, answer.text
    receipt = answer.json()
    assert receipt["pseudonyms"] == [key, phone]
    assert any("'endcap train'" in each for each in receipt["left_to_you"])
    rows = {each["place"]: each["rows"] for each in receipt["erased"]}
    assert (rows["events.sqlite: events"], rows["events.sqlite: exposures"]) == (3, 1)
    # Her unit, her purchase, a visit by each of the two keys, the keys and an order.
    assert rows["rollup.sqlite"] == 7
    assert [n for place, n in rows.items() if place.startswith("model version")] == [1]
    assert receipt["is_verified"], receipt["found_in"]
    assert search(home, [key, phone, WHO], [key, phone]) == []
    assert (rows["forced units of rollouts"], rows["uploaded lists"]) == (1, 1)
    assert rows["audit trail and epochs"] > 0
    assert len(known.call("GET", "/v1/rollouts/home").json()["forced"]) == 1
    assert known.call("GET", "/v1/segments/friends").json()["n_members"] == 2
    assert check_trail(known.services.control_store).is_whole
    newest = known.call("GET", "/v1/audit").json()["changes"][0]
    assert (newest["kind"], "sealed again" in newest["note"]) == ("erasure", True)
    assert not known.services.intake.recents.cached(key, None)
    found = reconcile(home / EVENTS_FILE)
    assert (found.event_rows, found.erased_events, found.erased_exposures) == (1, 3, 1)
    assert found.is_balanced, found.differences
    snapshot = known.services.live_model.get()
    assert snapshot is not None
    assert key not in snapshot.users.ids
    again = known.call("DELETE", f"/v1/users/{WHO}").json()
    assert [each["rows"] for each in again["erased"]] == [0] * len(again["erased"])


def test_copy_holds_all_that_is_kept(known: Shop) -> None:
    """Her three events with the phone's, her exposure, what was learnt, where she is named."""
    known.call("PATCH", "/v1/rollouts/home", json={"forced": {WHO: "personal", "u1": "control"}})
    known.call("PUT", "/v1/segments/friends/members", content=f"user_id\n{WHO}\n")
    known.call("PUT", "/v1/segments/others/members", content="user_id\nu1\n")
    found = known.call("GET", f"/v1/users/{WHO}").json()
    assert [row["event_id"] for row in found["rows"]["events"]] == ["e1", "e2", "e4"]
    assert len(found["rows"]["exposures"]) == 1
    (entry,) = found["models"]
    assert [row["item_id"] for row in entry["history"]] == ["mug", "pan"]
    assert (entry["purchased"], entry["segments"]) == (["pan"], ["value:regular"])
    assert found["forced"] == [{"rollout": "home", "variant": "personal"}]
    assert found["lists"] == ["friends"]
    assert known.call("GET", "/v1/users/nobody").json()["rows"]["events"] == []


@pytest.mark.parametrize(
    "user", ["a/b", "/a//b/", "Zm9v/YmFy+w==", "50%2F1", "a b", "köpek", "\ufffd"]
)
def test_any_id_can_be_copied_and_erased(known: Shop, user: str) -> None:
    """Also one with slashes or percent signs: nobody takes 404 for 'nothing is kept'."""
    send(known, event("x1", user, None), event("x2", user.replace("/", "") + "_", None))
    path = f"/v1/users/{quote(user, safe='')}"
    rows = known.call("GET", path).json()["rows"]
    assert [row["event_id"] for row in rows["events"]] == ["x1"]
    receipt = known.call("DELETE", path).json()
    assert receipt["pseudonyms"] == [known.services.pseudonymiser.pseudonym("user_id", user)]
    assert receipt["is_verified"], receipt["found_in"]
    assert known.call("GET", path).json()["rows"]["events"] == []


def test_no_raw_id_is_in_any_file(known: Shop) -> None:
    """After serving, events and a report neither the ids nor a key stand in any file."""
    home = known.services.settings.home
    assert search(home, [WHO, "her-own-phone", "another-person", *known.keys.values()]) == []


def test_only_admins_copy_and_erase(known: Shop) -> None:
    """A merchandiser's key is refused; the notice is for everybody with a key."""
    for method in ("GET", "DELETE"):
        assert known.call(method, f"/v1/users/{WHO}", scope="merchandiser").status_code == 403
    said = known.call("GET", "/v1/privacy", scope="publishable").json()
    kept = {each["what"]: each["kept"] for each in said["captured"]}
    assert kept["interactions"] == "view, click, add to cart, purchase, refund until erased"
    assert set(kept) >= {"exposures", "running sums", "forced units and uploaded lists"}


def test_notice_says_how_long_under_the_settings() -> None:
    """Kinds with a limit say their days, the others that they stay."""
    kept = {each.what: each.kept for each in notice({"view": 1, "exposure": 400}).captured}
    assert kept["interactions"] == "view 1 day; click, add to cart, purchase, refund until erased"
    assert kept["exposures"].startswith("what was shown 400 days; that it was drawn until erased")
