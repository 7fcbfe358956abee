"""How long each stage of serving a page took: what /metrics and `Server-Timing` say."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Literal, get_args

Stage = Literal["decode", "gather", "decide", "encode"]
"""The key and the body; profile and newest events; slates; bytes and the queue of exposures."""

STAGES: tuple[Stage, ...] = get_args(Stage)


class Stopwatch:
    """Runs from when it is made; each `lap` ends one of `STAGES`, in their order."""

    __slots__ = ("_clock_s", "laps_s", "started_s")

    def __init__(self, clock_s: Callable[[], float] = perf_counter) -> None:
        self._clock_s = clock_s
        self.started_s = clock_s()
        self.laps_s: list[float] = []
        """When each stage ended."""

    def lap(self) -> None:
        """End a stage."""
        self.laps_s.append(self._clock_s())

    def durations_s(self) -> list[float]:
        """Return how long the stages took that have ended."""
        durations, before = [], self.started_s
        for at in self.laps_s:
            durations.append(at - before)
            before = at
        return durations

    def server_timing(self) -> str:
        """Write the value of a `Server-Timing` header, in ms."""
        return ", ".join(
            f"{stage};dur={seconds * 1000:.3f}"
            for stage, seconds in zip(STAGES, self.durations_s(), strict=False)
        )
