"""The trainer's commands, as they are called: what they print, and that bad input harms nothing."""

import errno
import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from click.testing import CliRunner, Result

import endcap
from models import artifact
from models.artifact import ArtifactStore
from models.errors import ConfigError, EndcapError, InputError
from models.handed import Handed
from models.pseudonym import KEY_FILE, KEY_VARIABLE, Pseudonymiser
from models.running_trainings import note_erased
from service.stores.event_database import open_event_database
from service.stores.key_mark import agree_on_pseudonyms
from tests.unit.training.small_shop import START_MS, interactions_frame, write_shop
from training import cli
from training.cli import evaluate, train
from training.report import page
from training.version_cli import models, segments


def run(command: Any, *arguments: object) -> Result:
    """Call a command as the shell does; output and errors are kept apart."""
    handed = Handed(endcap.read_past, endcap.load_key)
    return CliRunner().invoke(command, [str(argument) for argument in arguments], obj=handed)


def run_json(command: Any, *arguments: object) -> Any:
    """Call a command that must succeed, and read the one object that it prints."""
    result = run(command, *arguments, "--json")
    assert result.exception is None, result.exception
    assert len(result.stdout.splitlines()) == 1
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with one trained version, its data beside it."""
    home = tmp_path_factory.mktemp("shop")
    log, catalog = write_shop(home)
    report = run_json(train, "--interactions", log, "--catalog", catalog, "--home", home)
    assert report["live"] == report["version"]
    return home


def test_train_reports_and_goes_live(shop: Path) -> None:
    """A first version that beats popularity is published and live; its manifest says how it is."""
    store = ArtifactStore(shop)
    manifest = store.manifest(str(store.live_version()))
    assert manifest.gate.verdict == "first"
    assert manifest.counts["users"] == 60
    assert manifest.counts["items"] == 25
    assert set(manifest.metrics) == {"popularity", "item_graph", "als", "content", "hybrid"}
    assert manifest.metrics["hybrid"]["ndcg@20"] > manifest.metrics["popularity"]["ndcg@20"]
    around = manifest.intervals["hybrid"]["ndcg@20"]
    assert around.low < manifest.metrics["hybrid"]["ndcg@20"] < around.high
    snapshot = store.open(manifest.version)
    cold = snapshot.items.ids.row("item 24")
    assert snapshot.items.n_interactions[cold] == 0
    assert cold in snapshot.graph.rows
    assert snapshot.priors.get("country:FR") is not None
    assert "user 7" not in list(snapshot.users.ids)


def test_train_makes_no_key_beside_data_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home with events and without their key is refused; one that never had any gets a key."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    log, catalog = write_shop(tmp_path)
    events = open_event_database(tmp_path)
    agree_on_pseudonyms(events, b"lost")
    arguments = ("--interactions", log, "--catalog", catalog, "--tune-seconds", 0)
    refused = run(train, *arguments, "--home", tmp_path)
    assert isinstance(refused.exception, ConfigError)
    assert "pseudonym.key is missing" in str(refused.exception)
    assert not (tmp_path / KEY_FILE).exists()
    assert ArtifactStore(tmp_path).versions() == []
    events.unlink()
    run_json(train, *arguments, "--home", tmp_path)
    assert (tmp_path / KEY_FILE).exists()


def test_train_again_gives_the_same_version(shop: Path) -> None:
    """Same data and seed, same hash; the gate finds it not worse than live."""
    before = ArtifactStore(shop).live_version()
    arguments = ("--interactions", shop / "interactions.parquet", "--home", shop)
    report = run_json(train, *arguments, "--catalog", shop / "catalog.parquet")
    assert report["version"] == before
    assert report["gate"]["verdict"] == "passed"
    assert report["gate"]["against_live"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_train_reads_several_files(shop: Path, tmp_path: Path) -> None:
    """`--interactions` may be given more than once, in different formats."""
    log = interactions_frame()
    log.head(300).write_csv(tmp_path / "old.csv")
    log.tail(300).write_ndjson(tmp_path / "new.jsonl")
    files = ("--interactions", tmp_path / "old.csv", "--interactions", tmp_path / "new.jsonl")
    report = run_json(train, *files, "--home", tmp_path / "home")
    assert report["rows"]["interactions"]["kept"] == 600


def test_refused_candidate_is_kept_and_explained(tmp_path: Path) -> None:
    """Where nothing personal can be learnt the gate refuses; --force is recorded."""
    log = tmp_path / "log.csv"
    day = 1_700_000_000_000
    everyone = [(f"u{user}", f"i{item}", day + item) for user in range(8) for item in range(3)]
    pl.DataFrame(everyone, schema=["user_id", "item_id", "timestamp"], orient="row").with_columns(
        pl.lit("view").alias("event")
    ).write_csv(log)
    refused = run(train, "--interactions", log, "--home", tmp_path, "--json")
    assert isinstance(refused.exception, EndcapError)
    assert "does not go live" in str(refused.exception)
    report = json.loads(refused.stdout)
    assert report["live"] is None
    listed = run_json(models, "list", "--home", tmp_path)
    assert [line["verdict"] for line in listed["versions"]] == ["refused"]
    version = report["version"]
    barred = run(models, "promote", version, "--home", tmp_path)
    assert "the gate refused version" in str(barred.exception)
    assert run_json(models, "promote", version, "--home", tmp_path, "--force")["live"] == version
    [line] = run_json(models, "list", "--home", tmp_path)["versions"]
    assert line["verdict"] == "forced"
    assert line["reason"].endswith("; promoted with --force")
    forced = run_json(train, "--interactions", log, "--home", tmp_path, "--force")
    assert forced["gate"]["verdict"] == "forced"
    assert forced["live"] == forced["version"]


def test_training_is_judged_beside_what_went_live_meanwhile(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two trainings at once the later is compared with the earlier, and says so."""
    home = tmp_path / "home"
    shutil.copytree(shop, home)
    store = ArtifactStore(home)
    before = store.open(str(store.live_version()))
    manifest = msgspec.structs.replace(before.manifest, data_until_ms=START_MS + 300 * 86_400_000)
    other = store.publish(replace(before, manifest=manifest))
    times = iter([store.live_version(), other])

    def now_ms() -> int:
        # First asked before the files are read, then before the version is written.
        store.promote(str(next(times)))
        return START_MS + 90 * 86_400_000

    monkeypatch.setattr(cli, "_now_ms", now_ms)
    result = run(
        train, "--interactions", home / "interactions.parquet", "--home", home,
        "--seed", 5, "--tune-seconds", 0, "--json",
    )  # fmt: skip
    report = json.loads(result.stdout)
    assert f"version {other} went live meanwhile" in result.stderr
    assert report["parent"] == other
    assert report["gate"]["reason"].endswith(f"not worse than {other}")
    assert f"before that of {other}" in report["drift"]["warnings"][-1]
    assert (store.live_version(), store.previous_version()) == (report["version"], other)


