"""Makes an attack for some seconds, as a process of its own, and says as JSON how it went.

python -m tests.e2e.hostile.attacker NAME PORT SOURCE CONNECTIONS SECONDS
"""

import json
import os
import sys
import time
from collections import Counter

from tests.e2e.hostile.attacks import ATTACKS
from tests.e2e.hostile.door import Door

_POLITE = 15
"""An attacker has a machine of its own; here it is not to take the victims' processor."""


def main(name: str, port: str, source: str, connections: str, seconds: str) -> None:
    """The command."""
    os.nice(_POLITE)
    door = Door(int(port), source, int(connections))
    deadline = time.monotonic() + float(seconds)
    steps = ATTACKS[name](door)
    seen: Counter[int] = Counter()
    count = 0
    while time.monotonic() < deadline:
        pause = next(steps)
        count += 1
        door.pump()
        time.sleep(pause)
    for client in door.clients:
        seen += client.seen
    door.close()
    said = {"steps": count, "cut_off": door.cut_off, "refused": door.refused, "frames": seen}
    used = round(time.process_time(), 2)
    print(json.dumps({**said, "left": len(door.clients), "processor_seconds": used}))


if __name__ == "__main__":
    main(*sys.argv[1:])
