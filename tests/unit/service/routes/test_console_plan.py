"""The planner of a rollout in the console: what was seen, what was typed, and what it refuses."""

import re
from urllib.parse import urlencode

import pytest

from service.reports.comparison import MetricName
from service.reports.statistics import Estimate
from service.reports.traffic import Traffic
from service.routes.console import rollout_plan
from tests.unit.service.routes.console_shop import Visitor
from tests.unit.service.routes.samples import Shop

PAGE = "/console/rollouts/r"


@pytest.fixture
def ann(shop: Shop) -> Visitor:
    """Sign a merchandiser in, to a shop with a rollout at 10 %."""
    shop.call("PUT", "/v1/rollouts/r", json={"share": 0.1})
    return Visitor(shop)


def test_planner_says_what_it_takes(ann: Visitor) -> None:
    """From 10 % to 12 % at a half: 7,682 people, eight days of a thousand."""
    empty = ann.get(f"{PAGE}/plan")
    assert (empty.status_code, "has not seen enough" in empty.text) == (200, True)
    told = ann.get(f"{PAGE}/plan?metric=conversion&baseline=10&lift=20&share=50&per_day=1000").text
    assert re.search(r"\+20 %</th><td class=\"number\">7,6\d\d</td><td class=\"number\">7.7<", told)
    wrong = ann.get(f"{PAGE}/plan?baseline=x&share=50").text
    assert 'id="e-baseline"' in wrong


def test_planner_takes_the_baseline_of_the_metric(
    ann: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it filled in itself is as the rollout saw it; only what somebody typed is theirs."""
    seen: dict[MetricName, Estimate] = {
        "conversion": Estimate(0.21893, 0.0002, 1000),
        "add_to_cart": Estimate(0.35, 0.0002, 1000),
    }
    traffic = Traffic(0.5, seen, 240.0, "rollout", "rollout")
    monkeypatch.setattr(rollout_plan, "read_traffic", lambda *_, **__: traffic)
    filled = dict(re.findall(r'name="(\w+)"[^>]* value="([^"]*)"', ann.get(f"{PAGE}/plan").text))
    assert (filled["baseline"], filled["per_day"]) == ("21.893", "240")
    fields = {name: value for name, value in filled.items() if name != "form_token"}
    fields |= {"metric": "add_to_cart"}
    other = ann.get(f"{PAGE}/plan?{urlencode(fields)}").text
    assert (
        "In control 35 %, as this rollout saw it. 240 people a day, as this rollout saw it" in other
    )
    assert 'name="baseline" type="text" value="35"' in other
    theirs = ann.get(f"{PAGE}/plan?{urlencode(fields | {'baseline': '30'})}").text
    assert "In control 30 %, as you say. 240 people a day, as this rollout saw it" in theirs


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("baseline", "200", "200 % is not above 0 % and below 100 %"),
        ("share", "0", "0 % is not above 0 % and below 100 %"),
        ("power", "100", "100 % is not above 50 % and below 100 %"),
        ("per_day", "0", "0 is not above 0"),
        ("lift", "0", "not 0; 5 is five percent more"),
    ],
)
def test_planner_refuses_in_the_unit_of_the_field(
    ann: Visitor, field: str, typed: str, said: str
) -> None:
    """In percent where the field is, and beside it."""
    fields = {"share": "50", "power": "80", "baseline": "10"} | {field: typed}
    told = ann.get(f"{PAGE}/plan?{urlencode(fields)}").text
    found = re.search(rf'id="e-{field}">([^<]*)<', told)
    assert found is not None
    assert said in found[1]
