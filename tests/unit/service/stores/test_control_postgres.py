"""A control plane in PostgreSQL: machines take turns, hear of each other, and share files."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psycopg
import pytest

from models.errors import ConfigError, NotFoundError, StoreError
from models.pseudonym import Pseudonymiser
from service.control.documents import ItemStatus
from service.control.fleet import check_fleet, replace_fleet_key
from service.control.keys import create_key
from service.control.trail import check_trail
from service.privacy.control_erasure import ControlErasure
from service.rollouts.definition import Rollout
from service.rollouts.segment import Segment, number_of
from service.stores import control_postgres, postgres_patience, postgres_presence
from service.stores.audit import AuditEntry
from service.stores.control import ControlStore
from service.stores.control_postgres import PostgresControlReader
from service.stores.pictures import PictureFiles
from service.stores.postgres_address import PostgresAddress, read_address
from service.stores.segment_files import KEPT, SegmentFiles
from service.stores.shared_files import SharedFiles
from tests.postgres_server import PostgresServer
from tests.unit.service.control.samples import PSEUDONYMISER, Worker, run_sql

SOON_S = 20.0
PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 100


@pytest.fixture
def address(postgres_url: str) -> PostgresAddress:
    """Name an empty database."""
    return read_address(postgres_url, "ENDCAP_CONTROL_URL")


@pytest.fixture
def machines(tmp_path: Path, address: PostgresAddress) -> Iterator[tuple[Worker, Worker]]:
    """Open the control planes of two machines."""
    opened = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        opened.append(Worker(tmp_path / name, address))
    yield opened[0], opened[1]
    for one in opened:
        one.close()


def test_trail_of_racing_machines_has_no_gap(machines: tuple[Worker, Worker]) -> None:
    """Forty changes from two machines and keys beside them are revisions 1 to 60 of one chain."""

    def change(worker: Worker, name: str) -> None:
        for number in range(20):
            worker.put("item", f"{name}{number}", ItemStatus(hidden=True))
            if number % 2:
                create_key(worker.store, scope="trainer", name=name, actor=name, now_ms=number)

    threads = [
        threading.Thread(target=change, args=(one, name))
        for one, name in zip(machines, "ab", strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = check_trail(machines[0].store)
    assert (found.is_whole, found.n_rows, found.revision) == (True, 60, 60)
    for one in machines:
        one.current.refresh()
        assert len(one.current.get().hidden_items) == 40


def test_change_that_fails_leaves_no_gap(machines: tuple[Worker, Worker]) -> None:
    """A transaction that is given up returns its revision to the next one."""
    one, other = machines
    one.put("item", "p1", ItemStatus(hidden=True))
    with one.store.transaction() as transaction:
        entry = AuditEntry(1, "tester", "item", "p9", None, "{}")
        assert transaction.audit.append(entry) == 2
        transaction.give_up()
    assert other.put("item", "p2", ItemStatus(hidden=True)).document.revision == 2
    assert check_trail(one.store).is_whole


def test_row_out_of_turn_is_refused_by_the_database(address: PostgresAddress) -> None:
    """Who writes past the program cannot leave a revision out."""
    store = ControlStore(address)
    with pytest.raises(psycopg.Error, match="revision 5 does not follow"):
        run_sql(
            address,
            "INSERT INTO audit (revision, at_ms, actor, kind, id, hash) "
            "VALUES (5, 1, 'x', 'item', 'p', 'h')",
        )
    store.close()


def test_listener_hears_of_a_change_and_not_of_a_lease(
    machines: tuple[Worker, Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever listens returns at the commit; what is no change wakes nobody."""
    one, other = machines
    reader = other.reader
    assert isinstance(reader, PostgresControlReader)
    reader.listen()  # the first call connects and returns, for a change may have been missed
    one.put("item", "p1", ItemStatus(hidden=True))
    monkeypatch.setattr(control_postgres, "POLL_S", 30.0)
    reader.listen()
    assert other.current.refresh()
    assert other.current.get().hidden_items == {"p1"}
    with one.store.transaction() as transaction:
        assert transaction.leases.take("ramp", "one", now_ms=0, for_ms=1_000)
    monkeypatch.setattr(control_postgres, "POLL_S", 0.01)
    reader.listen()
    assert not other.current.refresh()


def test_lease_goes_by_the_clock_of_the_database(machines: tuple[Worker, Worker]) -> None:
    """Machines whose clocks differ by a day do not take a lease from each other."""
    one, other = machines
    with one.store.transaction() as transaction:
        assert transaction.leases.take("ramp", "one", now_ms=1_000_000, for_ms=60_000)
    with other.store.transaction() as transaction:
        assert not transaction.leases.take("ramp", "other", now_ms=87_400_000, for_ms=60_000)
        assert not transaction.leases.take("ramp", "other", now_ms=1, for_ms=60_000)
    run_sql(one.store.place, "UPDATE leases SET until_ms = until_ms - 61000")
    with other.store.transaction() as transaction:
        assert transaction.leases.take("ramp", "other", now_ms=1, for_ms=60_000)