def test_who_is_erased_while_a_training_runs_is_not_published(shop: Path, tmp_path: Path) -> None:
    """The rows were read before; what is published knows the others only."""
    home = tmp_path / "home"
    key = endcap.load_key(shop).pseudonym("user_id", "user 7")

    def load_key(_: Path) -> Pseudonymiser:
        note_erased(home, [key])
        return endcap.load_key(shop)

    arguments = ["--interactions", str(shop / "interactions.parquet"), "--home", str(home)]
    result = CliRunner().invoke(
        train, [*arguments, "--tune-seconds", "0"], obj=Handed(endcap.read_past, load_key)
    )
    assert result.exception is None
    store = ArtifactStore(home)
    users = list(store.open(str(store.live_version())).users.ids)
    assert len(users) == 59
    assert key not in users


def test_models_list_show_promote_rollback(shop: Path) -> None:
    """Versions are listed, shown and moved; `live` follows."""
    first = ArtifactStore(shop).live_version()
    arguments = ("--interactions", shop / "interactions.parquet", "--home", shop, "--seed", 2)
    second = run_json(train, *arguments)["version"]
    listed = run_json(models, "list", "--home", shop)
    assert {line["version"] for line in listed["versions"]} == {first, second}
    shown = run_json(models, "show", second, "--home", shop)
    assert shown["seed"] == 2
    assert shown["drift"]["against"] == first
    assert shown["drift"]["warnings"] == []
    promoted = run_json(models, "promote", str(first), "--home", shop)
    assert promoted == {"live": first, "before": second}
    assert run_json(models, "rollback", "--home", shop) == {"live": second, "before": first}
    assert run_json(models, "promote", str(first), "--home", shop)["live"] == first
    text = run(models, "list", "--home", shop).stdout
    assert f"{first} live" in text
    assert ": better than popularity" in text


