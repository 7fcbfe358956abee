"""The service with a clock that a test can move: wall time plus the ms in a file of the home.

`PROGRAM` is `endcap` with it, for `run_server`; the workers of a supervisor have it too.
"""

from pathlib import Path

from litestar import Litestar

from service import app as service_app
from service.settings import settings_from_environment
from service.telemetry.logs import configure_logs

PROGRAM = (
    "import service.run, endcap; service.run.APP = 'tests.end_to_end.stepping_clock:app'; "
    "endcap.main()"
)
OFFSET_FILE = "clock-offset"


def app() -> Litestar:
    """Make the app of a worker process whose clock is off by what the file says."""
    settings = settings_from_environment()
    configure_logs(settings.log_level)
    offset = settings.home / OFFSET_FILE
    return service_app.create_app(
        settings, now_ms=lambda: service_app.wall_clock_ms() + _read(offset)
    )


def step(home: Path, offset_ms: int) -> None:
    """Move the clock of the servers of a home."""
    draft = home / f"{OFFSET_FILE}.new"
    draft.write_text(str(offset_ms))
    draft.replace(home / OFFSET_FILE)


def _read(path: Path) -> int:
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return 0
