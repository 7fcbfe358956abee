"""Workers that are forked: what they share, and what they must not inherit."""

import subprocess
import sys

import pytest

SCRIPT = """
import gc, os, signal, sys
import uvicorn
from uvicorn.supervisors import multiprocess
from service.processes.forked_workers import fork_workers

def target(sockets):
    handlers = {signal.getsignal(one) for one in multiprocess.SIGNALS}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    print(handlers == {signal.SIG_DFL}, blocked & set(multiprocess.SIGNALS) == set(),
          "wave" in sys.modules, gc.isenabled(), os.getppid() == supervisor, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

fork_workers("wave", "gc:disable")
supervisor = os.getpid()
config = uvicorn.Config("nothing:here", log_config=None)
before = multiprocess.Multiprocess(config, sockets=[])
worker = multiprocess.get_subprocess(config, target, [])
worker.start()
worker.join(20)
print(worker.exitcode, signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL,
      signal.pthread_sigmask(signal.SIG_BLOCK, []) == set())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers start from nothing")
def test_forked_worker_has_what_is_shared_and_not_the_handlers_of_its_supervisor() -> None:
    """Modules are imported and functions called before; a signal that stops a worker must not be
    taken for one to the supervisor and lost."""
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.splitlines() == ["True True True False True", "-15 True True"], ran.stderr
