"""Keeps the index of the live model, and puts it under the configuration of the moment."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from models.errors import NotFoundError
from models.snapshot import Snapshot
from service.catalogue.index import CatalogueIndex
from service.catalogue.views import CatalogueView
from service.control.configuration import Configuration


class CatalogueReader:
    """One for a process; it takes memory only once somebody has looked."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot | None],
        configuration: Callable[[], Configuration],
        shown: Callable[[int], dict[str, int]],
    ) -> None:
        """Take `shown` from `InsightsReader`: items by how often they were shown in some days."""
        self._snapshot = snapshot
        self._configuration = configuration
        self._shown = shown
        self._lock = Lock()
        self._index: CatalogueIndex | None = None

    def view(self, n_days: int) -> CatalogueView:
        """Return the catalogue as of now; the first call under a new model makes its index.

        Raises
        ------
        NotFoundError
            If no model is live.
        EndcapError
            If the event store cannot be read.
        """
        return CatalogueView(self.index(), self._configuration(), self._shown(n_days))

    def index(self) -> CatalogueIndex:
        """Return the index of the live model.

        Raises
        ------
        NotFoundError
            If no model is live.
        """
        snapshot = self._snapshot()
        if snapshot is None:
            raise NotFoundError(
                "no model is live, so there is no catalogue to look into; train one with "
                "'endcap train --interactions FILE --catalog FILE'"
            )
        with self._lock:
            if self._index is None or self._index.snapshot is not snapshot:
                self._index = CatalogueIndex(snapshot)
            return self._index
