"""The console's shoppers, catalogue, models and insights: what they show, change and refuse."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.manifest import Gate, Interval
from models.pseudonym import Pseudonymiser
from service.control.keys import digest_of
from service.privacy.erase import search
from service.routes.console.models import REPORT_FILE
from service.stores.days import DaySums, read_days
from tests.snapshots import tiny_snapshot
from tests.unit.models.small_snapshot import make_snapshot
from tests.unit.service.routes.samples import NOW_MS, Shop, csv_lines, open_client
from tests.unit.service.routes.test_console import form_token, sign_in
from tests.unit.service.routes.test_privacy import WHO, event, known
from tests.unit.service.routes.test_privacy import send as send_events

__all__ = ["known"]

SECTIONS = {
    "/console/shoppers": {"support", "admin"},
    "/console/catalogue": {"merchandiser", "admin"},
    "/console/insights": {"merchandiser", "admin"},
    "/console/models": {"trainer", "admin"},
}


def send(shop: Shop, path: str, **fields: str) -> httpx.Response:
    """Send a form of the console."""
    form = {"form_token": form_token(shop), **fields}
    return shop.client.post(path, data=form, follow_redirects=False)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop in which nothing has happened and no model is live."""
    with open_client(tmp_path_factory.mktemp("empty")) as client:
        yield Shop(client)


@pytest.mark.parametrize("scope", ["merchandiser", "trainer", "support", "admin"])
def test_only_who_may_sees_a_section(empty: Shop, scope: str) -> None:
    """What a role may not do is not in the navigation, and is refused."""
    sign_in(empty, scope)
    home = empty.client.get("/console").text
    for path, scopes in SECTIONS.items():
        assert (f'href="{path}"' in home) == (scope in scopes), path
        assert empty.client.get(path).status_code == (200 if scope in scopes else 403), path


def test_empty_pages_say_what_to_do(empty: Shop) -> None:
    """Without a model, events or a version every page has a next step."""
    sign_in(empty)
    assert "endcap train" in empty.client.get("/console/catalogue").text
    assert "endcap train" in empty.client.get("/console/models").text
    assert "send what shoppers do" in empty.client.get("/console/insights").text
    longest = empty.client.get("/console/insights?days=365").text
    assert "Look at a longer period" not in longest
    assert "Look at 365 days" not in longest


def look_up(shop: Shop, who: str = WHO, kind: str = "user") -> str:
    """Type an id, and return the address that it leads to."""
    answer = send(shop, "/console/shoppers", id=who, kind=kind)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_typed_id_stands_in_no_address_and_no_page(known: Shop) -> None:
    """It leads to the pseudonym's page, which has everything but the id."""
    sign_in(known, "support")
    key = known.services.pseudonymiser.pseudonym("user_id", WHO)
    place = look_up(known)
    assert place == f"/console/shoppers/user/{key}"
    page = known.client.get(place)
    assert page.status_code == 200
    for word in ("The mug", "value:regular", "home", "Nearest categories", "5.00"):
        assert word in page.text, word
    assert WHO not in page.text
    assert "/erase" not in page.text  # support may look


def test_support_may_look_but_not_export_or_erase(known: Shop) -> None:
    """Both are refused, and nothing is gone."""
    sign_in(known, "support")
    place = look_up(known)
    assert known.client.get(f"{place}/export").status_code == 403
    assert known.client.get(f"{place}/erase").status_code == 403
    assert send(known, f"{place}/erase", id=WHO).status_code == 403
    assert "The mug" in known.client.get(place).text


def test_export_is_a_file(known: Shop) -> None:
    """Its name and its content hold the pseudonym, not the id."""
    sign_in(known)
    answer = known.client.get(f"{look_up(known)}/export")
    assert answer.headers["content-disposition"].startswith('attachment; filename="shopper-')
    assert len(answer.json()["rows"]["events"]) == 3
    assert WHO not in answer.text


