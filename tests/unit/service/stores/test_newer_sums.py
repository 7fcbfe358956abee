"""Loops that meet sums of a newer release again and again."""

import asyncio

import pytest
from structlog.testing import capture_logs

from service.learning.learner import BannerLearner
from service.privacy.retention_runner import RetentionRunner
from service.reports.lift_keeper import LiftKeeper
from service.reports.ramp_runner import RampRunner
from service.stores import newer_sums
from service.stores.newer_sums import NewerSumsError
from service.telemetry.request_tally import RequestCounts

N_ROUNDS = 3


@pytest.mark.parametrize("kind", [BannerLearner, LiftKeeper, RampRunner, RetentionRunner])
def test_loop_says_once_that_sums_are_newer(
    kind: type[BannerLearner | LiftKeeper | RampRunner | RetentionRunner],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes on trying, for the newer machines may have gone; its log does not fill up."""
    rounds: list[int] = []

    def refuse(_: object) -> None:
        rounds.append(1)
        raise NewerSumsError("rollup", 2, 1)

    monkeypatch.setattr(kind, "run_once", refuse)
    monkeypatch.setattr(RetentionRunner, "_has_work", True)
    monkeypatch.setattr(RampRunner, "take_requests", lambda _: RequestCounts(0, 1, (), 0))
    monkeypatch.setattr(RampRunner, "keep", lambda *_: None)

    async def run() -> None:
        task = asyncio.create_task(object.__new__(kind).watch(0))
        while len(rounds) < N_ROUNDS and not task.done():
            await asyncio.sleep(0)
        assert task.cancel()

    newer_sums._tell.cache_clear()
    with capture_logs() as lines:
        asyncio.run(run())
    assert [line["event"] for line in lines] == ["sums_of_a_newer_release"]
    assert "version 2; this one makes 1" in lines[0]["detail"]
