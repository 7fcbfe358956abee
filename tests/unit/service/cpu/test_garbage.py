"""The garbage collector is held off for as long as it should, and no longer."""

import gc
import subprocess
import sys

import pytest

from service.cpu.garbage import COLLECT_AFTER, held_off

SETTLED = """
import gc
from service.cpu.garbage import held_off, settle

class Node: pass

settle()
print(gc.get_threshold()[:2])
frozen = gc.get_freeze_count()
with held_off():
    made = [Node() for _ in range(50_000)]
print(gc.get_freeze_count() - frozen >= 50_000, gc.get_count()[0] < 5_000, gc.isenabled())
"""


def test_collector_waits_and_goes_on() -> None:
    """Also where something fails, and in one that was off it stays off."""
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), held_off():
        _ = 1 / gc.isenabled()
    assert gc.isenabled()
    with held_off(), held_off():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_was_made_meanwhile_is_hidden_in_a_process_that_settled() -> None:
    """The next collection has not all of it to look at, which would be a pause after all."""
    command = [sys.executable, "-c", SETTLED]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told == [str(COLLECT_AFTER[:2]), "True True True"]  # the third is 0 since 3.14
