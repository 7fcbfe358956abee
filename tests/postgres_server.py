"""A PostgreSQL server of the tests' own: in a temporary folder, on a socket, stopped at the end."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg

from tests.child_processes import children

_DEBIAN = Path("/usr/lib/postgresql")
_OPTIONS = {
    "listen_addresses": "",
    # What a killed process has written outlives it without; only a power cut asks for it.
    "fsync": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",
}
_TOO_LONG_S = 60


def find_programs() -> Path | None:
    """Find the folder of `initdb` and `pg_ctl`, the newest that Debian has, or none."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda each: float(each.parts[-3]))
    return versions[-1].parent if versions else None


class PostgresServer:
    """A cluster of its own, and the databases in it."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        self._numbers = count(1)

    def initialise(self) -> None:
        """Make the cluster."""
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")
        lines = [f"{name} = '{value}'" for name, value in _OPTIONS.items()]
        lines.append(f"unix_socket_directories = '{self._folder}'")
        with (self._data / "postgresql.conf").open("a") as file:
            file.write("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._run("pg_ctl", "-D", self._data, "-l", self._folder / "log", "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop; `immediate` is a crash."""
        self._run("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Stop it and its connections without a word for a while; the system takes new ones."""
        server = int((self._data / "postmaster.pid").read_text().split()[0])
        stopped = [server, *children(server)]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def make_database(self, encoding: str = "UTF8") -> str:
        """Make an empty database and return its address."""
        name = f"test_{next(self._numbers)}"
        form = "" if encoding == "UTF8" else f" TEMPLATE template0 ENCODING {encoding} LOCALE 'C'"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}{form}".encode())
        return self._address(name)

    def _address(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        if os.geteuid() == 0:
            # The server refuses to run as root.
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(
            command,
            check=True,
            timeout=_TOO_LONG_S,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )


@contextmanager
def run_postgres(programs: Path) -> Iterator[PostgresServer]:
    """Run a server for a while, below the system's folder of temporary files."""
    # Not pytest's: others may not enter it, and the path of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="endcap-pg-"))
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    server = PostgresServer(programs, folder)
    keeper = _clear_after_us(folder)
    try:
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        keeper.communicate()


def _clear_after_us(folder: Path) -> subprocess.Popen[bytes]:
    """Start what ends the server and clears its folder as soon as this process ends, also killed.

    It reads a pipe that nobody writes to: the end of the process that holds the other end is the
    end of the file. Hundreds of databases take many seconds to clear, which nobody waits for.
    """
    clear = '{ pid=$(head -n 1 "$0/data/postmaster.pid") && kill -QUIT "$pid"; rm -rf "$0"; } &'
    script = f"cat; {clear}"
    return subprocess.Popen(
        ["sh", "-c", script, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
