"""What a long run says of itself meanwhile."""

import io
import itertools
from threading import Event

import pytest
from rich.console import Console

from training.progress import Progress

WITHIN_S = 10.0


class Said(io.StringIO):
    """A standard error that tells when something was said."""

    def __init__(self, awaited: str) -> None:
        super().__init__()
        self._awaited = awaited
        self.is_there = Event()

    def write(self, text: str) -> int:
        """Remember the text."""
        written = super().write(text)
        if self._awaited in self.getvalue():
            self.is_there.set()
        return written


def test_step_tells_its_seconds_when_it_is_done() -> None:
    """It began at 1 and ended at 3.5; one that fails is not said to be done."""
    times = iter([0.0, 1.0, 3.5, 3.5])
    said = io.StringIO()
    progress = Progress(Console(file=said), lambda: next(times))
    with progress.step("past: als"):
        pass
    assert said.getvalue() == "    2.5 s  past: als\n"
    assert progress.seconds == {"past: als": 2.5}


def test_what_is_under_way_is_named_with_its_seconds() -> None:
    """Two steps at once, of which one ends by an error: it is under way no more, nor done."""
    times = itertools.count()
    progress = Progress(Console(file=io.StringIO()), lambda: float(next(times)))
    with progress.step("first"):
        try:
            with progress.step("second"):
                assert progress.under_way() == "first (2 s), second (1 s)"
                raise ValueError
        except ValueError:
            assert progress.under_way() == "first (3 s)"
    assert list(progress.seconds) == ["first"]
    assert progress.under_way() == ""


def test_silence_is_broken_by_what_is_under_way() -> None:
    """In a log file a step of minutes is told before it ends, without anybody asking."""
    times = itertools.count()
    said = Said("under way: all: merge (")
    progress = Progress(Console(file=said), lambda: float(next(times)), quiet_s=0.01)
    with progress.shown(), progress.step("all: merge"):
        assert said.is_there.wait(WITHIN_S)
    assert " s  all: merge\n" in said.getvalue()


def test_terminal_shows_what_is_under_way_and_takes_it_away() -> None:
    """Beside the spinner; the lines of the steps stay."""
    times = itertools.count()
    said = Said("all: merge (")
    console = Console(file=said, force_terminal=True, width=80)
    progress = Progress(console, lambda: float(next(times)))
    with progress.shown(), progress.step("all: merge"):
        assert said.is_there.wait(WITHIN_S)
    assert "\x1b[2K" in said.getvalue().rpartition("all: merge (")[2]  # the line is emptied


@pytest.mark.parametrize("is_terminal", [False, True])
def test_interruption_says_what_has_to_end_first(is_terminal: bool) -> None:
    """A work that cannot stop in the middle is named, so that nobody takes the run for dead."""
    times = itertools.count()
    said = io.StringIO()
    console = Console(file=said, force_terminal=is_terminal, width=80)
    progress = Progress(console, lambda: float(next(times)), quiet_s=60.0)

    def interrupt() -> None:
        with progress.shown():
            raise KeyboardInterrupt

    with progress.step("past: merge"), pytest.raises(KeyboardInterrupt):
        interrupt()
    assert "interrupted; this ends first: past: merge (" in said.getvalue()
