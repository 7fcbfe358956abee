"""The back office: reads the server's counters and sets the shop up."""

import asyncio

import httpx
import msgspec
import pytest

from service.control.documents import Banner, Placement
from service.rollouts.definition import Rollout
from training.simulation.office import Ledger, Office, parse_ledger, shows_model
from training.simulation.processes import DemoError
from training.simulation.shelves import documents, plan_banners
from training.simulation.world import World

METRICS = """\
# HELP endcap_exposures_stored_total Exposures on disk.
# TYPE endcap_exposures_stored_total counter
endcap_exposures_stored_total 11.0
endcap_exposures_served_total 12.0
endcap_exposures_dropped_total 1.0
endcap_events_total{verdict="accepted"} 1.2e+02
endcap_events_total{verdict="duplicate"} 3.0
endcap_placements_served_total{degraded="",tier="personal"} 7.0
endcap_model_info{version="abc"} 1.0
endcap_model_info{version="old"} 0.0
"""


def test_ledger_is_read_from_the_metrics() -> None:
    """Each counter is found by name and label; what never counted is 0."""
    assert parse_ledger(METRICS) == Ledger(
        exposures_assigned=12,
        exposures_stored=11,
        exposures_dropped=1,
        events_accepted=120,
        events_duplicate=3,
        events_rejected=0,
    )


def test_model_that_answers_is_read_from_the_metrics() -> None:
    """The version with a 1 answers; one with a 0, or one never seen, does not."""
    assert shows_model(METRICS, "abc")
    assert not shows_model(METRICS, "old")
    assert not shows_model(METRICS, "new")


def test_office_says_why_a_document_was_refused() -> None:
    """A refusal names the path, the status and the service's own words."""
    transport = httpx.MockTransport(lambda _: httpx.Response(400, text="count is 0"))
    office = Office(httpx.AsyncClient(transport=transport, base_url="http://shop.test"))
    with pytest.raises(DemoError, match="PUT /v1/x was answered 400: count is 0"):
        asyncio.run(office.put("/v1/x", {}))


def test_shelves_are_documents_that_the_service_takes(small_world: World) -> None:
    """Every banner, placement and rollout is valid, and banners advertise leaves that exist."""
    types = {"banners": Banner, "placements": Placement, "rollouts": Rollout}
    banners = plan_banners(small_world.shop)
    items = small_world.shop.item_ids[:24]
    for path, document in documents(banners, items, share=0.5):
        msgspec.convert(document, types[path.split("/")[2]])
    for banner in banners:
        assert set(banner.document["categories"]) <= set(small_world.shop.leaves)
    assert len({banner.id for banner in banners}) == len(banners) >= 2
