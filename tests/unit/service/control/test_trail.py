"""The audit trail: sealed rows, undo, phases, confirmation, and editors who race."""

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from models.errors import ConflictError, EndcapError
from service.control.consent import Consent, JumpError, PhaseError
from service.control.documents import Banner, ItemStatus, Placement
from service.control.keys import create_key
from service.control.precondition import RevisionError
from service.control.trail import check_trail, read_page
from service.rollouts.definition import Rollout
from service.stores.audit import AuditEntry, chain_hash
from service.stores.postgres_address import PostgresAddress
from service.stores.sqlite import MIGRATIONS
from tests.unit.service.control.samples import Worker, run_sql

YES = Consent(confirm=True, new_phase=True)


def tamper(worker: Worker, *statements: str) -> None:
    """Change the file as somebody would who has it, past the triggers."""
    place = worker.store.place
    names = ("audit_no_update", "audit_no_delete")
    if isinstance(place, Path):
        lifted = [f"DROP TRIGGER IF EXISTS {name}" for name in names]
    else:
        lifted = [f"ALTER TABLE audit DISABLE TRIGGER {name}" for name in names]
        # A document leans on the row that wrote it.
        lifted.append("SET session_replication_role = replica")
    run_sql(place, *lifted, *statements)


def fill(worker: Worker) -> None:
    """Make five changes of four kinds."""
    worker.put("placement", "home", Placement(kind="items"))
    worker.put("rollout", "r", Rollout(share=0.1, name="Größe"))
    worker.patch("rollout", "r", {"share": 0.2})
    worker.put("item", "p1", ItemStatus(hidden=True))
    create_key(worker.store, scope="trainer", name="n", actor="tester", now_ms=1)


def test_hash_of_a_row_is_pinned() -> None:
    """The hash is SHA-256 of `["",1,2,"key_a","rollout","ä",null,"{}",null]`, on every machine."""
    entry = AuditEntry(2, "key_a", "rollout", "ä", None, "{}")
    assert chain_hash("", 1, entry) == (
        "568dbfd2acec8db8541aadfdaf4eca0aeda120c309f9158eeef1e53f7254f365"
    )
    assert chain_hash("x", 1, entry) != chain_hash("", 1, entry)


def test_untouched_trail_is_whole(worker: Worker) -> None:
    """Documents, keys and deletions make one chain, whose newest hash is told."""
    fill(worker)
    worker.delete("item", "p1")
    found = check_trail(worker.store)
    assert (found.is_whole, found.n_rows, found.revision) == (True, 6, 6)
    assert found.hash == read_page(worker.store, before=None, limit=1).changes[0].hash


def test_empty_trail_is_whole(worker: Worker) -> None:
    """A new store has no row and nothing broken."""
    assert check_trail(worker.store).is_whole


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE revision = 2", 2),
        ("UPDATE audit SET after = replace(after, '0.1', '0.9') WHERE revision = 2", 2),
        ("UPDATE audit SET before = NULL WHERE revision = 3", 3),
        ("UPDATE audit SET hash = 'x' WHERE revision = 1", 1),
        ("DELETE FROM audit WHERE revision = 4", 4),
        ("DELETE FROM audit WHERE revision = 5", 5),
        ("UPDATE documents SET body = replace(body, '0.2', '0.9') WHERE kind = 'rollout'", 3),
    ],
)
def test_first_broken_row_is_named(worker: Worker, statement: str, broken: int) -> None:
    """An altered row, a row taken out anywhere, and a document changed past the trail are found."""
    fill(worker)
    tamper(worker, statement)
    found = check_trail(worker.store)
    assert found.broken is not None
    assert (found.is_whole, found.broken.revision) == (False, broken)


