"""Load LanceDB without its client of remote catalogues, which a store in a folder never calls.

Two thirds of the time of an import go into some hundred methods of that client, each of which is
compiled into a validator.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from threading import Lock
from types import ModuleType

REMOTE_CLIENT = "lance_namespace_urllib3_client.api."
_loading = Lock()


def load_lancedb() -> ModuleType:
    """Import LanceDB, or return it where it is loaded; threads that come meanwhile wait."""
    with _loading:
        if "lancedb" in sys.modules:
            return sys.modules["lancedb"]
        with _placeholders():
            return import_module("lancedb")


class _Placeholders(MetaPathFinder, Loader):
    """Gives modules whose every name is an empty class."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        return ModuleSpec(name, self) if name.startswith(REMOTE_CLIENT) else None

    def exec_module(self, module: ModuleType) -> None:
        def empty(name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {"__module__": module.__name__})

        module.__getattr__ = empty  # type: ignore[method-assign]  # of the module, PEP 562


@contextmanager
def _placeholders() -> Iterator[None]:
    """Answer for the remote client; whoever imports its modules later gets the real ones."""
    finder = _Placeholders()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.startswith(REMOTE_CLIENT)]:
            del sys.modules[name]
