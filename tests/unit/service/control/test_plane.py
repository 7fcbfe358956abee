"""Changes of the control plane: revisions, preconditions, epochs, audit, propagation."""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError, NotFoundError, StoreError
from service.control.configuration import Configuration
from service.control.documents import Banner, ItemStatus, Placement
from service.control.merge_patch import merge_patch
from service.control.precondition import Precondition, RevisionError
from service.rollouts.conditions import Condition, VersionRange
from service.rollouts.definition import Rollout, Variant
from service.stores.postgres_address import PostgresAddress
from tests.unit.service.control.samples import PSEUDONYMISER, Worker, run_sql


def audit_of(worker: Worker) -> Any:
    """Read the audit trail as tuples."""
    return run_sql(
        worker.store.place,
        "SELECT revision, actor, kind, id, before, after FROM audit ORDER BY revision",
    )


def test_put_creates_then_replaces(worker: Worker) -> None:
    """The first put creates at revision 1, another replaces at 2, an equal one changes nothing."""
    first = worker.put("placement", "home", Placement(kind="items"))
    second = worker.put("placement", "home", Placement(kind="items", count=4))
    third = worker.put("placement", "home", Placement(kind="items", count=4))
    assert [c.is_new for c in (first, second, third)] == [True, False, False]
    assert [c.document.revision for c in (first, second, third)] == [1, 2, 2]
    assert worker.current.get().placements["home"].size == 4


def test_every_change_is_audited_with_both_states(worker: Worker) -> None:
    """The trail says who changed what from what to what, and a deletion ends in nothing."""
    worker.put("item", "p1", ItemStatus(hidden=True))
    worker.delete("item", "p1")
    (_, _, _, _, before, after), last = audit_of(worker)
    assert before is None
    assert msgspec.json.decode(after)["hidden"] is True
    assert last[:4] == (2, "tester", "item", "p1")
    assert msgspec.json.decode(last[4])["hidden"] is True
    assert last[5] is None


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
def test_audit_trail_is_append_only(worker: Worker, statement: str) -> None:
    """The database itself refuses to alter or remove a row of the trail."""
    worker.put("item", "p1", ItemStatus(hidden=True))
    with pytest.raises((sqlite3.IntegrityError, psycopg.Error), match="append-only"):
        run_sql(worker.store.place, statement)


def test_change_and_audit_are_both_or_neither(worker: Worker) -> None:
    """A failure after the audit row leaves neither the row nor the change."""
    run_sql(
        worker.store.place,
        *(
            [
                "CREATE TRIGGER stop BEFORE INSERT ON documents "
                "BEGIN SELECT RAISE(ABORT, 'full'); END"
            ]
            if isinstance(worker.store.place, Path)
            else [
                "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'full'; END $$",
                "CREATE TRIGGER stop BEFORE INSERT ON documents "
                "FOR EACH ROW EXECUTE FUNCTION stop()",
            ]
        ),
    )
    with pytest.raises(StoreError, match="full"):
        worker.put("item", "p1", ItemStatus(hidden=True))
    assert audit_of(worker) == []
    assert worker.current.get().hidden_items == frozenset()


def test_put_on_an_old_revision_is_refused_with_the_current_state(worker: Worker) -> None:
    """Of two editors who read revision 1 the second is told the state the first one made."""
    worker.put("banner", "b", Banner(title="A", image_url="i", link_url="l"))
    worker.put("banner", "b", Banner(title="B", image_url="i", link_url="l"), revisions={1})
    with pytest.raises(RevisionError, match="at revision 2, not 1") as refused:
        worker.put("banner", "b", Banner(title="C", image_url="i", link_url="l"), revisions={1})
    assert isinstance(refused.value.current, Banner)
    assert refused.value.current.title == "B"


def test_put_with_an_old_revision_in_the_body_is_refused(worker: Worker) -> None:
    """A document that was read, edited and sent back is checked without any header."""
    read = worker.put("banner", "b", Banner(title="A", image_url="i", link_url="l")).document
    worker.put("banner", "b", msgspec.structs.replace(read, title="B"))
    with pytest.raises(RevisionError):
        worker.put("banner", "b", msgspec.structs.replace(read, title="C"))


def test_if_none_match_never_replaces(worker: Worker) -> None:
    """`If-None-Match: *` creates a document and refuses to replace it."""
    worker.put("placement", "home", Placement(kind="items"), must_be_new=True)
    with pytest.raises(RevisionError, match="exists already"):
        worker.put("placement", "home", Placement(kind="banners"), must_be_new=True)