def test_store_that_was_set_back_is_read_anew(machines: tuple[Worker, Worker]) -> None:
    """After a backup is brought back, what came after it is in effect nowhere."""
    one, other = machines
    one.put("item", "kept", ItemStatus(hidden=True))
    one.put("item", "lost", ItemStatus(hidden=True))
    other.current.refresh()
    assert other.current.get().hidden_items == {"kept", "lost"}
    run_sql(
        one.store.place,
        "SET session_replication_role = replica",
        "DELETE FROM audit WHERE revision = 2",
        "DELETE FROM documents WHERE id = 'lost'",
        "UPDATE audit_head SET revision = 1, hash = (SELECT hash FROM audit)",
    )
    assert other.current.refresh()
    assert other.current.get().hidden_items == {"kept"}
    # Here revision 2 is another one than this worker has read.
    other.put("item", "new", ItemStatus(hidden=True))
    one.current.refresh()
    assert one.current.get().hidden_items == {"kept", "new"}
    assert one.current.get() == other.current.get()


def test_lists_reach_every_machine(machines: tuple[Worker, Worker], tmp_path: Path) -> None:
    """A list uploaded on one machine is in effect on the other, which keeps the newest only."""
    one, other = machines
    content = ""
    for size in (3, 4):
        numbers = np.arange(size, dtype=np.uint64)
        content = one.segment_files.write("vip", numbers)
        one.put("segment", "vip", Segment(unit="user_id", n_members=size, content=content))
        other.current.refresh()
        assert other.segment_files.open("vip", content, size).tolist() == list(range(size))
    assert set(other.current.get().segments) == {"vip"}
    assert [path.stem for path in (tmp_path / "b" / "segments" / "vip").iterdir()] == [content]


def test_erased_member_is_in_no_list_of_the_database(machines: tuple[Worker, Worker]) -> None:
    """Old lists with a person's number go; the current one and those without it stay."""
    one, _other = machines
    shared = one.store.shared_files
    assert shared is not None
    old, other_old, current = (
        one.segment_files.write("vip", np.array(numbers, dtype=np.uint64))
        for numbers in ([1, 2], [3], [1, 4])
    )
    assert one.segment_files.drop_old([2], {("vip", current)}) == 2  # the file and its copy
    assert sorted(shared.names("segments")) == sorted([f"vip/{other_old}", f"vip/{current}"])
    with pytest.raises(StoreError, match="is not in the shared store; upload it again"):
        one.segment_files.open("vip", old, 2)


def test_database_keeps_the_newest_lists(tmp_path: Path, address: PostgresAddress) -> None:
    """Of many lists under one key the newest stay, and other keys keep theirs."""
    ControlStore(address).close()
    shared = SharedFiles(address)
    files = SegmentFiles(tmp_path, shared)
    files.write("vip2", np.array([7], dtype=np.uint64))
    for size in range(KEPT + 2):
        files.write("vip", np.arange(size, dtype=np.uint64))
    assert len(shared.names("segments", "vip/")) == KEPT
    assert len(shared.names("segments", "vip2/")) == 1


