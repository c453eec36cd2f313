"""The command: `python -m tests.e2e.kubernetes`; see `settings` for what it may be told.

Exits with 0 where every step worked, nothing was lost, repeated, reordered or late, and no stream
broke and no send failed while gateways were scaled and rolled; with 1 where not; with 2 where a
setting is wrong; with 130 where it was interrupted.
"""

import asyncio
import signal
import sys

import rich.console
from pydantic import ValidationError

from tests.chaos.tables import show
from tests.e2e.kubernetes.commands import CommandError
from tests.e2e.kubernetes.disturbances import ORDERLY
from tests.e2e.kubernetes.run import Run
from tests.e2e.kubernetes.settings import RunSettings

_INTERRUPTED = 130


async def _run(settings: RunSettings, console: rich.console.Console) -> int:
    running = asyncio.current_task()
    assert running is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    run = Run(settings, console)
    try:
        findings = await run.run()
    except asyncio.CancelledError:
        console.print("interrupted")
        return _INTERRUPTED
    except (CommandError, AssertionError, TimeoutError, FileExistsError) as failure:
        run.steps.show()
        console.print(str(failure), style="red", markup=False, highlight=False)
        return 1
    run.steps.show()
    breaks = run.breaks()
    console.print(breaks.table())
    show(findings, console)
    noticed = breaks.among(ORDERLY)
    if noticed:
        console.print(f"clients should not have noticed, and did: {noticed}", style="red")
    return 1 if findings.breaches or noticed else 0


def main() -> int:
    """The command; returns its exit code."""
    try:
        settings = RunSettings()
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0]).upper()
            print(f"{name}={problem['input']!r} is not allowed: {problem['msg']}", file=sys.stderr)
        return 2
    return asyncio.run(_run(settings, rich.console.Console()))


if __name__ == "__main__":
    sys.exit(main())
