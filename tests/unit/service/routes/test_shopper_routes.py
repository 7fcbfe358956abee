"""One customer on one screen: found by id or pseudonym, and by nobody who may not."""

import pytest

from service.stores.event_database import connect
from service.stores.event_ledger import reconcile
from service.stores.event_log import EVENTS_FILE
from tests.unit.service.routes.samples import Shop
from tests.unit.service.routes.test_privacy import WHO, event, known, send

__all__ = ["known"]


def look_up(shop: Shop, who: str = WHO, kind: str = "user_id") -> dict:
    answer = shop.call("POST", "/v1/shoppers/look-up", json={"id": who, "kind": kind})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_customer_is_found_with_everything(known: Shop) -> None:
    """Erika viewed a mug on two devices, bought one for 5 on her phone, and saw one slate.

    The shared tablet is not hers; the model knows a mug and a pan of her.
    """
    found = look_up(known)
    phone = known.services.pseudonymiser.pseudonym("anonymous_id", "her-own-phone")
    assert found["devices"] == [phone]
    assert found["totals"]["events"] == {"view": 2, "purchase": 1}
    (order,) = found["orders"]
    assert (order["value"], order["items"], order["lines"][0]["title"]) == (5.0, 1.0, "The mug")
    assert [one["key"] for one in found["segments"]] == ["value:regular"]
    assert found["categories"][0]["category"].startswith("Home > Kitchen")
    assert [(arm["key"], arm["reason"]) for arm in found["rollouts"]] == [("home", "SPLIT")]
    assert [seen["placement_id"] for seen in found["exposures"]] == ["home"]
    assert (found["model"]["is_known"], found["is_known"]) == (True, True)
    (slate,) = found["now"]
    assert slate["items"]
    assert "1 order worth 5.00 with 1 item." in found["story"]


def test_look_up_leaves_no_trace(known: Shop) -> None:
    """No exposure, no identity and no counter comes of it."""
    path = known.services.settings.home / EVENTS_FILE
    before = reconcile(path), _count(known, "identities")
    look_up(known)
    assert (reconcile(path), _count(known, "identities")) == before


def test_pseudonym_finds_the_same(known: Shop) -> None:
    """The address holds the pseudonym; what it answers is what the look-up answered."""
    found = look_up(known)
    again = known.call("GET", f"/v1/shoppers/{found['pseudonym']}").json()
    assert again == found


def test_device_is_looked_up_as_itself(known: Shop) -> None:
    """The tablet saw a mug twice, by two people, and bought nothing."""
    found = look_up(known, "shared-tablet", "anonymous_id")
    assert (found["totals"]["events"], found["orders"], found["devices"]) == ({"view": 2}, [], [])


def test_slate_that_was_clicked_says_so(known: Shop) -> None:
    """A click that names the exposure is told before any running sum has seen it."""
    (seen,) = look_up(known)["exposures"]
    path = known.services.settings.home / EVENTS_FILE
    connection = connect(path, read_only=True)
    key = known.services.pseudonymiser.pseudonym("user_id", WHO)
    (exposure,) = connection.execute(
        "SELECT exposure_id FROM exposures WHERE unit_key = ?", (key,)
    ).fetchone()
    connection.close()
    first = seen["shown"][0]
    send(known, event("e9", WHO, None, event="click", item_id=first, exposure_id=exposure))
    (seen,) = look_up(known)["exposures"]
    assert (seen["outcomes"], seen["taken"]) == (["click"], [first])


def test_stranger_is_told_as_one(known: Shop) -> None:
    """Nothing is kept of somebody never seen, and the page is what everybody gets."""
    found = look_up(known, "never-seen")
    assert (found["is_known"], found["events"], found["segments"]) == (False, [], [])
    assert found["now"][0]["tier"] != "personal"


@pytest.mark.parametrize("scope", ["publishable", "merchandiser", "trainer"])
def test_who_may_not_is_refused(shop: Shop, scope: str) -> None:
    """What one person did is not a merchandiser's business."""
    asked = shop.call("POST", "/v1/shoppers/look-up", scope=scope, json={"id": "u"})
    assert asked.status_code == 403
    assert shop.call("GET", f"/v1/shoppers/{'a' * 32}", scope=scope).status_code == 403


def test_support_may_look(shop: Shop) -> None:
    """Looking is for support; a copy and an erasure are not."""
    asked = shop.call("POST", "/v1/shoppers/look-up", scope="support", json={"id": "u"})
    assert asked.status_code == 200
    assert shop.call("DELETE", "/v1/users/u", scope="support").status_code == 403


def test_raw_id_in_the_address_is_refused_unread(shop: Shop) -> None:
    """The refusal does not repeat the id."""
    answer = shop.call("GET", f"/v1/shoppers/{WHO}")
    assert answer.status_code == 400
    assert "erika" not in answer.json()["detail"]


def _count(shop: Shop, table: str) -> int:
    connection = connect(shop.services.settings.home / EVENTS_FILE, read_only=True)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()
