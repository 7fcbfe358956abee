"""The plan over HTTP and on the command line: one answer, from the home's own traffic."""

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from models.errors import InputError, NotFoundError
from service.cli.events import report
from service.cli.plan import plan
from service.cli.server import keys
from service.reports.plan_limits import write_days
from tests.unit.service.routes.samples import Shop
from tests.unit.service.routes.test_bad_input import is_problem
from tests.unit.service.routes.test_privacy import event, send, wait_for_exposures

PATH = "/v1/rollouts/home/plan"
N_UNITS = 6


@pytest.fixture
def visited(shop: Shop) -> Shop:
    """Six people came to a placement, and two of them bought."""
    shop.call("PUT", "/v1/placements/home", json={"kind": "items", "static_ids": ["mug"]})
    shop.call("PUT", "/v1/rollouts/home", json={"share": 0})
    for name in range(N_UNITS):
        page = {"user": {"user_id": f"u{name}"}, "placements": [{"id": "home"}]}
        assert shop.call("POST", "/v1/serve", scope="publishable", json=page).status_code == 200
    wait_for_exposures(shop.services.settings.home, N_UNITS)
    shop.advance(1_000)
    for name in range(2):
        send(shop, event(f"e{name}", f"u{name}", None, event="purchase", price=9.0))
    return shop


def test_plan_is_made_of_what_the_rollout_saw(visited: Shop) -> None:
    """Two of six in control buy; after two days of age that is three a day."""
    visited.advance(2 * 86_400_000 - 1_000)
    found = visited.call("GET", PATH, scope="merchandiser").json()
    assert (found["rollout"], found["share"], found["baseline"]) == (
        "home",
        0.5,
        pytest.approx(1 / 3),
    )
    assert (found["baseline_from"], found["units_from"]) == ("rollout", "rollout")
    assert found["units_per_day"] == pytest.approx(3)
    assert all(
        line["days"] == pytest.approx(line["units"] / 3, 0.01) for line in found["lines"][:4]
    )


def test_new_rollout_is_planned_from_the_whole_home(visited: Shop) -> None:
    """Six people on one day, two of whom bought; the notes say whose they are."""
    visited.call("PUT", "/v1/rollouts/next", json={"share": 0.1})
    found = visited.call("GET", "/v1/rollouts/next/plan").json()
    assert (found["units_per_day"], found["baseline"]) == (6, pytest.approx(1 / 3))
    assert (found["baseline_from"], found["units_from"], found["share"]) == ("home", "home", 0.1)
    assert len(found["notes"]) == 2


def test_question_is_taken_from_the_query(visited: Shop) -> None:
    """Metric, lift, power, share, baseline and units a day."""
    query = "metric=add_to_cart&lift=0.07&power=0.9&share=0.3&baseline=0.04&units_per_day=500"
    found = visited.call("GET", f"{PATH}?{query}").json()
    assert (found["metric"], found["power"], found["share"]) == ("add_to_cart", 0.9, 0.3)
    assert 0.07 in [line["lift"] for line in found["lines"]]
    assert (found["baseline_from"], found["units_from"]) == ("given", "given")


def test_plan_that_cannot_be_made_is_a_problem(visited: Shop) -> None:
    """An unknown rollout, another metric, a share that leaves nobody, a key of a web page."""
    is_problem(visited.call("GET", "/v1/rollouts/none/plan"), 404)
    is_problem(visited.call("GET", f"{PATH}?metric=joy"), 400)
    assert "one arm empty" in is_problem(visited.call("GET", f"{PATH}?share=1"), 400)["detail"]
    is_problem(visited.call("GET", PATH, scope="publishable"), 403)