def test_revision_of_a_deleted_document_never_comes_back(worker: Worker) -> None:
    """A document made again under the same id does not take up an old ETag."""
    worker.put("placement", "home", Placement(kind="items"))
    worker.delete("placement", "home")
    assert worker.put("placement", "home", Placement(kind="items")).document.revision == 3


def test_patch_merges_and_validates_the_whole(worker: Worker) -> None:
    """A patch changes only what it names, and the result must keep every rule."""
    worker.put("placement", "home", Placement(kind="items", count=4, max_per_brand=2))
    patched = worker.patch("placement", "home", {"count": None, "name": "Home"}).document
    assert (patched.count, patched.max_per_brand, patched.name) == (None, 2, "Home")
    with pytest.raises(msgspec.ValidationError, match=r"\$\.count"):
        worker.patch("placement", "home", {"count": 0})
    with pytest.raises(msgspec.ValidationError, match="static_ids holds 'a' twice"):
        worker.patch("placement", "home", {"static_ids": ["a", "a"]})


def test_patch_of_nothing_names_what_is_known(worker: Worker) -> None:
    """A wrong id is answered with the ids there are and how to add one."""
    worker.put("placement", "home_hero", Placement(kind="banners"))
    with pytest.raises(NotFoundError, match="'hme' is not configured; known: home_hero; add it"):
        worker.patch("placement", "hme", {"count": 1})


def test_body_with_another_id_is_refused(worker: Worker) -> None:
    """The id in the body, if there is one, is that of the path."""
    with pytest.raises(InputError, match="id 'b' in the body is not 'a' of the path"):
        worker.put("placement", "a", Placement(id="b", kind="items"))


def test_rollout_epochs_count_changes_of_assignment(worker: Worker) -> None:
    """Creating is epoch 1, moving the share 2, renaming stays 2; a deleted key goes on at 3."""
    epochs = [worker.put("rollout", "r", Rollout(share=0.1)).document.epoch]
    for patch in ({"share": 0.25}, {"name": "x"}, {"share": 0.25}):
        epochs.append(worker.patch("rollout", "r", patch).document.epoch)
    worker.delete("rollout", "r")
    epochs.append(worker.put("rollout", "r", Rollout(share=0.1)).document.epoch)
    assert epochs == [1, 2, 2, 2, 3]
    assert worker.current.get().rollouts["r"].epoch == 3


def test_rollout_sent_back_as_read_opens_no_epoch(worker: Worker) -> None:
    """A client may put what it got, with revision and epoch inside."""
    read = worker.put("rollout", "r", Rollout(share=0.1)).document
    again = worker.put("rollout", "r", read)
    assert (again.document.epoch, again.document.revision) == (1, 1)


def test_forced_units_are_kept_as_pseudonyms(worker: Worker, tmp_path: Path) -> None:
    """No raw id of a forced unit reaches the file; by its raw id it can still be removed."""
    stored = worker.put(
        "rollout",
        "r",
        Rollout(share=0.1, forced={"jane@example.com": "personal", "anonymous_id:a1": "control"}),
    ).document
    jane = f"user_key:{PSEUDONYMISER.pseudonym('user_id', 'jane@example.com')}"
    visitor = f"anonymous_key:{PSEUDONYMISER.pseudonym('anonymous_id', 'a1')}"
    assert stored.forced == {jane: "personal", visitor: "control"}
    assert worker.patch("rollout", "r", {"forced": {"jane@example.com": None}}).document.forced == {
        visitor: "control"
    }
    for table in ("documents", "audit", "rollout_epochs"):
        assert "jane" not in str(run_sql(worker.store.place, f"SELECT * FROM {table}"))
    for file in tmp_path.iterdir():
        assert b"jane" not in file.read_bytes()


def test_change_reaches_other_workers_on_their_next_poll(
    tmp_path: Path, place: Path | PostgresAddress
) -> None:
    """What one worker puts or deletes, another has after one refresh, and only one."""
    one, other = Worker(tmp_path, place), Worker(tmp_path, place)
    try:
        one.put("item", "p1", ItemStatus(hidden=True))
        one.put("item", "p2", ItemStatus(available=False))
        assert other.current.get().hidden_items == frozenset()
        assert other.current.refresh()
        assert other.current.get().hidden_items == {"p1"}
        assert other.current.get().unavailable_items == {"p2"}
        one.delete("item", "p1")
        assert other.current.refresh()
        assert other.current.get() == one.current.get()
        assert not other.current.refresh()
    finally:
        one.close()
        other.close()


