"""When the event loop may read by itself: while that is quick."""

import pytest

from service.intake.quick_reads import PAUSE_S, QuickReads


class Disk:
    """A disk whose reads take as long as it is told, on a clock of its own."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.takes_s = 0.0

    def read(self) -> str:
        """Take the time."""
        self.now_s += self.takes_s
        return "found"


def test_quick_reads_stay_in_the_loop() -> None:
    """A hundred of a tenth of a millisecond, and one of eight ms among them, are no reason."""
    disk = Disk()
    quick = QuickReads(lambda: disk.now_s)
    for number in range(100):
        disk.takes_s = 0.008 if number == 50 else 0.0001
        assert quick.are_allowed()
        assert quick.read(disk.read) == "found"
    assert quick.are_allowed()


def test_slow_reads_leave_the_loop_for_a_while() -> None:
    """Of reads that take 20 ms two are borne: 0.1 · 20 + 0.9 · 0.1 · 20 ms is above 3 ms."""
    disk = Disk()
    quick = QuickReads(lambda: disk.now_s)
    disk.takes_s = 0.02
    quick.read(disk.read)
    assert quick.are_allowed()
    quick.read(disk.read)
    assert not quick.are_allowed()
    disk.now_s += PAUSE_S
    assert quick.are_allowed()


def test_failure_is_the_callers() -> None:
    """What goes wrong is raised, and its time counts too."""
    disk = Disk()
    quick = QuickReads(lambda: disk.now_s)

    def fail() -> None:
        disk.now_s += 1.0
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        quick.read(fail)
    assert not quick.are_allowed()
