"""A batch is the service's own answer for many users at one moment."""

import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from models.artifact import ArtifactStore
from models.errors import ConfigError, InputError, NotFoundError
from models.pseudonym import KEY_BYTES, KEY_FILE, load_pseudonymiser
from service.batch.lists import BatchOrder, BatchReport, recommend
from service.batch.users import read_shoppers
from service.cli.recommend import recommend as command
from service.stores.event_ledger import reconcile
from tests.snapshots import tiny_snapshot
from tests.unit.service.routes.samples import NOW_MS, Shop, open_client

USERS = ["ann", *(f"user {n}" for n in range(30))]
COMPARED = ("id", "position", "score", "source", "because", "propensity")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Open a shop with a model that knows Ann, a placement that explores, and a rollout."""
    # A fixed key, so that the same users are treated in every run.
    (tmp_path / KEY_FILE).write_text("6b" * KEY_BYTES)
    ann = load_pseudonymiser(tmp_path).pseudonym("user_id", "ann")
    store = ArtifactStore(tmp_path)
    store.promote(store.publish(tiny_snapshot(user_key=ann)))
    with open_client(tmp_path) as client:
        opened = Shop(client)
        placement = {"kind": "items", "count": 4, "explore_share": 0.3, "static_ids": ["pot"]}
        opened.call("PUT", "/v1/placements/mail", json={**placement, "max_per_brand": 2})
        opened.call("PUT", "/v1/rollouts/mail", json={"share": 0.5})
        opened.call("PATCH", "/v1/items/lamp", json={"hidden": True})
        pin = {"action": "pin", "position": 2, "select": {"item_ids": ["spade"]}}
        asks = {"op": "equals", "attribute": "country", "value": "GB"}
        opened.call("PUT", "/v1/rules/spade", json={**pin, "audience": asks})
        opened.call(
            "PUT",
            "/v1/rules/mugs",
            json={"action": "bury", "factor": 0.1, "select": {"brands": ["Acme"]}},
        )
        yield opened


@pytest.fixture
def order(shop: Shop, tmp_path: Path) -> BatchOrder:
    """Ask for the lists of all users at the moment at which the shop's clock stands."""
    users = tmp_path / "users.csv"
    pl.DataFrame({"user_id": USERS, "country": ["GB", ""] * 15 + ["GB"]}).write_csv(users)
    return BatchOrder(
        home=tmp_path,
        control=tmp_path / "control.sqlite",
        users=users,
        placement="mail",
        output=tmp_path / "lists.parquet",
        at_ms=NOW_MS,
        is_past=True,
        count=None,
        defaults={"channel": "email"},
        logs_exposures=False,
    )


def view(shop: Shop, user_id: str, item_id: str) -> None:
    """Let a user look at an item."""
    event = {"event": "view", "item_id": item_id, "user_id": user_id}
    event["event_id"] = f"{user_id} {item_id} {shop.services.now_ms()}"
    assert shop.call("POST", "/v1/events", json=event).json()["accepted"] == 1


def online(shop: Shop, user_id: str, country: str) -> dict[str, Any]:
    """Ask the running service."""
    query = {"user_id": user_id, "channel": "email", "country": country}
    answer = shop.call("GET", "/v1/placements/mail", params=query)
    assert answer.status_code == 200
    return dict(answer.json()["placements"][0])


def lists(report: BatchReport) -> dict[str, list[dict[str, Any]]]:
    """Read the rows of each user."""
    frame = pl.read_parquet(report.output)
    return {
        str(user_id): part.to_dicts()
        for (user_id,), part in frame.group_by("user_id", maintain_order=True)
    }


def test_batch_and_online_give_the_same_list_for_the_same_moment(
    shop: Shop, order: BatchOrder
) -> None:
    """For everyone: items, order, scores, sources, propensities, tier and variant."""
    view(shop, "user 0", "rose")
    view(shop, "user 4", "mug")
    found = lists(recommend(order))
    assert set(found) == set(USERS)
    for n, user_id in enumerate(USERS):
        slate = online(shop, user_id, "GB" if n % 2 == 0 else "")
        rows = found[user_id]
        theirs = [tuple(item[name] for name in COMPARED) for item in slate["items"]]
        names = ("item_id", *COMPARED[1:])
        assert [tuple(row[name] for name in names) for row in rows] == theirs, user_id
        assert {row["tier"] for row in rows} == {slate["tier"]}
        assert {row["variant"] for row in rows} == {slate["rollout"]["variant"]}
    assert {rows[0]["variant"] for rows in found.values()} == {"personal", "control"}
    assert {rows[0]["tier"] for rows in found.values()} >= {"personal", "popular"}
    assert {rows[1]["source"] == "pin" for rows in found.values()} == {True, False}


def test_audiences_of_a_batch_ask_for_lists_and_segments(shop: Shop, order: BatchOrder) -> None:
    """Whom an uploaded list or the model's segment names is treated, online and in a batch."""
    shop.call("PUT", "/v1/segments/vip/members", content=b"user_id\nuser 7\n")
    asked = [{"op": "segment", "segment": key} for key in ("vip", "value:regular")]
    rollout = {"share": 1, "audience": {"op": "any", "of": asked}, "confirm": True}
    changed = shop.call("PATCH", "/v1/rollouts/mail", json=rollout)
    assert changed.status_code == 200, changed.text
    found = lists(recommend(order))
    treated = {user for user, rows in found.items() if rows[0]["variant"] == "personal"}
    assert treated == {"ann", "user 7"}
    for user_id in ("ann", "user 7", "user 8"):
        assert online(shop, user_id, "GB")["rollout"]["variant"] == found[user_id][0]["variant"]