def test_erasing_wants_the_same_id_again(known: Shop) -> None:
    """Another id erases nobody; the right one leaves no trace in any file, and gives a receipt."""
    sign_in(known)
    place = look_up(known)
    home = known.services.settings.home
    key = known.services.pseudonymiser.pseudonym("user_id", WHO)
    refused = send(known, f"{place}/erase", id="another-person")
    assert (refused.status_code, "nothing was erased" in refused.text) == (400, True)
    assert search(home, [key])
    receipt = send(known, f"{place}/erase", id=WHO)
    assert (receipt.status_code, "Nothing is left" in receipt.text) == (200, True)
    assert search(home, [key, WHO]) == []
    assert "Nothing is kept of this customer" in known.client.get(place).text


def test_id_that_cannot_be_one_is_asked_again(empty: Shop) -> None:
    """The form comes back with what is wrong, and without what was typed."""
    sign_in(empty)
    answer = send(empty, "/console/shoppers", id="x" * 300, kind="user")
    assert (answer.status_code, "xxx" in answer.text) == (400, False)
    assert 'aria-invalid="true"' in answer.text


@pytest.mark.parametrize(
    "path", [f"/console/shoppers/user/{WHO}", f"/console/shoppers/pet/{'a' * 32}"]
)
def test_address_that_is_no_pseudonym_is_refused(empty: Shop, path: str) -> None:
    """An id that someone put into an address is not looked up."""
    sign_in(empty)
    assert empty.client.get(path).status_code in (400, 404)


@pytest.fixture
def trained(shop: Shop) -> Shop:
    """A shop with the tiny model live, and an admin signed in."""
    version = shop.services.artifacts.publish(tiny_snapshot())
    shop.services.artifacts.promote(version)
    shop.services.live_model.refresh()
    sign_in(shop)
    return shop


def test_hidden_item_leaves_the_next_page(trained: Shop) -> None:
    """The form leads back to the list; the page that is served next is without it."""
    trained.call("PUT", "/v1/placements/home", json={"kind": "items", "recipe": "trending"})
    asked = {"placements": [{"id": "home"}]}

    def served() -> list[str]:
        answer = trained.call("POST", "/v1/serve", scope="publishable", json=asked).json()
        return [item["id"] for item in answer["placements"][0]["items"]]

    assert "lamp" in served()
    back = "/console/catalogue?status=all&number=1"
    answer = send(
        trained, "/console/catalogue/status", item_id="lamp", change="hide", back=back, title="Lamp"
    )
    assert (answer.status_code, answer.headers["location"]) == (303, back)
    assert "lamp" not in served()
    listed = trained.client.get("/console/catalogue?status=hidden").text
    assert "The lamp" in listed
    assert "Lamp is hidden" in listed
    send(trained, "/console/catalogue/status", item_id="lamp", change="show", back=back)
    assert "lamp" in served()


def test_status_form_leads_nowhere_else(trained: Shop) -> None:
    """Not to another site; and a change that no button makes is none."""
    form = {"item_id": "lamp", "change": "hide"}
    answer = send(trained, "/console/catalogue/status", back="https://evil.example", **form)
    assert answer.headers["location"] == "/console"
    assert send(trained, "/console/catalogue/status", item_id="a", change="x").status_code == 404


def test_catalogue_lists_searches_and_downloads(trained: Shop) -> None:
    """A search keeps its words; the file has what was searched for; an item has its page."""
    page = trained.client.get("/console/catalogue?search=K%C3%96PEK").text
    assert "The köpek" in page
    assert "cannot be matched" in page
    file = trained.client.get("/console/catalogue/items.csv?status=cold")
    assert "attachment" in file.headers["content-disposition"]
    assert [line.split(",")[0] for line in csv_lines(file)] == ["Item", "newmug"]
    umlauts = csv_lines(trained.client.get("/console/catalogue/items.csv?search=k%C3%B6pek"))
    assert umlauts[1].startswith("köpek,The köpek,")
    item = trained.client.get("/console/catalogue/item?id=newmug").text
    assert "The cup" in item
    assert trained.client.get("/console/preview?as_why=newmug").status_code == 200
    assert trained.client.get("/console/catalogue/item?id=unknown").status_code == 404
    departments = trained.client.get("/console/catalogue/departments.csv").text
    assert "Garden,3,0,0.0" in departments
    assert trained.client.get("/console/catalogue/unknown.csv").status_code == 404