def test_rows_from_before_the_chain_are_sealed_by_the_migration(tmp_path: Path) -> None:
    """A store of the former schema is upgraded with its rows, and is whole."""
    path = tmp_path / "control.sqlite"
    worker = Worker(tmp_path)
    fill(worker)
    worker.close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("version_locations", str(MIGRATIONS / "control"))
        config.set_main_option("path_separator", "newline")
        config.attributes["connection"] = connection
        command.downgrade(config, "control_0002")
    engine.dispose()
    upgraded = Worker(tmp_path)
    try:
        assert check_trail(upgraded.store).n_rows == 5
        upgraded.put("item", "p2", ItemStatus(hidden=True))
        assert check_trail(upgraded.store).is_whole
    finally:
        upgraded.close()


def test_pages_go_back_through_the_trail(worker: Worker) -> None:
    """Each page ends where the next begins; one document's history leaves the others out."""
    fill(worker)
    first = read_page(worker.store, before=None, limit=2)
    assert [one.revision for one in first.changes] == [5, 4]
    rest = read_page(worker.store, before=first.next_before, limit=10)
    assert ([one.revision for one in rest.changes], rest.next_before) == ([3, 2, 1], None)
    history = read_page(worker.store, before=None, limit=9, kind="rollout", document_id="r")
    assert [one.after["share"] for one in history.changes] == [0.2, 0.1]
    assert [one.actor for one in history.changes] == ["tester", "tester"]


def test_undo_restores_and_is_itself_a_change(worker: Worker) -> None:
    """Back to revision 1 is revision 3, noted, in a new epoch, and can be undone in turn."""
    first = worker.put("rollout", "r", Rollout(share=0.1)).document
    second = worker.patch("rollout", "r", {"share": 0.2, "name": "wider"}).document
    undone = worker.undo("rollout", "r", 1).document
    assert msgspec.structs.replace(undone, revision=1, epoch=1) == first
    assert (undone.revision, undone.epoch) == (3, 3)
    assert worker.current.get().rollouts["r"].share_ppm == 100_000
    assert read_page(worker.store, before=None, limit=1).changes[0].note == "undo to revision 1"
    again = worker.undo("rollout", "r", 2).document
    assert (again.share, again.name) == (second.share, second.name)


def test_undo_brings_a_deleted_document_back(worker: Worker) -> None:
    """A deleted banner stands again as at the revision before, or at any revision since."""
    worker.put("banner", "b", Banner(title="A", image_url="i", link_url="l"))
    worker.put("item", "p1", ItemStatus(hidden=True))
    worker.delete("banner", "b")
    assert worker.undo("banner", "b", 2).document.title == "A"
    with pytest.raises(ConflictError, match="did not exist at revision 3"):
        worker.undo("banner", "b", 3)


def test_undo_does_not_end_a_kill(worker: Worker) -> None:
    """What was killed stays killed, whatever it is taken back to."""
    worker.put("rollout", "r", Rollout(share=0.1))
    worker.patch("rollout", "r", {"killed": True, "share": 0.2})
    assert worker.undo("rollout", "r", 1).document.killed is True


@pytest.mark.parametrize("is_killed", [True, False])
def test_undo_of_a_deletion_does_not_end_a_kill(worker: Worker, is_killed: bool) -> None:
    """A deleted rollout comes back killed if it went so, and not if it had been resumed by then."""
    worker.put("rollout", "r", Rollout(share=1.0))
    worker.patch("rollout", "r", {"killed": True})
    worker.patch("rollout", "r", {"share": 0.9, "killed": is_killed})
    worker.delete("rollout", "r")
    for revision in (1, 2, 3):
        assert worker.undo("rollout", "r", revision).document.killed is is_killed
        worker.delete("rollout", "r")


def test_undo_to_a_revision_that_nobody_reached_is_refused(worker: Worker) -> None:
    """A slip in the number is told, with the newest one; it was answered as if it were done."""
    worker.put("rollout", "r", Rollout(share=0.1))
    with pytest.raises(ConflictError, match="revision 71 is not reached yet, the newest is 1;"):
        worker.undo("rollout", "r", 71)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(shares=st.lists(st.integers(0, 100), min_size=1, max_size=8), data=st.data())
