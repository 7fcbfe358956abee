"""The scorer leaves what a page would have worked out, and whoever asks it never waits."""

import mmap
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import pytest

from models.artifact import ArtifactStore
from models.errors import ArtifactError
from models.events import InteractionKind
from models.snapshot import Snapshot
from models.vocabulary import MISSING_ROW
from service.processes.scorer import Scorer
from service.serve.profile import Profile
from service.serve.scorer_wire import MAX_BYTES, ScorerLine, decode
from service.serve.shared_candidates import N_BYTES, SharedCandidates, Worked, new_salt
from service.serve.stock import Stock
from tests.benchmarks.serve.shop import make_snapshot, open_shop
from tests.unit.service.serve.pages import Recent
from tests.unit.service.serve.test_shared_candidates import bits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is shared")
N_USERS = 40


class Outcomes(list[str]):
    """What became of the questions."""

    def line(self, end: socket.socket) -> ScorerLine:
        """Make a line that tells."""
        return ScorerLine(end, lambda: self.append("asked"), lambda: self.append("skipped"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A shop of 600 items."""
    return make_snapshot(tmp_path_factory.mktemp("shop"), 600, N_USERS)


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    """Memory that a worker and a scorer have in common."""
    with mmap.mmap(-1, N_BYTES) as room:
        yield room


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a line."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def acted(shop: Snapshot, row: int) -> list[Recent]:
    """Make up what somebody did since the training."""
    ids = shop.items.ids
    return [Recent(ids.id(row * 3), InteractionKind.ADD_TO_CART), Recent(ids.id(row + 200))]


def test_scorer_leaves_what_a_page_would_have_worked_out(
    shop: Snapshot, memory: mmap.mmap, ends: tuple[socket.socket, socket.socket]
) -> None:
    """To the last bit, whether the model knows the shopper or not, and for those who asked only."""
    outcomes, salt = Outcomes(), new_salt()
    worker = SharedCandidates(memory, salt=salt, ask=outcomes.line(ends[0]).ask)
    scorer = Scorer(lambda _: shop, SharedCandidates(memory, salt=salt))
    ours = worker.of(shop.manifest)
    for row in (*range(N_USERS), MISSING_ROW):
        alone = Profile(Stock(shop), row, acted(shop, row + 1))
        ours.expect(alone.history)
        scorer.answer(decode(ends[1].recv(MAX_BYTES)))
        expected = bits(Worked(alone.weights, alone.scored))
        assert bits(ours.get(alone.history)) == expected
        stranger = SharedCandidates(memory, salt=new_salt()).of(shop.manifest)
        assert stranger.get(alone.history) is None
    assert outcomes == ["asked"] * (N_USERS + 1)


def test_history_without_items_is_no_question(
    shop: Snapshot, memory: mmap.mmap, ends: tuple[socket.socket, socket.socket]
) -> None:
    """Nobody is asked what nothing brings up; and without a scorer nobody is asked at all."""
    outcomes = Outcomes()
    nothing = Profile(Stock(shop), MISSING_ROW, ()).history
    asking = SharedCandidates(memory, ask=outcomes.line(ends[0]).ask).of(shop.manifest)
    asking.expect(nothing)
    SharedCandidates(memory).of(shop.manifest).expect(Profile(Stock(shop), 1, ()).history)
    assert outcomes == []


def test_version_that_is_not_there_is_told_once_and_spoils_no_other(
    shop: Snapshot, memory: mmap.mmap, ends: tuple[socket.socket, socket.socket]
) -> None:
    """One that was deleted, and one from which somebody was erased meanwhile."""
    asked: list[str] = []

    def open_version(version: str) -> Snapshot:
        asked.append(version)
        if version == "gone":
            raise ArtifactError("no such version")
        return shop

    scorer = Scorer(open_version, SharedCandidates(memory))
    line = ScorerLine(ends[0])
    history = Profile(Stock(shop), 1, acted(shop, 1)).history
    ours = SharedCandidates(memory, ask=line.ask).of(shop.manifest)
    for version, name in (("gone", "a"), ("gone", "a"), (shop.manifest.version, "before erasure")):
        line.ask(version, name, history)
        scorer.answer(decode(ends[1].recv(MAX_BYTES)))
    assert asked == ["gone", shop.manifest.version]
    assert ours.get(history) is None
    ours.expect(history)
    scorer.answer(decode(ends[1].recv(MAX_BYTES)))
    assert ours.get(history) is not None


def test_scorer_leaves_the_cores_of_all_who_ask(shop: Snapshot, memory: mmap.mmap) -> None:
    """Of every worker, from its first question on."""
    kept_off: list[set[int]] = []
    scorer = Scorer(
        lambda _: shop, SharedCandidates(memory), lambda pids: kept_off.append(set(pids))
    )
    history = Profile(Stock(shop), 1, acted(shop, 1)).history
    asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with asking, asked:
        ScorerLine(asking).ask("tiny", "name", history)
        question = decode(asked.recv(MAX_BYTES))
    for pid in (11, 12, 11):
        scorer.answer(msgspec.structs.replace(question, pid=pid))
    assert kept_off == [{11}, {11, 12}, {11, 12}]


def test_nobody_waits_for_a_scorer_that_is_busy_or_gone(
    shop: Snapshot, ends: tuple[socket.socket, socket.socket]
) -> None:
    """What does not fit is skipped, and goes on once there is room; so is all when it is away."""
    outcomes = Outcomes()
    line = outcomes.line(ends[0])
    history = Profile(Stock(shop), 1, acted(shop, 1)).history
    while "skipped" not in outcomes:
        line.ask("version", "name", history)
        assert len(outcomes) < 100_000
    assert len(outcomes) > 10
    with suppress(BlockingIOError):
        while True:
            assert decode(ends[1].recv(MAX_BYTES, socket.MSG_DONTWAIT)).history.rows.tolist() == (
                history.rows.tolist()
            )
    line.ask("version", "name", history)
    assert outcomes[-1] == "asked"
    ends[1].close()
    line.ask("version", "name", history)
    assert outcomes[-1] == "skipped"


def test_stored_version_is_scored_as_it_is_served(
    tmp_path_factory: pytest.TempPathFactory, memory: mmap.mmap
) -> None:
    """The scorer opens versions as workers do: what it leaves is found under their names."""
    store = ArtifactStore(open_shop(tmp_path_factory.mktemp("shops"), 300, 20))
    live = store.live_version()
    assert live is not None
    served = store.open(live)
    scorer = Scorer(store.open, SharedCandidates(memory))
    asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with asking, asked:
        ours = SharedCandidates(memory, ask=ScorerLine(asking).ask).of(served.manifest)
        profile = Profile(Stock(served), 3, acted(served, 3))
        ours.expect(profile.history)
        scorer.answer(decode(asked.recv(MAX_BYTES)))
    assert bits(ours.get(profile.history)) == bits(Worked(profile.weights, profile.scored))
