"""The preview of a change over HTTP, and the confirmation that an audience may want."""

from service.stores.event_log import EVENTS_FILE
from service.stores.events import Batch
from service.stores.sqlite_events import SqliteEventStore
from tests.unit.service.intake.samples import slate
from tests.unit.service.routes.samples import NOW_MS, Shop
from tests.unit.service.routes.test_bad_input import is_problem

HERE = {"op": "in", "attribute": "country", "values": ["AE"]}


def show(shop: Shop, n_here: int, n_elsewhere: int) -> None:
    """Store one exposure each of visitors of two countries."""
    store = SqliteEventStore(shop.services.settings.home / EVENTS_FILE, opened_ms=1)
    countries = ["AE"] * n_here + ["SA"] * n_elsewhere
    store.commit(
        Batch(
            exposures=[
                slate(f"e{n}", at_ms=NOW_MS, unit_key=f"u{n}", user_key=f"u{n}", country=country)
                for n, country in enumerate(countries)
            ]
        )
    )
    store.close(2)


def test_preview_counts_and_changes_nothing(shop: Shop) -> None:
    """From 10 % to everyone: the numbers by country, the word it wants, and no new revision."""
    show(shop, 150, 50)
    before = shop.call("PUT", "/v1/rollouts/r", json={"share": 0.1}).json()
    preview = shop.call("POST", "/v1/rollouts/r/preview-change", json={"share": 1}).json()
    reach = preview["reach"]
    assert reach["all"]["units"] == reach["all"]["treated_after"] == 200
    assert reach["all"]["gain"] == 200 - reach["all"]["treated_before"]
    assert [(one["value"], one["units"]) for one in reach["by_country"]] == [
        ("AE", 150),
        ("SA", 50),
    ]
    assert preview["wants_confirm"] is True
    sample = {"days": 30, "exposures": 200, "exposures_since": 200, "is_whole": True}
    assert preview["sample"] == sample
    assert shop.call("GET", "/v1/rollouts/r").json() == before
    assert shop.call("PATCH", "/v1/rollouts/r", json={"name": "still works"}).status_code == 200


def test_preview_refuses_what_the_change_would(shop: Shop) -> None:
    """A broken rule is 400 with its place, an unknown rollout 404."""
    shop.call("PUT", "/v1/rollouts/r", json={"share": 0.1})
    problem = is_problem(shop.call("POST", "/v1/rollouts/r/preview-change", json={"share": 2}), 400)
    assert problem["errors"][0]["path"] == "$.share"
    is_problem(shop.call("POST", "/v1/rollouts/none/preview-change", json={"share": 1}), 404)


def test_audience_that_opens_to_many_more_wants_a_word(shop: Shop) -> None:
    """From 120 units of one country to all 720 is six times: refused with both, then said."""
    show(shop, 120, 600)
    shop.call("PUT", "/v1/rollouts/r", json={"share": 1, "audience": HERE})
    problem = is_problem(shop.call("PATCH", "/v1/rollouts/r", json={"audience": None}), 409)
    assert problem["code"] == "confirmation_needed"
    assert "720" in problem["detail"]
    assert "120" in problem["detail"]
    said = shop.call("PATCH", "/v1/rollouts/r", json={"audience": None, "confirm": True})
    assert said.status_code == 200


def test_replacing_and_undoing_want_the_word_too(shop: Shop) -> None:
    """The same six times by PUT and by undo; what narrows, or changes no audience, needs none."""
    show(shop, 120, 600)
    wide = shop.call("PUT", "/v1/rollouts/r", json={"share": 1}).json()["revision"]
    narrow = {"share": 1, "audience": HERE}
    assert shop.call("PUT", "/v1/rollouts/r", json=narrow).status_code == 200
    undo = {"revision": wide}
    for refused in (
        shop.call("PUT", "/v1/rollouts/r", json={"share": 1}),
        shop.call("POST", "/v1/rollouts/r/undo", json=undo),
    ):
        assert is_problem(refused, 409)["code"] == "confirmation_needed"
    assert shop.call("PUT", "/v1/rollouts/r", json={**narrow, "name": "n"}).status_code == 200
    said = shop.call("POST", "/v1/rollouts/r/undo", json={**undo, "confirm": True})
    assert said.json()["audience"] is None
    assert shop.call("PUT", "/v1/rollouts/r", json=narrow).status_code == 200
    assert shop.call("PUT", "/v1/rollouts/r?confirm=true", json={"share": 1}).status_code == 200
