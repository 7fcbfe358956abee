"""A world on disk: its configuration and the two Parquet files the trainer reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from models.errors import ConfigError
from training.simulation.config import WorldConfig
from training.simulation.history import best_sellers, interactions_frame, make_history
from training.simulation.world import World, make_world

N_BEST_SELLERS = 24


class WorldFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``world.json`` holds."""

    config: WorldConfig
    n_rows: int
    """Rows of the interaction file, broken ones included."""
    best_sellers: list[str]
    """Item ids by pieces sold: the merchandiser's list."""


@dataclass(frozen=True, slots=True)
class WorldFiles:
    """Where a world lies."""

    folder: Path

    @property
    def interactions(self) -> Path:
        """The log."""
        return self.folder / "interactions.parquet"

    @property
    def catalog(self) -> Path:
        """The catalogue."""
        return self.folder / "catalog.parquet"

    @property
    def _facts(self) -> Path:
        return self.folder / "world.json"

    def exists(self) -> bool:
        """Tell whether a whole world is here; its facts are written last."""
        return self._facts.exists()

    def write(self, config: WorldConfig) -> tuple[World, WorldFacts]:
        """Make the world of a configuration and put it here."""
        self.folder.mkdir(parents=True, exist_ok=True)
        world = make_world(config)
        history = make_history(world)
        log = interactions_frame(world, history)
        log.write_parquet(self.interactions)
        world.shop.frame().write_parquet(self.catalog)
        facts = WorldFacts(
            config=config,
            n_rows=len(log),
            best_sellers=best_sellers(world, history, N_BEST_SELLERS),
        )
        partial = self._facts.with_suffix(".partial")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(facts)))
        partial.replace(self._facts)
        return world, facts

    def read(self) -> tuple[World, WorldFacts]:
        """Make the world that lies here again; its Parquet files are not read."""
        try:
            facts = msgspec.json.decode(self._facts.read_bytes(), type=WorldFacts)
        except msgspec.DecodeError as error:
            raise ConfigError(
                f"{self._facts} is no world of this version ({error}); remove {self.folder} "
                "or choose another --home"
            ) from error
        return make_world(facts.config), facts
