"""The names of keys, under which people know each other in the console."""

from __future__ import annotations

from collections.abc import Callable

from service.control.keys import list_keys
from service.stores.control import ControlStore


class KeyNames:
    """Looks names up, reading them once for each state of the control plane."""

    def __init__(self, store: ControlStore, revision: Callable[[], int]) -> None:
        self._store = store
        self._revision = revision
        self._known: tuple[int, dict[str, str]] = (-1, {})

    def of(self, actor: str) -> str:
        """Return the name of a key; of anyone else, who is no key, what the trail says."""
        revision = self._revision()
        if self._known[0] != revision:
            self._known = (revision, {key.id: key.name for key in list_keys(self._store)})
        return self._known[1].get(actor, actor)
