"""What one worker worked out is found by the others as it was, or not at all."""

import mmap
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.candidates import HEAD, NO_CANDIDATES
from models.events import InteractionKind
from models.scoring import History, ScoredItems
from models.snapshot import Snapshot
from service.control.configuration import Configuration
from service.serve.engine import Engine
from service.serve.profile import Profile
from service.serve.shared_candidates import N_BYTES, N_SETS, N_WAYS, SharedCandidates, Worked
from service.serve.shelf import Shelf
from service.serve.stock import Stock
from tests.benchmarks.serve.shop import make_snapshot
from tests.unit.service.serve.pages import Recent, decide, items_placement, make_visit
from tests.unit.service.serve.test_engine import PSEUDONYMS, Store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
N_USERS = 40
ONE_SET = N_BYTES // N_SETS


class Counted(SharedCandidates):
    """A table that tells what came of it."""

    def __init__(self, n_bytes: int = N_BYTES) -> None:
        self.room = mmap.mmap(-1, n_bytes)
        self.outcomes: list[str] = []
        super().__init__(
            self.room, lambda: self.outcomes.append("found"), lambda: self.outcomes.append("kept")
        )


@pytest.fixture
def table() -> Iterator[Counted]:
    """A table that is empty."""
    made = Counted()
    yield made
    made.room.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A shop of 600 items."""
    return make_snapshot(tmp_path_factory.mktemp("shop"), 600, N_USERS)


def worked(seed: int, n_best: int = HEAD, n_shares: int = 20) -> Worked:
    """Make up what a history might bring up."""
    rng = np.random.default_rng(seed)
    rows, because = rng.integers(-1, 1_000_000, (2, n_best), dtype=np.int32)
    best = ScoredItems(rows, rng.random(n_best, dtype=np.float32), because)
    return Worked(rng.random(n_shares, dtype=np.float32), best)


def bits(one: Worked | None) -> tuple[bytes, ...] | None:
    """Return every bit of a record."""
    if one is None:
        return None
    arrays = one.shares, one.best.rows, one.best.scores, one.best.because
    return tuple(each.tobytes() + each.dtype.str.encode() for each in arrays)


def key_of(number: int) -> bytes:
    """Make a key; all of them are of one set."""
    return bytes(4) + (number + 1).to_bytes(12, "little")


def history_of(n: int) -> History:
    """Make a history of `n` items."""
    rows = np.arange(n, dtype=np.int32)
    return History(rows, np.zeros(n, dtype=np.int8), rows.astype(np.int64))


@pytest.mark.parametrize(("n_best", "n_shares"), [(HEAD, 20), (0, 3), (1, 0), (HEAD, 187)])
def test_record_comes_back_to_the_last_bit(table: Counted, n_best: int, n_shares: int) -> None:
    """Of whatever length; and what nobody kept is not there."""
    one = worked(1, n_best, n_shares)
    assert table.get(key_of(1)) is None
    table.keep(key_of(1), one)
    assert bits(table.get(key_of(1))) == bits(one)
    assert table.get(key_of(2)) is None
    assert table.outcomes == ["kept", "found"]


def test_record_that_is_too_long_is_not_kept(table: Counted) -> None:
    """A history of 188 items and 64 candidates has no room, and disturbs nobody."""
    table.keep(key_of(1), worked(1))
    table.keep(key_of(1), worked(2, HEAD, 188))
    assert bits(table.get(key_of(1))) == bits(worked(1))


def test_oldest_of_a_set_makes_way(table: Counted) -> None:
    """A set has four places; the fifth key takes the first one's, and a key has only one."""
    for number in (0, 0, 1, 2, 3, 4):
        table.keep(key_of(number), worked(number))
    found = [bits(table.get(key_of(number))) for number in range(N_WAYS + 1)]
    assert found == [None, *(bits(worked(number)) for number in range(1, N_WAYS + 1))]


def test_other_version_and_other_history_find_nothing(table: Counted, shop: Snapshot) -> None:
    """Rows, kinds, times and the version count; whoever is erased makes the version another."""
    ours = table.of(shop.manifest)
    history, one = history_of(5), worked(1)
    ours.keep(history, one.shares, one.best)
    assert bits(ours.get(history_of(5))) == bits(one)
    assert ours.get(history_of(4)) is None
    for name in ("rows", "kinds", "at_ms"):
        other = getattr(history, name).copy()
        other[0] += 1
        assert ours.get(replace(history, **{name: other})) is None
    checksums = {**shop.manifest.checksums, "users": "another"}
    manifest = msgspec.structs.replace(shop.manifest, checksums=checksums)
    assert table.of(manifest).get(history) is None


def _writes(room: mmap.mmap, table: SharedCandidates, number: int) -> list[tuple[int, int]]:
    """List the bytes that keeping a record changes, in the order in which they are written."""
    before = bytes(room)
    table.keep(key_of(number), worked(number, n_best=9))
    after = bytes(room)
    room[:] = before
    keys_end = N_WAYS * 16 + 1
    changed = np.flatnonzero(np.frombuffer(before, np.uint8) != np.frombuffer(after, np.uint8))
    places = changed.tolist()
    # The record first, then what leads to it.
    ordered = [one for one in places if one >= keys_end] + [one for one in places if one < keys_end]
    return [(place, after[place]) for place in ordered]


def _fill_set(table: SharedCandidates) -> None:
    for number in range(N_WAYS):
        table.keep(key_of(number), worked(number, n_best=9))


def _assert_right_or_absent(table: SharedCandidates, numbers: range) -> None:
    for number in numbers:
        found = bits(table.get(key_of(number)))
        assert found in (None, bits(worked(number, n_best=9)))


