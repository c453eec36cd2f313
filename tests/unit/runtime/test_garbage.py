"""What the collector still walks once a service runs, in a process of its own."""

import subprocess
import sys

_PROGRAM = """
import gc
import chat_gateway.__main__
from notecast_runtime.garbage import freeze_startup_objects

born_with = len(gc.get_objects())
freeze_startup_objects()
print(born_with, gc.get_freeze_count(), len(gc.get_objects()))


class Node:
    pass


class Told:
    gone = 0

    def __del__(self):
        Told.gone += 1


for _ in range(200_000):
    node = Node()
    node.itself, node.told = node, Told()
print(Told.gone)
"""


def test_a_collection_passes_over_what_a_gateway_is_born_with_and_still_finds_new_cycles() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, check=True, text=True, timeout=60
    )
    counts, gone = done.stdout.splitlines()
    born_with, frozen, walked = (int(count) for count in counts.split())
    assert frozen > 0.9 * born_with > 10_000
    assert walked < 1_000
    assert int(gone) > 100_000
