"""The model versions of a home, and the one that is live."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from models.artifact import ArtifactStore
from service.live_model import LiveModel
from service.opening.ground import Ground


class Model(NamedTuple):
    """All versions, and the one that answers."""

    artifacts: ArtifactStore
    live: LiveModel


def open_model(ground: Ground) -> Model:
    """Open the live version, if there is one, and follow the pointer."""
    artifacts = ArtifactStore(ground.home)
    live = LiveModel(artifacts, ground.metrics.show_model)
    live.refresh()
    ground.keep_running(partial(live.watch, ground.settings.model_poll_ms / 1000))
    return Model(artifacts, live)