@pytest.mark.parametrize("name", ["lift", "power", "share", "baseline", "units_per_day"])
def test_plan_is_made_of_finite_numbers(visited: Shop, name: str) -> None:
    """Neither API, console nor command line plans with what no step of a plan can count with."""
    home = str(visited.services.settings.home)
    for value in ("NaN", "inf", "-inf", "1e-200", "1e200"):
        for metric in ("conversion", "revenue_per_unit"):
            query = f"metric={metric}&{name}={value}"
            told = is_problem(visited.call("GET", f"{PATH}?{query}"), 400)
            assert told["detail"].startswith(name)
        option = f"--{name.replace('_', '-')}"
        refused = CliRunner().invoke(plan, ["home", "--home", home, option, value])
        assert isinstance(refused.exception, InputError)


def test_plan_of_more_than_ten_years_says_so(visited: Shop) -> None:
    """A lift of a millionth takes ages; the API tells the number, people get words."""
    home = str(visited.services.settings.home)
    [line] = [
        line
        for line in visited.call("GET", f"{PATH}?lift=0.000001&units_per_day=6").json()["lines"]
        if line["lift"] == 0.000001
    ]
    assert line["days"] > 3650
    asked = ["home", "--home", home, "--lift", "0.000001", "--units-per-day", "6"]
    assert "more than 10 years" in CliRunner().invoke(plan, asked).output
    shown = [write_days(days) for days in (None, 0.25, 99.94, 3650, 3651)]
    assert shown == ["", "0.2", "99.9", "3,650", "more than 10 years"]


def test_command_line_says_what_the_api_says(visited: Shop) -> None:
    """The same object; a table without `--json`; an unknown rollout is named."""
    home = str(visited.services.settings.home)
    asked = ["home", "--home", home, "--lift", "0.07", "--units-per-day", "500"]
    done = CliRunner().invoke(plan, [*asked, "--json"])
    api = visited.call("GET", f"{PATH}?lift=0.07&units_per_day=500").json()
    assert json.loads(done.output) == api
    table = CliRunner().invoke(plan, asked).output
    assert "500 as given" in table
    assert "+7%" in table
    unknown = CliRunner().invoke(plan, ["none", "--home", home])
    assert isinstance(unknown.exception, NotFoundError)


def test_command_lines_show_brackets_of_names(visited: Shop) -> None:
    """They are no markup nor orders of the terminal; a page that cannot be written is told."""
    home = str(visited.services.settings.home)
    visited.call("PUT", "/v1/rollouts/[red]", json={"share": 0.5})
    assert "[red]: conversion" in CliRunner().invoke(plan, ["[red]", "--home", home]).output
    visited.call("POST", "/v1/keys", json={"scope": "merchandiser", "name": "[/b]"})
    assert "[/b]" in CliRunner().invoke(keys, ["list", "--home", home]).output
    visited.call("POST", "/v1/keys", json={"scope": "merchandiser", "name": "red\x1b[31m\x07"})
    listed = CliRunner().invoke(keys, ["list", "--home", home]).output
    assert r"red\x1b[31m\x07" in listed
    for key in visited.call("GET", "/v1/keys").json()["keys"]:
        assert key["id"] in listed
    refused = CliRunner().invoke(report, ["home", "--home", home, "--html", f"{home}/no/x.html"])
    assert (refused.exit_code, "value for --html" in refused.output) == (2, True)


def test_report_of_the_command_line_says_only_what_it_could_not_wait_for(
    visited: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that came after it was asked are the next report's; older ones are told."""
    home = str(visited.services.settings.home)
    now_ms = visited.services.now_ms()
    clock = SimpleNamespace(time_ns=lambda: now_ms * 1_000_000)
    monkeypatch.setattr("service.stores.settled_events.time", clock)
    send(visited, event("late", "u1", None, event="click", exposure_id="never"))
    for is_whole in (True, False):
        monkeypatch.setattr("service.stores.caught_up.catch_up", lambda _, told=is_whole: told)
        output = CliRunner().invoke(report, ["home", "--home", home]).output
        assert ("not counted yet" in output) is not is_whole
