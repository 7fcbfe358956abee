"""Users are taken out of a snapshot in one pass over it."""

from models.erasure import without_users
from tests.unit.models.small_snapshot import make_snapshot


class Listed(list[str]):
    """A list of names in which nobody looks for one user after the other."""

    def __contains__(self, one: object) -> bool:
        """Fail: with tens of thousands of names, each look is as many comparisons."""
        raise AssertionError(f"{one} was looked for")


def test_users_of_a_long_list_are_taken_out() -> None:
    """Those that the snapshot knows go, in whatever order they are named; else it stays."""
    snapshot = make_snapshot()
    first, *others = snapshot.users.ids
    left = without_users(snapshot, Listed(["nobody", first, "nobody else"]))
    assert left is not None
    assert list(left.users.ids) == others
    assert without_users(snapshot, Listed(["nobody"])) is None