def test_old_versions_are_pruned(shop: Path, tmp_path: Path) -> None:
    """A trial says what would go; the live version and the one before it never do."""
    home = tmp_path / "home"
    shutil.copytree(shop, home)
    first = ArtifactStore(home).live_version()
    arguments = ("--interactions", shop / "interactions.parquet", "--home", home)
    second, third = (run_json(train, *arguments, "--seed", n)["version"] for n in (2, 3))
    trial = run(models, "prune", "--keep", 1, "--dry-run", "--home", home).stdout
    assert f"{first} would be removed" in trial
    assert "1 version of " in trial
    pruned = run_json(models, "prune", "--keep", 1, "--home", home)
    assert pruned.pop("freed_bytes") > 10_000
    assert pruned == {"live": third, "removed": [first], "kept": [third, second]}
    assert run_json(models, "rollback", "--home", home)["live"] == second
    listed = run_json(models, "list", "--home", home)
    assert [line["version"] for line in listed["versions"]] == [third, second]


def test_evaluate_prints_metrics_and_intervals(tmp_path: Path) -> None:
    """Every recommender is measured, with intervals around its figures."""
    log = interactions_frame().sort("timestamp")
    log.head(500).write_parquet(tmp_path / "train.parquet")
    log.tail(100).write_parquet(tmp_path / "test.parquet")
    files = ("--train", tmp_path / "train.parquet", "--test", tmp_path / "test.parquet")
    found = run_json(evaluate, *files, "--k", "5,10")
    assert set(found["models"]) == {"popularity", "item_graph", "als", "content", "hybrid"}
    assert found["n_items"] == 24
    hybrid, around = found["models"]["hybrid"], found["intervals"]["hybrid"]["recall@5"]
    assert around["low"] <= hybrid["recall@5"] <= around["high"]
    assert {"recall@5", "ndcg@10", "hit_rate@10", "coverage@10", "novelty@10"} <= set(hybrid)
    assert "hybrid" in run(evaluate, *files).stdout


def test_evaluate_new_ranks_only_cold_items(tmp_path: Path) -> None:
    """With `--candidates new` the items that training has seen are no candidates."""
    log, catalog = write_shop(tmp_path)
    new = {
        "user_id": ["user 2"],
        "item_id": ["item 24"],
        "event": ["view"],
        "timestamp": [START_MS],
    }
    pl.DataFrame(new).write_parquet(tmp_path / "test.parquet")
    files = ("--train", log, "--test", tmp_path / "test.parquet", "--catalog", catalog)
    found = run_json(evaluate, *files, "--candidates", "new", "--k", "1")
    assert (found["n_users"], found["n_items"]) == (1, 1)
    assert found["models"]["content"]["hit_rate@1"] == 1.0


def _csv(folder: Path, text: str) -> Path:
    path = folder / "bad.csv"
    path.write_text(text)
    return path