def test_writer_that_dies_at_any_byte_leaves_nothing_wrong() -> None:
    """After each byte of a new record, old and new ones are right or not there."""
    table = Counted(ONE_SET)
    _fill_set(table)
    for place, value in _writes(table.room, table, N_WAYS):
        table.room[place] = value
        _assert_right_or_absent(table, range(N_WAYS + 1))
    assert bits(table.get(key_of(N_WAYS))) == bits(worked(N_WAYS, n_best=9))
    # The place can be used again, whatever stands there.
    for number in range(N_WAYS + 1):
        table.keep(key_of(number), worked(number, n_best=9))
        assert bits(table.get(key_of(number))) == bits(worked(number, n_best=9))
    table.room.close()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 200)), max_size=12))
def test_two_who_write_at_once_leave_nothing_wrong(turns: list[tuple[bool, int]]) -> None:
    """Two records go to one place, some bytes of the one and some of the other in any order."""
    table = Counted(ONE_SET)
    _fill_set(table)
    streams = [iter(_writes(table.room, table, N_WAYS + n)) for n in range(2)]
    for is_second, n_bytes in turns:
        for _ in range(n_bytes):
            place, value = next(streams[is_second], (-1, 0))
            if place >= 0:
                table.room[place] = value
        _assert_right_or_absent(table, range(N_WAYS + 2))
    table.room.close()


SCRIPT = """
import mmap, os, random, signal, sys, time
from service.serve.shared_candidates import N_BYTES, SharedCandidates
from tests.unit.service.serve.test_shared_candidates import bits, key_of, worked

N = 12
records = [worked(number) for number in range(N)]
right = [bits(one) for one in records]
room = mmap.mmap(-1, N_BYTES)
table = SharedCandidates(room)

def write(seed):
    rng = random.Random(seed)
    while True:
        number = rng.randrange(N)
        table.keep(key_of(number), records[number])

def start(seed):
    pid = os.fork()
    if not pid:
        write(seed)
    return pid

writers = [start(seed) for seed in range(3)]
n_found = n_wrong = 0
for turn in range(30):
    os.kill(writers[turn % 3], signal.SIGKILL)
    os.waitpid(writers[turn % 3], 0)
    writers[turn % 3] = start(turn)
    for look in range(200):
        number = look % N
        found = bits(table.get(key_of(number)))
        n_found += found is not None
        n_wrong += found not in (None, right[number])
for pid in writers:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
print(n_wrong, n_found > 100)
"""


def test_writers_that_are_killed_leave_nothing_wrong() -> None:
    """Three processes write twelve records into the four places of a set, and are killed at it."""
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.stdout.split() == ["0", "True"], ran.stderr


def _slates(stock: Stock, fields: dict[str, Any]) -> list[object]:
    shelf = Shelf(stock, Configuration.compile(1, [items_placement(**fields)]))
    ids = stock.snapshot.items.ids
    made: list[object] = []
    for row in range(N_USERS):
        recent = [Recent(ids.id(row * 3), InteractionKind.ADD_TO_CART), Recent(ids.id(row + 200))]
        visit = make_visit(shelf, user_key=stock.snapshot.users.ids.id(row), recent=recent)
        made += [one.slate for one in decide(shelf, visit, "recs")]
    return made


@pytest.mark.parametrize("fields", [{"count": 12}, {"count": 100}, {"exclude_purchased": False}])
def test_slates_are_the_same_with_and_without(
    table: Counted, shop: Snapshot, fields: dict[str, Any]
) -> None:
    """Two workers that share, and one that does not, show the same items, scores and reasons."""
    without = _slates(Stock(shop), fields)
    assert _slates(Stock(shop, shared=table), fields) == without
    assert table.outcomes == ["kept"] * N_USERS
    assert _slates(Stock(shop, shared=table), fields) == without
    assert table.outcomes[N_USERS:] == ["found"] * N_USERS


def test_what_another_worker_worked_out_costs_no_time_of_a_late_page(
    table: Counted, shop: Snapshot
) -> None:
    """The candidates of somebody who acted count as ready where they are found."""
    recent = (Recent(shop.items.ids.id(3)),)
    first, second = (Profile(Stock(shop, shared=table), 1, recent) for _ in range(2))
    shelf = Shelf(first.stock, Configuration.compile(1, []))
    assert not first.is_ready(shelf, excludes_bought=True)
    first.prepare()
    shelf = Shelf(second.stock, Configuration.compile(1, []))
    assert second.is_ready(shelf, excludes_bought=True)
    assert np.array_equal(second.weights, first.weights)


def test_who_has_no_history_is_not_looked_for(table: Counted, shop: Snapshot) -> None:
    """Nothing would be worked out of none."""
    profile = Profile(Stock(shop, shared=table), -1, (Recent("unknown"),))
    assert len(profile.scored.rows) == len(NO_CANDIDATES.rows)
    assert table.outcomes == []


def test_erasure_empties_the_table(table: Counted, shop: Snapshot) -> None:
    """Nobody can say whose a record is, so all of them go, by one pseudonym or all."""
    engine = Engine(
        configuration=lambda: Configuration.compile(1, []),
        snapshot=lambda: shop,
        recent=Store(),
        pseudonymiser=PSEUDONYMS,
        shared=table,
    )
    for forget in (lambda: engine.forget("somebody"), engine.forget_all):
        table.keep(key_of(1), worked(1))
        forget()
        assert table.get(key_of(1)) is None
        assert not bytes(table.room).strip(b"\0")