def test_page_beyond_the_last_is_the_last(trained: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever shows the last hidden item of a page sees the others, and not that there are none."""
    monkeypatch.setattr("service.routes.console.catalogue.PAGE_SIZE", 2)
    for item_id in ("lamp", "mug"):
        send(trained, "/console/catalogue/status", item_id=item_id, change="hide")
    page = trained.client.get("/console/catalogue?status=hidden&number=2").text
    assert "No item is like that" not in page
    assert "2 items; 1 to 2" in page


def test_version_is_promoted_and_rolled_back(trained: Shop) -> None:
    """The page asks first; the trail says who did it."""
    artifacts = trained.services.artifacts
    first = artifacts.live_version()
    second = artifacts.publish(make_snapshot())
    asked = trained.client.get(f"/console/models/{second}/promote").text
    assert "Make it live" in asked
    assert artifacts.live_version() == first
    assert send(trained, f"/console/models/{second}/promote").status_code == 303
    assert artifacts.live_version() == second
    assert f"Model {second} is live" in trained.client.get("/console/models").text
    send(trained, "/console/models/rollback")
    assert artifacts.live_version() == first
    with trained.services.control_store.transaction() as transaction:
        moved = [row.entry for row in transaction.audit.all_rows() if row.entry.kind == "model"]
    principal = trained.services.current.find_principal(digest_of(trained.keys["admin"]))
    assert principal is not None
    assert [entry.actor for entry in moved] == [principal.key_id] * 2


def test_version_of_odd_letters_is_refused_as_any_other(trained: Shop) -> None:
    """A header holds no such letters as they are, so they are quoted in it."""
    answer = send(trained, "/console/models/%E2%82%AC%0A/promote")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/console/models/%E2%82%AC%0A",
    )


def test_refused_version_wants_the_box(trained: Shop) -> None:
    """Without it nothing changes and the page says why; with it the manifest says so."""
    artifacts = trained.services.artifacts
    first = artifacts.live_version()
    worse = artifacts.publish(make_snapshot(gate=Gate(verdict="refused", reason="it is worse")))
    assert "it is worse" in trained.client.get(f"/console/models/{worse}/promote").text
    send(trained, f"/console/models/{worse}/promote")
    assert artifacts.live_version() == first
    assert "Nothing was changed" in trained.client.get(f"/console/models/{worse}").text
    send(trained, f"/console/models/{worse}/promote", force="1")
    assert artifacts.live_version() == worse
    assert artifacts.manifest(worse).gate.verdict == "forced"


def test_training_report_may_only_draw_itself(trained: Shop) -> None:
    """It is shown with a policy of its own; where there is none, the page says what to do."""
    artifacts = trained.services.artifacts
    version = artifacts.live_version()
    assert version is not None
    missing = trained.client.get(f"/console/models/{version}/report")
    assert (missing.status_code, "endcap train" in missing.text) == (404, True)
    (artifacts.folder(version) / REPORT_FILE).write_text("<h1>Report</h1>")
    shown = trained.client.get(f"/console/models/{version}/report")
    assert shown.text == "<h1>Report</h1>"
    policy = shown.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert "Training report" in trained.client.get(f"/console/models/{version}").text


def test_metrics_are_a_file(trained: Shop) -> None:
    """Of one version, and of all of them."""
    version = trained.services.artifacts.publish(make_snapshot())
    file = trained.client.get(f"/console/models/{version}/metrics.csv")
    assert csv_lines(file) == ["Recommender,ndcg@20", "hybrid,0.5"]
    history = csv_lines(trained.client.get("/console/models/history.csv"))
    assert history[0] == "Version,Made at,Verdict,Interactions,ndcg@20"
    assert len(history) == 3


def test_metrics_stand_with_their_intervals(trained: Shop) -> None:
    """Where the version was measured with them."""
    around = {"hybrid": {"ndcg@20": Interval(value=0.5, low=0.41234, high=0.6)}}
    version = trained.services.artifacts.publish(make_snapshot(seed=2, intervals=around))
    assert "0.5 (0.4123 to 0.6)" in trained.client.get(f"/console/models/{version}").text


def test_insights_are_drawn_and_downloaded(known: Shop) -> None:
    """One order of 5 today, and a slate that two people were served."""
    sign_in(known, "merchandiser")
    page = known.client.get("/console/insights?days=7").text
    for words in ("Average order value", "5.00", "From served to bought", "endcap.js", "so far"):
        assert words in page, words
    days = csv_lines(known.client.get("/console/insights/days.csv?days=7"))
    assert len(days) == 8
    assert days[-1].startswith("2026-01-15,2,0,")
    funnel = csv_lines(known.client.get("/console/insights/funnel.csv?days=7"))
    assert funnel[1] == "Served,2,1.0,"


def test_insights_compare_whole_days(known: Shop) -> None:
    """An order of 5 was on 15 January, of 20 on the 21st, 10 on the 28th and 100 on the 29th.

    On the 29th the first of twice seven days is the 15th, of which some may not be on record: no
    change is told. On the 30th it is, of 23 to 29 January on 16 to 22 January; what is sold and
    refunded on the 30th itself is part of no change.
    """
    day_ms = 86_400_000
    for name, n_days, price in (("e5", 6, 20.0), ("e6", 13, 10.0), ("e7", 14, 100.0)):
        known.advance(NOW_MS + n_days * day_ms - known.services.now_ms())
        send_events(known, event(name, "one", None, event="purchase", price=price))
    sign_in(known, "merchandiser")
    young = known.client.get("/console/insights?days=7").text
    assert "nothing to compare with yet" in young
    assert "the first order is too young for that until 30 January 2026" in young
    known.advance(day_ms)
    send_events(known, event("e8", "two", None, event="purchase", price=900.0))
    send_events(known, event("e9", "one", None, event="refund", price=2.0))
    sign_in(known, "merchandiser")
    page = known.client.get("/console/insights?days=7").text
    assert re.findall(r'<dd class="stat-note">([^<]*)</dd>', page)[:4] == [
        "+175 % on the 7 days before",  # 110 / 2 beside 20 / 1
        "±0 % on the 7 days before",
        "+100 % on the 7 days before",
        "2.00 refunded; +450 % on the 7 days before",
    ]
    assert "23 January to 29 January 2026 with 16 January to 22 January 2026" in page
    found = known.call("GET", "/v1/insights?days=7", scope="merchandiser").json()
    assert (found["orders"]["value"], found["compared"]["sold"]["value"]) == (1010.0, 110.0)
    assert "<dt>Value</dt><dd>1,010</dd>" in page
    assert (found["compared"]["is_fair"], found["compared"]["last_day"]) == (True, "2026-01-29")


def test_insights_say_what_they_leave_out(known: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a log is being added up; the few that came in since the last reading are no news."""
    sign_in(known, "merchandiser")
    for n, days, is_told in ((999, 7, False), (12_345, 28, True)):

        def read(*period: Any, n: int = n) -> DaySums:
            return read_days(*period)._replace(n_waiting=n)

        monkeypatch.setattr("service.insights.reader.read_days", read)
        page = known.client.get(f"/console/insights?days={days}").text
        assert (f"{n:,} stored rows are not counted yet" in page) is is_told


def test_unknown_period_is_the_usual_one(empty: Shop) -> None:
    """A number that the page does not offer shows 28 days."""
    sign_in(empty)
    page = empty.client.get("/console/insights?days=5").text
    assert re.search(r'days=28" aria-current="true"', page)


def test_pages_hold_no_raw_id(known: Shop, tmp_path: Path) -> None:
    """A pseudonym is what every part of the view knows a person by."""
    assert isinstance(known.services.pseudonymiser, Pseudonymiser)
    sign_in(known)
    for place in (look_up(known), look_up(known, "her-own-phone", "device")):
        text = known.client.get(place).text
        assert WHO not in text
        assert "her-own-phone" not in text
