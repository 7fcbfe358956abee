"""A process that changes a rollout and is killed before one of the statements of the change."""

import os
import signal
import sys
from pathlib import Path

from sqlalchemy import Engine, event

from service.rollouts.definition import Rollout
from tests.unit.service.control.samples import Worker


def main(home: Path, n_survived: int) -> None:
    """Put a rollout at `home`; die when more than `n_survived` statements were begun."""
    worker = Worker(home)
    begun = 0

    def count(*_: object) -> None:
        nonlocal begun
        begun += 1
        if begun > n_survived:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)
    worker.put("rollout", "r", Rollout(share=0.5))
    print(begun)  # noqa: T201  # told to the test
    worker.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
