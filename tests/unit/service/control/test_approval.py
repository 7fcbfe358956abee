"""Four eyes: a change waits for a second key, a kill waits for nobody."""

import pytest

from models.errors import NotFoundError
from service.control.approval import ApprovalError, Proposal, list_proposals
from service.control.consent import JumpError
from service.control.precondition import Precondition, RevisionError
from service.control.trail import check_trail, read_page
from service.control.writing import Change
from service.rollouts.definition import Rollout
from tests.unit.service.control.samples import Worker


@pytest.fixture
def worker(worker: Worker) -> Worker:
    """Open a control plane with rollout r at 10 %, which wants approval."""
    worker.put("rollout", "r", Rollout(share=0.1, approval=True))
    return worker


def propose(worker: Worker, share: float = 0.2) -> Proposal:
    """Propose another share, as `tester`."""
    proposal = worker.patch("rollout", "r", {"share": share}).proposal
    assert isinstance(proposal, Proposal)
    return proposal


def share_of(worker: Worker) -> int:
    """Return the share in effect, in ppm."""
    return worker.current.get().rollouts["r"].share_ppm


def test_change_waits_and_another_key_makes_it(worker: Worker) -> None:
    """Proposed by tester, made by key_b; the trail says both, and is whole."""
    proposal = propose(worker)
    assert (proposal.state, proposal.base_revision, share_of(worker)) == ("open", 1, 100_000)
    closed = worker.plane.decide("r", proposal.id, actor="key_b", approves=True)
    assert (closed.state, closed.decided_by, share_of(worker)) == ("approved", "key_b", 200_000)
    changes = read_page(worker.store, before=None, limit=3).changes
    assert [(one.kind, one.actor) for one in changes] == [
        ("proposal", "key_b"),
        ("rollout", "key_b"),
        ("proposal", "tester"),
    ]
    assert changes[1].note == f"proposal {proposal.id} by tester"
    assert check_trail(worker.store).is_whole
    with pytest.raises(ApprovalError, match="was approved by key_b"):
        worker.plane.decide("r", proposal.id, actor="key_c", approves=True)


def test_nobody_approves_their_own(worker: Worker) -> None:
    """The key that proposed it may only take it back."""
    proposal = propose(worker)
    with pytest.raises(ApprovalError, match="proposed 2 itself"):
        worker.plane.decide("r", proposal.id, actor="tester", approves=True)
    worker.plane.decide("r", proposal.id, actor="tester", approves=False)
    assert share_of(worker) == 100_000
    with worker.store.transaction() as transaction:
        assert [one.state for one in list_proposals(transaction, "r")] == ["rejected"]


def test_proposal_is_made_for_one_state(worker: Worker) -> None:
    """Of two that were proposed from one state, the second approved is refused."""
    first, second = propose(worker, 0.2), propose(worker, 0.3)
    worker.plane.decide("r", first.id, actor="key_b", approves=True)
    with pytest.raises(RevisionError):
        worker.plane.decide("r", second.id, actor="key_b", approves=True)
    assert share_of(worker) == 200_000


def test_kill_waits_for_nobody_and_ends_with_approval(worker: Worker) -> None:
    """One key kills at once; going on is proposed like any other change."""
    change = Change("rollout", "r", "tester", Precondition())
    assert worker.plane.kill(change, killed=True).proposal is None
    assert worker.current.get().rollouts["r"].off is not None
    with pytest.raises(ApprovalError, match="propose it with PATCH"):
        worker.plane.kill(change, killed=False)
    proposal = worker.patch("rollout", "r", {"killed": False}).proposal
    worker.plane.decide("r", proposal.id, actor="key_b", approves=True)
    assert worker.current.get().rollouts["r"].off is None


def test_put_undo_and_the_switch_itself_wait_too(worker: Worker) -> None:
    """No way leads around it: replacing, undoing, switching it off, deleting."""
    assert worker.put("rollout", "r", Rollout(share=0.3)).proposal is not None
    assert worker.patch("rollout", "r", {"approval": False}).proposal is not None
    first = propose(worker)
    worker.plane.decide("r", first.id, actor="key_b", approves=True)
    assert worker.undo("rollout", "r", 1).proposal.note == "undo to revision 1"
    with pytest.raises(ApprovalError, match="cannot be deleted"):
        worker.delete("rollout", "r")


def test_what_would_be_refused_is_no_proposal(worker: Worker) -> None:
    """A jump wants its word from who proposes; a patch that changes nothing proposes nothing."""
    with pytest.raises(JumpError):
        propose(worker, 1.0)
    assert worker.patch("rollout", "r", {"share": 0.1}).proposal is None


def test_unknown_proposal_names_the_open_ones(worker: Worker) -> None:
    """A wrong id is answered with those that wait."""
    proposal = propose(worker)
    with pytest.raises(NotFoundError, match=f"no proposal '99'; known: {proposal.id}"):
        worker.plane.decide("r", "99", actor="key_b", approves=True)
