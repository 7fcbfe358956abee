"""Progress of a long run: each step with its time, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


class Progress:
    """Shows steps as they run and remembers how long each took."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self.seconds: dict[str, float] = {}
        """Name of a step or stage, then its duration; they overlap."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step; a spinner runs meanwhile on a terminal."""
        with self._console.status(name), self.stage(name):
            yield

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what runs beside a step, in any thread."""
        begin = self._clock()
        yield
        self.seconds[name] = round(self._clock() - begin, 3)
        self._console.print(f"{self.seconds[name]:7.1f} s  {name}", highlight=False)

    def say(self, text: str) -> None:
        """Print a line between steps."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
