"""The process that works candidates of all users ahead; `service.processes.readying` starts it.

``python -m service.processes.readying_process HOME VERSION WHOLE PART PARENT CORES``, by
`service.cpu.step_back`; CORES are those that the worker may use, as 0,1,2. On standard input, as
JSON, pseudonyms of the shoppers who are to be first.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from models.artifact import ArtifactStore
from models.errors import EndcapError
from models.ready_candidates import fill, ready_name
from models.vocabulary import MISSING_ROW
from service.cpu.spare_cores import SpareCores
from service.serve.model_segments import KnownBy, user_row
from service.telemetry.logs import configure_logs

log = structlog.get_logger(__name__)


class Order(NamedTuple):
    """What is to be filled."""

    home: Path
    version: str
    whole: Path
    """The file's name when all users are in it."""
    part: Path
    """And before."""


def main(arguments: list[str]) -> int:
    """Fill PART and name it WHOLE, unless the worker that wants it ends before."""
    home, version, whole, part, parent, given = arguments
    order = Order(Path(home), version, Path(whole), Path(part))
    configure_logs(os.environ.get("ENDCAP_LOG_LEVEL", "info"))
    first = msgspec.json.decode(sys.stdin.buffer.read() or b"[]", type=list[KnownBy])
    cores = SpareCores(frozenset(int(core) for core in given.split(",") if core))
    begin_s = time.monotonic()
    try:
        is_whole = work(order, first, partial(_is_wanted, int(parent), cores))
    except (EndcapError, OSError, ValueError) as error:
        log.error("candidates_failed", version=version, reason=str(error))
        return 1
    if is_whole:
        log.info("candidates_ready", version=version, seconds=round(time.monotonic() - begin_s, 1))
    return 0


def work(order: Order, first: Sequence[KnownBy], is_wanted: Callable[[], bool]) -> bool:
    """Fill `part` and rename it; say whether it is whole, else it was not wanted to its end."""
    whole, part = order.whole, order.part
    snapshot = ArtifactStore(order.home).open(order.version)
    if ready_name(snapshot.manifest) != whole.name:
        return False  # somebody was erased meanwhile: another file is wanted

    def goes_on() -> bool:
        return is_wanted() and part.exists()

    rows = [user_row(snapshot.users, *keys) for keys in first]
    wanted = [row for row in rows if row != MISSING_ROW]
    users = range(len(snapshot.users.ids))
    if not (fill(snapshot, part, wanted, goes_on) and fill(snapshot, part, users, goes_on)):
        return False
    part.rename(whole)
    for left in whole.parent.glob("candidates-*"):
        if left != whole and left.suffix == ".part":
            left.unlink(missing_ok=True)
    return True


def _is_wanted(parent: int, cores: SpareCores) -> bool:
    """Tell whether the worker is there, and leave it its core."""
    cores.keep_off([parent])
    return os.getppid() == parent


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
