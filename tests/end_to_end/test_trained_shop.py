"""Pages from a model that was really trained, on the simulated shop, without a server."""

from pathlib import Path
from subprocess import run

import msgspec
import numpy as np
import pytest

from models.artifact import ArtifactStore
from models.snapshot import Snapshot
from service.control.documents import Banner
from service.serve.request import Context
from service.serve.stock import Stock, attribute_label
from tests.end_to_end.running_server import ENDCAP
from tests.unit.service.serve.pages import (
    banners_of,
    decide,
    items_of,
    items_placement,
    make_shelf,
    make_visit,
)
from training.simulation.files import WorldFiles

pytestmark = pytest.mark.untimed


@pytest.fixture(scope="module")
def trained(small_world_files: WorldFiles, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Train on the small world and open what went live."""
    home: Path = tmp_path_factory.mktemp("home")
    files = [
        f"--{kind}={path}"
        for kind, path in (
            ("interactions", small_world_files.interactions),
            ("catalog", small_world_files.catalog),
        )
    ]
    program = [*ENDCAP, "train"]
    done = run(
        [*program, *files, "--home", str(home), "--force", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    store = ArtifactStore(home)
    version = store.live_version()
    assert version is not None
    return store.open(version)


def test_new_items_reach_lists_through_their_neighbours(trained: Snapshot) -> None:
    """Each item without an interaction is spoken for by the history of some shopper."""
    new_ids = {trained.items.ids.id(int(row)) for row in Stock(trained).cold_rows}
    assert new_ids
    shelf = make_shelf(items_placement(count=60), snapshot=trained)
    reached: dict[str, str] = {}
    for user_key in list(trained.users.ids)[:100]:
        [page] = decide(shelf, make_visit(shelf, user_key=user_key), "recs")
        assert page.slate.tier == "personal"
        reached.update((one.id, one.because) for one in page.exposure.shown if one.because)
    assert new_ids <= set(reached)


def test_new_item_stands_beside_what_it_is_like(trained: Snapshot) -> None:
    """The page of a neighbour by content shows the new item."""
    shelf = make_shelf(items_placement(count=5, recipe="similar_items"), snapshot=trained)
    row = int(Stock(trained).cold_rows[0])
    neighbour = int(trained.similar[row][0][0])
    context = Context(item_ids=(trained.items.ids.id(neighbour),))
    [page] = decide(shelf, make_visit(shelf, context=context), "recs")
    assert trained.items.ids.id(row) in items_of(page)


def test_nobody_is_shown_what_they_bought(trained: Snapshot) -> None:
    """Over all shoppers, on lists as long as the shop allows."""
    shelf = make_shelf(items_placement(count=60), snapshot=trained)
    for row, user_key in enumerate(list(trained.users.ids)[:50]):
        bought = {trained.items.ids.id(int(item)) for item in trained.users.purchased[row]}
        [page] = decide(shelf, make_visit(shelf, user_key=user_key), "recs")
        assert not bought & set(items_of(page))


def test_banner_advertises_an_attribute_of_the_catalogue(trained: Snapshot) -> None:
    """A shopper whose history is full of an attribute gets the banner that names it."""
    stock = Stock(trained)
    row = int(trained.users.history[0][-1])
    card = msgspec.json.decode(trained.items.cards[row])
    assert card["attributes"]
    attribute = card["attributes"][0]
    assert attribute_label(attribute) in stock.card_labels(row)
    other = Banner(id="other", title="t", image_url="/i", link_url="/l", weight=2.0)
    named = msgspec.structs.replace(other, id="named", weight=1.0, attributes=(attribute,))
    placement = msgspec.structs.replace(items_placement(), kind="banners", count=1)
    shelf = make_shelf(placement, named, other, snapshot=trained)
    user_key = trained.users.ids.id(0)
    [page] = decide(shelf, make_visit(shelf, user_key=user_key), "recs")
    assert banners_of(page) == ["named"]


def test_served_scores_are_those_of_the_formula(trained: Snapshot) -> None:
    """What a page shows with `explain` adds up to the score on a real model, factors included."""
    shelf = make_shelf(items_placement(count=20), snapshot=trained)
    visit = make_visit(shelf, user_key=trained.users.ids.id(0), explain=True)
    [page] = decide(shelf, visit, "recs")
    answer = msgspec.json.decode(msgspec.json.encode(page.slate))
    explained = [item for item in answer["items"] if item["parts"]]
    assert explained
    sums = [sum(item["parts"].values()) for item in explained]
    assert np.allclose(sums, [item["score"] for item in explained], atol=1e-4)
    assert any(item["parts"]["factors"] for item in explained)