BAD_FILES = {
    "missing column": ("user_id,item,event,timestamp\nu,i,view,1\n", "columns: user_id, item"),
    "no event": ("user_id,item_id,timestamp\nu,i,1\n", "have no column 'event'"),
    "empty": ("", "is empty"),
    "only a header": ("user_id,item_id,event,timestamp\n", "have no rows"),
    "one user": (
        "user_id,item_id,event,timestamp\nu,i,view,2026-01-01\nu,j,view,2026-01-02\n",
        "after refunds: 1;",
    ),
    "seconds": (
        "user_id,item_id,event,timestamp\nu,i,view,1700000000\nv,j,view,1700000001\n",
        "multiply seconds by 1000",
    ),
    "all bad": ("user_id,item_id,event,timestamp\nu,i,stare,1\n", "more than max_reject_share"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_interactions_leave_live_untouched(shop: Path, tmp_path: Path, name: str) -> None:
    """A file that cannot be used is one clear error that exits with 2; nothing is published."""
    text, message = BAD_FILES[name]
    store = ArtifactStore(shop)
    before = (store.live_version(), len(store.versions()))
    result = run(train, "--interactions", _csv(tmp_path, text), "--home", shop)
    assert isinstance(result.exception, EndcapError)
    assert message in str(result.exception)
    assert (store.live_version(), len(store.versions())) == before


def test_compressed_file_that_is_cut_off_is_named(shop: Path, tmp_path: Path) -> None:
    """A file that cannot be unpacked is the fault of the file, not of the home."""
    log = tmp_path / "log.csv.gz"
    rows = pl.concat([interactions_frame()] * 40).write_csv()
    log.write_bytes(gzip.compress(rows.encode())[:-500])
    result = run(train, "--interactions", log, "--home", shop)
    assert isinstance(result.exception, InputError)
    assert f"cannot read {log}: unexpected end of file" in str(result.exception)


def test_interaction_of_the_future_is_rejected(tmp_path: Path) -> None:
    """One row of the year 2099 does not make all others too old to count."""
    log = interactions_frame()
    late = log.head(1).with_columns(timestamp=pl.lit(4_080_000_000_000))
    pl.concat([log, late]).write_parquet(tmp_path / "log.parquet")
    report = run_json(
        train, "--interactions", tmp_path / "log.parquet", "--home", tmp_path / "home"
    )
    assert report["rows"]["interactions"]["rejected"] == {"timestamp_in_future": 1}
    assert report["rows"]["interactions"]["kept"] == 600


def test_rows_that_need_more_than_a_look_are_told_with_what_to_do(tmp_path: Path) -> None:
    """Ids that lost a letter are counted with the command that helps, lossy titles as kept."""
    log, catalog = write_shop(tmp_path)
    bad = interactions_frame().head(1).with_columns(item_id=pl.lit("\ufffd001"))
    pl.concat([pl.read_parquet(log), bad]).write_parquet(log)
    titled = pl.read_parquet(catalog)
    titled.with_columns(title=pl.lit("T\ufffdrkis")).write_parquet(catalog)
    home = tmp_path / "home"
    result = run(train, "--interactions", log, "--catalog", catalog, "--home", home)
    assert result.exception is None
    assert "item_id_not_utf8 1\n    item_id_not_utf8: the file is not in UTF-8" in result.stderr
    assert "iconv -f cp1252 -t utf-8" in result.stderr
    assert f"kept, though a text has lost letters: {titled.height}; " in result.stderr


def test_duplicates_are_told_with_what_to_do(tmp_path: Path) -> None:
    """Of 600 rows 30 are there twice: they count twice, the run says so, and a rule drops them."""
    rows = interactions_frame()
    pl.concat([rows, rows.head(30)]).write_parquet(tmp_path / "log.parquet")
    arguments = ("--interactions", tmp_path / "log.parquet", "--home", tmp_path / "home")
    result = run(train, *arguments, "--tune-seconds", 0, "--json")
    counts = json.loads(result.stdout)["rows"]["interactions"]
    assert (counts["kept"], counts["duplicates"]) == (630, 30)
    assert "repeat another row in every column: 30 (4.8%); if the files overlap" in result.stderr
    assert "drop_duplicates = true" in result.stderr
    mapping = tmp_path / "mapping.toml"
    mapping.write_text("[interactions]\ndrop_duplicates = true\n")
    again = run(train, *arguments, "--tune-seconds", 0, "--mapping", mapping, "--json")
    counts = json.loads(again.stdout)["rows"]["interactions"]
    assert (counts["kept"], counts["duplicates"]) == (600, 0)
    assert "repeat another row" not in again.stderr


def test_mapping_that_names_a_missing_column_lists_the_columns(shop: Path, tmp_path: Path) -> None:
    """The error says which column is missing and which there are."""
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[interactions.columns]\nprice = "Unit Price"\n')
    log = shop / "interactions.parquet"
    result = run(train, "--interactions", log, "--mapping", mapping, "--home", shop)
    assert "'Unit Price' for price; columns: user_id, item_id, event" in str(result.exception)


def test_catalog_without_ids_is_refused(shop: Path, tmp_path: Path) -> None:
    """A catalogue needs item ids."""
    catalog = _csv(tmp_path, "title,price\nMug,1\n")
    arguments = ("--interactions", shop / "interactions.parquet", "--home", shop)
    result = run(train, *arguments, "--catalog", catalog)
    assert "in the catalog there is no column 'item_id'" in str(result.exception)


def test_full_disk_leaves_live_untouched(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills while publishing is an error; the live version and the list stay."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = ArtifactStore(shop)
    before = (store.live_version(), len(store.versions()))
    monkeypatch.setattr(artifact, "write_tables", fail)
    arguments = ("--interactions", shop / "interactions.parquet", "--home", shop, "--seed", 77)
    result = run(train, *arguments)
    assert isinstance(result.exception, EndcapError)
    assert "No space left on device" in str(result.exception)
    assert (store.live_version(), len(store.versions())) == before


def test_unknown_file_and_format_are_named(tmp_path: Path) -> None:
    """A path that matches nothing, or of an unknown format, is named."""
    result = run(train, "--interactions", tmp_path / "*.parquet", "--home", tmp_path)
    assert "no file matches" in str(result.exception)
    (tmp_path / "log.xlsx").write_text("x")
    result = run(train, "--interactions", tmp_path / "log.xlsx", "--home", tmp_path)
    assert "is of no known format; known: .csv" in str(result.exception)


def test_train_writes_its_report_next_to_the_version(shop: Path) -> None:
    """The page is in the folder of the version, which still opens."""
    version = ArtifactStore(shop).live_version()
    assert version is not None
    page = (shop / "models" / version / "report.html").read_text()
    assert f"Model version {version}" in page
    ArtifactStore(shop).open(version)


def test_report_that_cannot_be_written_fails_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is live then, so the run says so; a folder that is not there is told first."""
    log, catalog = write_shop(tmp_path)
    files = ("--interactions", log, "--catalog", catalog, "--home", tmp_path / "home")
    asked = run(train, *files, "--report", tmp_path / "no" / "page.html")
    assert isinstance(asked.exception, ConfigError)
    assert not (tmp_path / "home").exists()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(page, "replace_file", full)
    told = run(train, *files, "--json")
    assert told.exception is None
    assert "cannot write the report" in told.stderr
    report = json.loads(told.stdout)
    assert report["report"] is None
    assert report["live"] == report["version"]


def test_embeddings_of_the_live_version_are_exported(shop: Path, tmp_path: Path) -> None:
    """One row per item and user; without a file there is nothing to do."""
    files = ("--items", tmp_path / "items.arrow", "--users", tmp_path / "users.arrow")
    told = run_json(models, "export", *files, "--format", "arrow", "--home", shop)
    assert (told["items"], told["users"]) == (25, 60)
    assert pl.read_ipc(tmp_path / "users.arrow").height == 60
    assert "nothing to export" in str(run(models, "export", "--home", shop).exception)


def test_segments_of_the_live_version_are_told(shop: Path) -> None:
    """Every user of the small shop has a value tier, and the figures are those of the orders."""
    told = json.loads(run(segments, "--home", shop, "--json").stdout)
    assert told["version"] == ArtifactStore(shop).live_version()
    tiers = [one for key, one in told["segments"].items() if key.startswith("value:")]
    assert sum(one["users"] for one in tiers) == 60
    assert all(one["average_order_value"] > 0 and one["orders_per_month"] > 0 for one in tiers)
    assert "value:regular" in run(segments, "--home", shop).stdout


def test_evaluate_writes_a_report(tmp_path: Path) -> None:
    """`--report` names the page; one that cannot be written is an error."""
    log = interactions_frame().sort("timestamp")
    log.head(450).write_parquet(tmp_path / "train.parquet")
    log.tail(150).write_parquet(tmp_path / "test.parquet")
    files = ("--train", tmp_path / "train.parquet", "--test", tmp_path / "test.parquet")
    told = run_json(evaluate, *files, "--report", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Fitted on train.parquet, measured on test.parquet." in page
    assert f"{told['models']['hybrid']['ndcg@20']:.4f}" in page
    failed = run(evaluate, *files, "--report", tmp_path / "no" / "page.html")
    assert "cannot write the report" in str(failed.exception)


@pytest.mark.parametrize("k", ["", "0", "ten", "5,-1"])
def test_evaluate_refuses_odd_lengths(tmp_path: Path, k: str) -> None:
    """A list of lengths has positive integers."""
    result = run(evaluate, "--train", tmp_path, "--test", tmp_path, "--k", k)
    assert "is no list of lengths" in str(result.exception)