def test_batch_of_the_past_knows_nothing_later(shop: Shop, order: BatchOrder) -> None:
    """What came in an hour after the moment changes the list of now, and not that of then."""
    shop.call("PATCH", "/v1/rollouts/mail", json={"share": 1, "confirm": True})
    before = lists(recommend(order))["user 1"]
    shop.advance(3_600_000)
    view(shop, "user 1", "mug")
    assert lists(recommend(order))["user 1"] == before
    now = lists(recommend(replace(order, at_ms=NOW_MS + 3_600_000)))["user 1"]
    assert "mug" in [row["because"] for row in now]


def test_exposures_are_logged_only_when_asked_for(shop: Shop, order: BatchOrder) -> None:
    """Without the option there are no ids; with it every list is stored, and the books balance."""
    report = recommend(order)
    assert report.exposures_logged == 0
    assert all(rows[0]["exposure_id"] is None for rows in lists(report).values())
    report = recommend(replace(order, logs_exposures=True))
    assert report.exposures_logged == len(USERS)
    assert len({rows[0]["exposure_id"] for rows in lists(report).values()}) == len(USERS)
    ledger = reconcile(order.home / "events.sqlite")
    assert ledger.is_balanced
    assert (ledger.assigned, ledger.exposure_rows) == (len(USERS), len(USERS))


def test_attributes_are_those_of_a_page(shop: Shop, order: BatchOrder) -> None:
    """A mail shows the title that the page shows."""
    row = lists(recommend(order))["ann"][0]
    assert f'"title": "The {row["item_id"]}"' in row["attributes"]


def test_unknown_placement_leaves_no_file(shop: Shop, order: BatchOrder) -> None:
    """A refusal names what is known and writes nothing."""
    with pytest.raises(NotFoundError, match="not configured; known: mail"):
        recommend(replace(order, placement="male"))
    assert not list(order.home.glob("*.p*r*"))


def test_unwritable_output_is_an_error(shop: Shop, order: BatchOrder) -> None:
    """A folder that does not exist is named."""
    with pytest.raises(InputError, match="cannot write"):
        recommend(replace(order, output=order.home / "no" / "lists.parquet"))


def test_bad_rows_of_users_are_counted(tmp_path: Path) -> None:
    """An empty id, a repeated one and one that is too long get no list; 007 stays 007."""
    path = tmp_path / "users.csv"
    path.write_text("user_id,consent,name\n007,true,x\n,true,x\n007,true,x\n" + "y" * 257 + ",,x\n")
    found = read_shoppers(path, {})
    assert [one.user.user_id for one in found.found] == ["007"]
    assert found.rejected["user_id_missing"] == 1
    assert found.rejected["user_repeated"] == 1
    assert sum(found.rejected.values()) == 3


@pytest.mark.parametrize("name", ["users.csv.gz", "users.ndjson.gz"])
def test_users_are_read_packed_and_with_blanks_around(tmp_path: Path, name: str) -> None:
    """A packed file is one too, and an id with blanks is the user whom the trainer knows."""
    text = "user_id\n u1 \n" if ".csv" in name else '{"user_id": " u1 "}\n'
    (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    assert [one.user.user_id for one in read_shoppers(tmp_path / name, {}).found] == ["u1"]


def test_row_without_consent_is_not_personal(tmp_path: Path) -> None:
    """The column `consent` is what the request's field is."""
    path = tmp_path / "users.jsonl"
    path.write_text('{"user_id": "a", "consent": false}\n{"user_id": "b", "consent": true}\n')
    assert [one.user.consent for one in read_shoppers(path, {}).found] == [False, True]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("users.csv", "id\n1\n", "has no column 'user_id'; columns: id"),
        ("users.csv", "user_id;country\n1;DE\n", "not divided by commas"),
        ("users.xlsx", "", "is of no known format"),
    ],
)
def test_wrong_file_of_users_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    """The error says which column or which kind of file is expected."""
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_shoppers(tmp_path / name, {})
    with pytest.raises(InputError, match="cannot read"):
        read_shoppers(tmp_path / "none.parquet", {})


def test_lists_are_csv_if_the_name_says_so(shop: Shop, order: BatchOrder) -> None:
    """The same rows and columns as in Parquet; JSON with its quotes and an id with a comma hold."""
    pl.DataFrame({"user_id": ["user 0", 'a, "b"\nc']}).write_csv(order.users)
    view(shop, "user 0", "rose")
    parquet = pl.read_parquet(recommend(order).output)
    found = pl.read_csv(
        recommend(replace(order, output=order.home / "lists.CSV")).output, schema=parquet.schema
    )
    assert found.equals(parquet)
    assert set(found["user_id"]) == {"user 0", 'a, "b"\nc'}


@pytest.mark.parametrize("name", ["lists.jsonl", "lists.csv.gz", "lists.XLSX"])
def test_name_of_another_format_is_refused(order: BatchOrder, name: str) -> None:
    """Before anything is read: a file that says what it is not is found out too late."""
    with pytest.raises(ConfigError, match=r"name it lists.*\.parquet or lists.*\.csv"):
        recommend(replace(order, output=order.home / name))
    assert not (order.home / name).exists()


def test_command_prints_one_object(shop: Shop, order: BatchOrder) -> None:
    """`--at` takes a moment with an offset and nothing else."""
    arguments = ["--users", str(order.users), "--placement", "mail", "--home", str(order.home)]
    arguments += ["--output", str(order.output), "--json"]
    done = CliRunner().invoke(command, [*arguments, "--at", "2026-01-15T00:00:00Z"])
    assert done.exit_code == 0, done.output
    assert f'"users":{len(USERS)}' in done.stdout
    done = CliRunner().invoke(command, [*arguments, "--at", "2026-01-15T00:00:00"])
    assert isinstance(done.exception, ConfigError)
