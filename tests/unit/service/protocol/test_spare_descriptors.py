"""The last file descriptors of a worker are not for connections."""

import resource
from asyncio import BaseTransport

import pytest
from structlog.testing import capture_logs

from service.protocol.spare_descriptors import TOLD_S, SpareDescriptors


class Connection:
    """A socket with a descriptor of one's choice."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """Return it."""
        return self._number


def transport(number: int) -> BaseTransport:
    """Make a transport of such a connection."""
    return BaseTransport({"socket": Connection(number)})


@pytest.mark.parametrize(
    ("limit", "first_refused"),
    [(1_024, 1_024 - 64), (256, 256 - 64), (100, 100 - 25), (resource.RLIM_INFINITY, None)],
)
def test_connection_with_one_of_the_last_descriptors_is_refused(
    limit: int, first_refused: int | None
) -> None:
    """64 are kept back, of few a quarter; each refusal counts."""
    counted: list[int] = []
    spare = SpareDescriptors(lambda: counted.append(1), limit=lambda: limit)
    assert not spare.refuses(transport(70 if first_refused is None else first_refused - 1))
    assert not counted
    if first_refused is not None:
        assert spare.refuses(transport(first_refused))
        assert spare.refuses(transport(limit - 1))
        assert len(counted) == 2


def test_transport_without_a_descriptor_is_taken() -> None:
    """Whatever it is, it takes none of ours."""
    assert not SpareDescriptors(lambda: None, limit=lambda: 4).refuses(BaseTransport())


def test_refusals_are_told_now_and_then_with_what_to_do() -> None:
    """The first at once, those after it together ten seconds later."""
    now_s = 0.0
    spare = SpareDescriptors(lambda: None, monotonic_s=lambda: now_s, limit=lambda: 1_000)
    with capture_logs() as told:
        for _ in range(3):
            assert spare.refuses(transport(999))
        now_s += TOLD_S
        assert spare.refuses(transport(999))
    assert [(one["event"], one["n"], one["limit"]) for one in told] == [
        ("connections_refused", 1, 1_000),
        ("connections_refused", 3, 1_000),
    ]
    assert "ulimit -n" in told[0]["next_step"]
