# ruff: noqa: INP001 - no part of a package: Python finds it in its folder
"""Has a service say what memory it holds, in a file, as it gets SIGUSR2.

Python runs it before all else in a process that finds it by its name (docs.python.org, `site`).
"""

import os
import signal
from pathlib import Path

from tests.support.census import allocated_bytes


def _tell(*_: object) -> None:
    told = Path(os.environ["TOLD_MEMORY_FOLDER"], str(os.getpid()))
    begun = told.with_suffix(".begun")
    begun.write_text(str(allocated_bytes()))
    begun.rename(told)


signal.signal(signal.SIGUSR2, _tell)