def test_undo_to_any_revision_is_the_state_of_then(
    tmp_path_factory: pytest.TempPathFactory, shares: list[int], data: st.DataObject
) -> None:
    """After any changes, undo to any revision gives what stood there, and the trail stays whole."""
    worker = Worker(tmp_path_factory.mktemp("home"))
    try:
        for share in shares:
            change = {"share": share / 100}
            if worker.current.get().rollouts:
                worker.patch("rollout", "r", change, YES)
            else:
                worker.put("rollout", "r", Rollout(share=share / 100))
        states = {
            one.revision: one.after["share"]
            for one in read_page(worker.store, before=None, limit=99).changes
        }
        revision = data.draw(st.sampled_from(sorted(states)))
        assert worker.undo("rollout", "r", revision, YES).document.share == states[revision]
        assert check_trail(worker.store).is_whole
    finally:
        worker.close()


@pytest.mark.parametrize("patch", [{"salt": "other"}, {"unit": "anonymous_id"}])
def test_dealing_anew_while_it_runs_wants_a_new_phase(
    worker: Worker, patch: dict[str, Any]
) -> None:
    """Another salt or unit is refused while somebody is treated; a new phase is a new epoch too."""
    worker.put("rollout", "r", Rollout(share=0.1))
    with pytest.raises(PhaseError, match="dealt anew"):
        worker.patch("rollout", "r", patch)
    with pytest.raises(PhaseError):
        worker.put("rollout", "r", Rollout(share=0.1, **patch))
    opened = worker.patch("rollout", "r", patch, Consent(new_phase=True)).document
    assert (opened.phase, opened.epoch) == (2, 2)
    with pytest.raises(PhaseError):
        worker.undo("rollout", "r", 1)


def test_rollout_that_treats_nobody_may_be_dealt_anew(worker: Worker) -> None:
    """At share 0, or switched off, another salt needs no word; the salt that is the key is none."""
    worker.put("rollout", "r", Rollout(share=0.0))
    assert worker.patch("rollout", "r", {"salt": "r", "share": 0.5}).document.phase == 1
    worker.patch("rollout", "r", {"enabled": False})
    assert worker.patch("rollout", "r", {"salt": "x", "phase": 9}).document.phase == 2


@pytest.mark.parametrize(
    ("before", "after", "is_refused"),
    [(0.0, 1.0, False), (0.1, 0.5, False), (0.1, 0.51, True), (0.5, 0.0, False), (0.01, 1, True)],
)
def test_more_than_five_times_the_share_wants_a_word(
    worker: Worker, before: float, after: float, is_refused: bool
) -> None:
    """A start and five times are usable at once; a larger jump says its numbers and waits."""
    worker.put("rollout", "r", Rollout(share=before))
    if is_refused:
        with pytest.raises(JumpError, match=r"times the .* % of now; see who with"):
            worker.patch("rollout", "r", {"share": after})
    changed = worker.patch("rollout", "r", {"share": after}, Consent(confirm=is_refused))
    assert changed.document.share == after


def test_of_racing_editors_exactly_one_wins(tmp_path: Path, place: Path | PostgresAddress) -> None:
    """Eight workers change one revision at the same moment: one succeeds, seven are told."""
    workers = [Worker(tmp_path, place) for _ in range(8)]
    workers[0].put("rollout", "r", Rollout(share=0.1))
    barrier = threading.Barrier(len(workers))
    outcomes: list[object] = [None] * len(workers)

    def edit(number: int) -> None:
        barrier.wait()
        try:
            patch = {"name": f"editor {number}"}
            outcomes[number] = workers[number].patch("rollout", "r", patch, revisions={1}).document
        except EndcapError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=edit, args=(one,)) for one in range(len(workers))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = [one for one in outcomes if isinstance(one, Rollout)]
        refused = [one for one in outcomes if isinstance(one, RevisionError)]
        assert len(refused) == len(workers) - 1
        assert all(one.current == winner for one in refused)
        assert check_trail(workers[0].store).n_rows == 2
    finally:
        for worker in workers:
            worker.close()
