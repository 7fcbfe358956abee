"""Which shelf a page is filled from: that of the live model under the newest documents.

What the first page of a new one would have to work out is prepared in another thread, and shoppers
who are known move to a new model a few at a time, see `Handover`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from models.ready_candidates import ReadyCandidates
from models.snapshot import Snapshot
from service.control.configuration import Configuration
from service.cpu.breath import no_breath
from service.serve.handover import Handover
from service.serve.model_segments import KnownBy
from service.serve.read_ahead import read_ahead
from service.serve.shared_candidates import SharedCandidates
from service.serve.shelf import Shelf
from service.serve.stock import Stock

Ready = Callable[[Snapshot, Sequence[KnownBy]], ReadyCandidates | None]


class Shelves:
    """Follows the live model and the documents in this process."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        snapshot: Callable[[], Snapshot | None],
        monotonic_s: Callable[[], float],
        shared: SharedCandidates | None = None,
    ) -> None:
        self._configuration = configuration
        self._snapshot = snapshot
        self._monotonic_s = monotonic_s
        self._shared = shared
        self._shelf: Shelf | None = None
        self.prepared: Shelf | None = None
        """What no page has asked for yet."""
        self._stock: Stock | None = None
        """Of the model that was prepared last."""
        self.handover: Handover | None = None
        """While some shoppers still have the model before."""

    def newest(self) -> Shelf:
        """Return the shelf of the live model under the newest configuration."""
        configuration, snapshot, shelf = self._configuration(), self._snapshot(), self._shelf
        if shelf is not None and _is_of(shelf, snapshot) and shelf.configuration is configuration:
            return shelf
        prepared, self.prepared = self.prepared, None
        if (
            prepared is None
            or prepared.configuration is not configuration
            or not _is_of(prepared, snapshot)
        ):
            prepared = Shelf(self._stock_of(snapshot), configuration)
        self.handover = None
        if shelf is not None and _is_new_model(shelf, prepared):
            self.handover = Handover(shelf, self._monotonic_s())
        self._shelf = prepared
        return prepared

    def handing_over(self) -> Handover | None:
        """Return the handover that is under way, if one is."""
        if self.handover is not None and self.handover.is_over(self._monotonic_s()):
            self.handover = None
        return self.handover

    def prepare(
        self,
        snapshot: Snapshot,
        ready: ReadyCandidates | None,
        now_ms: int,
        breathe: Callable[[], None] = no_breath,
    ) -> None:
        """Do in another thread what else the first request under a new model would do.

        `breathe` is called between two pieces of it.
        """
        read_ahead(snapshot, breathe)
        self._stock = stock = Stock(snapshot, ready, self._shared)
        self._prepare(stock, self._configuration(), now_ms, breathe)

    def prepare_configuration(self, configuration: Configuration, now_ms: int) -> None:
        """Do in another thread what else the first request under new documents would do."""
        stock = self._stock_of(self._snapshot())
        if stock is not None:
            self._prepare(stock, configuration, now_ms, no_breath)

    def forget(self) -> None:
        """Let go of what workers share of shoppers, whoever they are."""
        if self._shared is not None:
            self._shared.clear()

    def _prepare(
        self,
        stock: Stock,
        configuration: Configuration,
        now_ms: int,
        breathe: Callable[[], None],
    ) -> None:
        shelf = Shelf(stock, configuration)
        shelf.warm_up(now_ms, breathe)
        self.prepared = shelf

    def _stock_of(self, snapshot: Snapshot | None) -> Stock | None:
        """Return the stock of a snapshot; there is one already, unless nobody prepared it."""
        if snapshot is None:
            return None
        shelved = None if self._shelf is None else self._shelf.stock
        for stock in (shelved, self._stock):
            if stock is not None and stock.snapshot is snapshot:
                return stock
        self._stock = Stock(snapshot, shared=self._shared)
        return self._stock


def _is_of(shelf: Shelf, snapshot: Snapshot | None) -> bool:
    return (None if shelf.stock is None else shelf.stock.snapshot) is snapshot


def _is_new_model(before: Shelf, after: Shelf) -> bool:
    """Whether nothing but the model differs; of the same version, somebody was erased from it."""
    return (
        None not in (before.version, after.version)
        and before.version != after.version
        and before.configuration is after.configuration
    )