def test_recipe_of_a_variant_must_fill_its_placements(worker: Worker) -> None:
    """A banner placement and a rollout with a recipe for items refuse each other, either way."""
    trending = Rollout(share=0.1, variants=(Variant(key="t", recipe="trending"),))
    worker.put("placement", "hero", Placement(kind="banners"))
    with pytest.raises(InputError, match="'trending', which does not fill placement 'hero'"):
        worker.put("rollout", "hero", trending)
    worker.put("rollout", "recs", trending)
    with pytest.raises(InputError, match="use one of banner_for_you, static, or leave it out"):
        worker.put("placement", "other", Placement(kind="banners", rollout="recs"))
    worker.put("placement", "recs", Placement(kind="items"))


def test_refresh_after_close_is_an_error_and_no_crash(
    tmp_path: Path, place: Path | PostgresAddress
) -> None:
    """A poll that outlives its task meets a closed reader and says so."""
    worker = Worker(tmp_path, place)
    worker.close()
    with pytest.raises(StoreError, match="closed"):
        worker.current.refresh()


def test_unreadable_store_is_a_clear_error(tmp_path: Path) -> None:
    """A file that is no database is named, with what to check."""
    (tmp_path / "control.sqlite").write_bytes(b"no database, but long enough to look at" * 100)
    with pytest.raises(StoreError, match=r"control\.sqlite cannot be read or written"):
        Worker(tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values, json_values)
def test_merge_patch_twice_is_once(target: Any, patch: Any) -> None:
    """Merging the same patch again changes nothing, and no null is left where a patch put it."""
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        (["a", "b"], {"a": "b"}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_follows_the_rfc(target: Any, patch: Any, expected: Any) -> None:
    """Cases of RFC 7396, appendix A."""
    assert merge_patch(target, patch) == expected


@pytest.mark.parametrize(
    "audience",
    [
        {"op": "version", "below": "3"},
        {"op": "in", "attribute": "country", "values": ["DE"]},
        {"op": "not", "of": {"op": "version", "at_least": "5"}},
    ],
)
def test_patched_audience_that_names_its_op_is_whole(worker: Worker, audience: Any) -> None:
    """Of the audience before nothing is left: neither a bound that would let in nobody now."""
    before = {"op": "version", "at_least": "4", "attribute": "os_version"}
    worker.put("rollout", "r", msgspec.convert({"share": 0.1, "audience": before}, Rollout))
    after = worker.patch("rollout", "r", {"audience": audience}).document
    assert after.audience == msgspec.convert(audience, Condition)


def test_patched_audience_without_its_op_is_merged(worker: Worker) -> None:
    """A patch of single fields goes on to change these only, as RFC 7396 says."""
    before = {"op": "version", "at_least": "4", "below": "5"}
    worker.put("rollout", "r", msgspec.convert({"share": 0.1, "audience": before}, Rollout))
    after = worker.patch("rollout", "r", {"audience": {"below": "6"}}).document
    assert after.audience == VersionRange(at_least="4", below="6")


def test_precondition_reads_the_headers() -> None:
    """Entity tags are revisions in quotes, weak or not, one or several; anything else is named."""
    parsed = Precondition.from_headers('"17", W/"18", 19', None)
    assert parsed.revisions == frozenset({17, 18, 19})
    assert Precondition.from_headers("*", None).must_exist
    assert Precondition.from_headers(None, "*").must_be_new
    with pytest.raises(InputError, match="If-Match 'abc' is not a revision"):
        Precondition.from_headers("abc", None)
    with pytest.raises(InputError, match="only \\* does"):
        Precondition.from_headers(None, '"1"')


def test_change_that_cannot_be_prepared_is_in_effect(tmp_path: Path) -> None:
    """Whoever gets ready for a state may fail; the state is everybody's all the same."""
    worker = Worker(tmp_path)
    seen: list[int] = []

    def fail(configuration: Configuration) -> None:
        seen.append(configuration.revision)
        raise RuntimeError("no memory")

    worker.current.before_swap = fail
    worker.put("placement", "home", Placement(kind="items"))
    assert (seen, set(worker.current.get().placements)) == ([1], {"home"})
    worker.close()