def test_large_file_comes_back_whole(
    address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of several pieces is read as it was written; an empty one is a file too."""
    ControlStore(address).close()
    monkeypatch.setattr("service.stores.shared_files.PIECE_BYTES", 7)
    shared = SharedFiles(address)
    data = bytes(range(256))
    shared.put("pictures", "whole", data)
    shared.put("pictures", "empty", b"")
    assert shared.read("pictures", "whole") == data
    assert shared.read("pictures", "empty") == b""
    assert shared.read("segments", "whole") is None


def test_picture_is_on_every_machine_until_it_expires(
    tmp_path: Path, address: PostgresAddress
) -> None:
    """What one machine took another shows; what nobody names any more goes from both."""
    ControlStore(address).close()
    shared = SharedFiles(address)
    one, other = (PictureFiles(tmp_path / name, shared) for name in "ab")
    picture = one.write(PNG, max_bytes=1_000)
    assert other.read(picture.hash).content == PNG
    day_ms = 86_400_000
    [(now_ms,)] = run_sql(address, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    assert one.expire({picture.hash}, kept_days=1, now_ms=now_ms + 2 * day_ms) == []
    assert one.expire((), kept_days=1, now_ms=now_ms + 4 * day_ms) == [picture.hash]
    with pytest.raises(NotFoundError):
        one.read(picture.hash)
    other.expire((), kept_days=1, now_ms=now_ms + 4 * day_ms)
    with pytest.raises(NotFoundError):
        other.read(picture.hash)


def test_machines_need_the_same_pseudonym_key(tmp_path: Path, address: PostgresAddress) -> None:
    """The first machine's key counts, until it is replaced for all; SQLite asks for none."""
    first, second = (Pseudonymiser(letter * 32) for letter in (b"a", b"b"))
    store = ControlStore(address)
    check_fleet(store, first, tmp_path)
    check_fleet(store, first, tmp_path)
    with pytest.raises(ConfigError, match=r"copy pseudonym\.key from the home of one of them"):
        check_fleet(store, second, tmp_path)
    replace_fleet_key(store, second)
    check_fleet(store, second, tmp_path)
    store.close()
    alone = ControlStore(tmp_path / "control.sqlite")
    check_fleet(alone, first, tmp_path)
    check_fleet(alone, second, tmp_path)
    alone.close()


def test_erasure_takes_texts_out_of_the_trail(machines: tuple[Worker, Worker]) -> None:
    """A redaction past the triggers seals the trail anew, and the triggers are back."""
    one, other = machines
    one.put("rollout", "r", Rollout(share=0.1, name="jane"))
    one.patch("rollout", "r", {"name": "x"})
    holding = ["audit", "rollout_epochs"]
    with one.store.transaction() as transaction:
        assert transaction.shared_facts.tables_holding(["jo", "jane"]) == holding
        found = transaction.redaction.replace(["jane"], "nobody")
        assert transaction.shared_facts.tables_holding(["jane"]) == []
    assert (found.n_rows, found.first_revision) == (3, 1)  # two of the trail, an epoch
    one.store.drop_old_rows()
    assert "jane" not in str(run_sql(one.store.place, "SELECT * FROM audit"))
    assert check_trail(other.store).is_whole
    with pytest.raises(psycopg.Error, match="append-only"):
        run_sql(one.store.place, "UPDATE audit SET actor = 'x'")


def test_erased_person_is_on_no_list_of_any_machine(
    machines: tuple[Worker, Worker], tmp_path: Path
) -> None:
    """Erased on A, a person is off the list in effect on B, and in neither database nor copies."""
    one, other = machines
    key = PSEUDONYMISER.pseudonym("user_id", "jane")
    number = number_of(key)
    for members in ([number], [1, number]):
        numbers = np.array(sorted(members), dtype=np.uint64)
        content = one.segment_files.write("vip", numbers)
        one.put("segment", "vip", Segment(unit="user_id", n_members=len(members), content=content))
        other.current.refresh()
    erasure = ControlErasure(
        store=one.store,
        plane=one.plane,
        segment_files=one.segment_files,
        actor="tester",
        now_ms=lambda: 9_000,
    )
    assert len(erasure.find_left([key], [key])) == 2
    assert erasure.forget_members([key]) == 1
    assert erasure.find_left([key], [key]) == []
    assert other.current.refresh()
    assert set(other.current.get().segments) == {"vip"}
    left = [path for path in tmp_path.rglob("*.u64") if number in np.fromfile(path, dtype="<u8")]
    assert left == []


def test_change_that_is_stored_is_no_error_though_it_cannot_be_read_back(
    machines: tuple[Worker, Worker],
) -> None:
    """Whoever made it is told that it was made; the watcher reads it later."""
    one, other = machines
    one.reader.close()
    assert one.put("item", "p1", ItemStatus(hidden=True)).document.revision == 1
    assert one.current.get().hidden_items == frozenset()
    other.current.refresh()
    assert other.current.get().hidden_items == {"p1"}


def test_database_that_is_gone_is_told_and_found_again(
    postgres_server: PostgresServer, machines: tuple[Worker, Worker]
) -> None:
    """Changes fail with the next step while the last state stays; afterwards all goes on."""
    one, other = machines
    one.put("item", "p1", ItemStatus(hidden=True))
    other.current.refresh()
    reader = other.reader
    assert isinstance(reader, PostgresControlReader)
    reader.listen()
    postgres_server.stop("immediate")
    try:
        with pytest.raises(StoreError, match=r"cannot be read or written: .*then try again"):
            one.put("item", "p2", ItemStatus(hidden=True))
        with pytest.raises(StoreError):
            other.current.refresh()
        assert other.current.get().hidden_items == {"p1"}
        with pytest.raises(StoreError, match="see that PostgreSQL runs"):
            ControlStore(other.store.place)
    finally:
        postgres_server.start()
    assert one.put("item", "p2", ItemStatus(hidden=True)).document.revision == 2
    assert other.current.refresh()
    assert other.current.get().hidden_items == {"p1", "p2"}


def test_database_that_hangs_is_told_in_time(
    postgres_server: PostgresServer,
    machines: tuple[Worker, Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A change is refused with the next step, and is not made when the database goes on."""
    one, _ = machines
    one.put("item", "p1", ItemStatus(hidden=True))
    monkeypatch.setattr(postgres_patience, "QUICK_S", 0.2)
    monkeypatch.setitem(control_postgres._DEFAULTS, "connect_timeout", 2)
    with ThreadPoolExecutor(1) as thread, postgres_server.standing_still():
        changing = thread.submit(one.put, "item", "p2", ItemStatus(hidden=True))
        with pytest.raises(StoreError, match=r"cannot be read or written: .*then try again"):
            changing.result(SOON_S)
    assert one.put("item", "p3", ItemStatus(hidden=True)).document.revision == 2
    one.current.refresh()
    assert one.current.get().hidden_items == {"p1", "p3"}


def test_changes_that_come_while_it_hangs_are_told_at_once(
    machines: tuple[Worker, Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time waits for what others have waited for in vain; once it answers, all may."""
    one, _ = machines
    attempts, is_asked, gives_up = list[PostgresAddress](), threading.Event(), threading.Event()

    def connect_in_vain(address: PostgresAddress, _kind: object) -> None:
        attempts.append(address)
        if len(attempts) == 2:
            is_asked.set()
            assert gives_up.wait(SOON_S)
        raise psycopg.errors.ConnectionTimeout("connection timeout expired")

    def change(number: int) -> None:
        with pytest.raises(StoreError, match=r"cannot be read or written: .*then try again"):
            one.put("item", f"p{number}", ItemStatus(hidden=True))

    one.store._database.engine.dispose()
    with monkeypatch.context() as patch, ThreadPoolExecutor(1) as thread:
        patch.setattr(control_postgres, "connect", connect_in_vain)
        change(1)
        changing = thread.submit(change, 2)
        assert is_asked.wait(SOON_S)
        for number in range(3, 30):
            change(number)
        assert len(attempts) == 2
        gives_up.set()
        changing.result(SOON_S)
    assert one.put("item", "p2", ItemStatus(hidden=True)).document.revision == 1


def test_database_that_hangs_over_a_statement_is_told_in_time(
    postgres_server: PostgresServer,
    machines: tuple[Worker, Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is looked for, and found once: a statement may wait for a lock, but not for nobody."""
    one, _ = machines
    answers = [True]
    monkeypatch.setattr(postgres_patience, "LOOK_S", 0.1)
    monkeypatch.setattr(
        postgres_presence.Presence, "answers", lambda *_: answers.pop() if answers else False
    )
    one.store._database.engine.dispose()

    def change(hanging: ExitStack) -> None:
        with one.store.transaction() as transaction:
            hanging.enter_context(postgres_server.standing_still())
            transaction.leases.take("ramp", "one", now_ms=0, for_ms=1_000)

    with ThreadPoolExecutor(1) as thread, ExitStack() as hanging:
        changing = thread.submit(change, hanging)
        with pytest.raises(StoreError, match=r"has not answered for 0\.1 seconds"):
            changing.result(SOON_S)
    assert answers == []
    one.put("item", "p1", ItemStatus(hidden=True))
    assert one.plane.find("item", "p1").revision > 0


def test_database_that_hangs_over_a_commit_is_told_in_time(
    postgres_server: PostgresServer,
    machines: tuple[Worker, Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where its disk does: what may have been done or not is no success."""
    one, _ = machines
    monkeypatch.setattr(postgres_patience, "COMMIT_S", 0.2)

    def change(hanging: ExitStack) -> None:
        with one.store.transaction() as transaction:
            transaction.leases.take("ramp", "one", now_ms=0, for_ms=1_000)
            hanging.enter_context(postgres_server.standing_still())

    with ThreadPoolExecutor(1) as thread, ExitStack() as hanging:
        changing = thread.submit(change, hanging)
        with pytest.raises(StoreError, match=r"has not answered for 0\.2 seconds"):
            changing.result(SOON_S)
    one.put("item", "p1", ItemStatus(hidden=True))
    assert one.plane.find("item", "p1").revision > 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://u:secret@h/d", "does not begin with postgresql://"),
        ("postgresql://u:secret%zz@h/d", "is no address that PostgreSQL reads"),
        ("postgresql://h/d?nope=secret", "is no address that PostgreSQL reads"),
    ],
)
def test_wrong_address_is_refused_without_its_password(url: str, said: str) -> None:
    """The setting is named, and what is right; the password stands nowhere."""
    with pytest.raises(ConfigError, match=said) as refused:
        read_address(url, "ENDCAP_CONTROL_URL")
    assert "ENDCAP_CONTROL_URL" in refused.value.message
    assert "secret" not in refused.value.message


def test_address_is_named_without_its_password() -> None:
    """People are told host, port and database."""
    address = read_address("postgresql://u:secret@db:5433/endcap?sslmode=require", "X")
    assert address.name == "postgresql://db:5433/endcap"
    assert "secret" not in repr(address)
