"""What one worker process holds of people in memory, and how it drops it, whoever erased them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

import structlog

from service.intake.opening import Intake
from service.live_model import LiveModel
from service.serve.engine import Engine
from service.stores.erasures import Erasure, ErasureReader

POLL_S = 0.2
MANY = 50
"""Pseudonyms of one person, beyond which the profiles of all are dropped: each is looked for in all
of them, in the event loop, and they are made anew as pages come."""
AGAIN_S = 2.0
"""After so long it drops them once more, for what was being read when they were erased."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerMemory:
    """Every cache with pseudonyms in it."""

    intake: Intake
    engine: Engine
    live_model: LiveModel

    def forget(self, keys: Collection[str]) -> None:
        """Drop these pseudonyms; call it in the event loop."""
        self.intake.recents.forget(keys)
        self.intake.people.forget(keys)
        self.intake.banner_views.forget(keys)
        if len(keys) > MANY:
            self.engine.forget_all()
        else:
            for key in keys:
                self.engine.forget(key)

    def forget_all(self) -> None:
        """Drop every pseudonym; call it in the event loop."""
        self.intake.recents.forget_all()
        self.intake.people.forget_all()
        self.intake.banner_views.forget_all()
        self.engine.forget_all()

    def drop(self, erasures: Collection[Erasure]) -> None:
        """Drop those who were erased; call it in the event loop."""
        for erasure in erasures:
            if erasure.keys is None:
                self.forget_all()
            else:
                self.forget(erasure.keys)

    async def follow(self, reader: ErasureReader, poll_s: float = POLL_S) -> None:
        """Drop whoever is erased anywhere until cancelled; what fails is logged and tried again."""
        loop = asyncio.get_running_loop()
        is_outdated = False
        while True:
            await asyncio.sleep(poll_s)
            try:
                erasures = await asyncio.to_thread(reader.read_new)
                if erasures:
                    self.drop(erasures)
                    loop.call_later(AGAIN_S, self.drop, erasures)
                    is_outdated = True
                if is_outdated:
                    # Some seconds for a large model, and the caches do not wait for it.
                    await asyncio.to_thread(self.live_model.reopen)
                    is_outdated = False
            except Exception:  # a task's loop: the next round may succeed
                _log.exception("erasures_not_followed")
