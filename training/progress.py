"""Progress of a long run: each step with its time, and what is under way, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

QUIET_S = 15.0
"""After so long without a line, where there is no spinner, one says what is under way."""


class Progress:
    """Says what is done, shows what is under way, and remembers how long each step took."""

    def __init__(
        self, console: Console, clock: Callable[[], float], quiet_s: float = QUIET_S
    ) -> None:
        self._console = console
        self._clock = clock
        self._quiet_s = quiet_s
        self._begun: dict[str, float] = {}
        self._spoke_at = clock()
        self.seconds: dict[str, float] = {}
        """Name of a step, then its duration; they overlap."""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show until the block ends what is under way: by a spinner, or by a line now and then.

        After Ctrl-C a line says what has to end first.
        """
        try:
            with self._spinning() if self._console.is_terminal else self._telling():
                yield
        except KeyboardInterrupt:
            if names := self.under_way():
                self._print(f"interrupted; this ends first: {names}")
            raise

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step, in any thread."""
        self._begun[name] = begin = self._clock()
        try:
            yield
        finally:
            self._begun.pop(name, None)
        self.seconds[name] = round(self._clock() - begin, 3)
        self._print(f"{self.seconds[name]:7.1f} s  {name}")

    def say(self, text: str) -> None:
        """Print a line between steps."""
        self._print(text)

    def under_way(self) -> str:
        """Name the steps that have begun and not ended, with their seconds so far."""
        now = self._clock()
        # One call, so that no other thread begins a step in the middle.
        begun = list(self._begun.items())
        return ", ".join(f"{name} ({now - begin:.0f} s)" for name, begin in begun)

    def _print(self, text: str) -> None:
        self._spoke_at = self._clock()
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _spinning(self) -> Live:
        spinner = Spinner("dots")

        def draw() -> Spinner:
            spinner.update(text=Text(self.under_way()))
            return spinner

        return Live(
            get_renderable=draw, console=self._console, transient=True, refresh_per_second=10
        )

    @contextmanager
    def _telling(self) -> Iterator[None]:
        is_done = Event()
        teller = Thread(target=self._tell, args=(is_done,), daemon=True)
        teller.start()
        try:
            yield
        finally:
            is_done.set()
            teller.join()

    def _tell(self, is_done: Event) -> None:
        while not is_done.wait(self._quiet_s):
            names = self.under_way()
            if names and self._clock() - self._spoke_at >= self._quiet_s:
                self._print(f"  under way: {names}")
