"""The command: `python -m tests.chaos`, told by CHAOS_SECONDS, CHAOS_SEED and the like.

Exits with 0 where every promise was kept, with 1 where one was not or the system did not
run, with 2 where a setting is wrong, and with 130 where it was interrupted.
"""

import asyncio
import signal
import sys

import rich.console
from pydantic import ValidationError

from tests.chaos.folder import RunFolder
from tests.chaos.live import Line
from tests.chaos.run import run
from tests.chaos.settings import ChaosSettings
from tests.chaos.system import SystemFailedError
from tests.chaos.tables import show

_INTERRUPTED = 130


async def _run(settings: ChaosSettings, console: rich.console.Console) -> int:
    folder = RunFolder(settings.folder.resolve())
    running = asyncio.current_task()
    assert running is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    plan = settings.plan()
    without = f", without {plan.without}" if plan.without else ""
    console.print(f"seed {plan.seed}, {plan.seconds:g} s of faults{without}", highlight=False)
    try:
        async with Line(console) as live:
            findings = await run(plan, folder, live)
    except asyncio.CancelledError:
        console.print("interrupted")
        return _INTERRUPTED
    except FileExistsError as refusal:
        console.print(str(refusal), style="red", markup=False, highlight=False)
        return 2
    except SystemFailedError as failure:
        console.print(str(failure), style="red", markup=False, highlight=False)
        return 1
    show(findings, console)
    console.print(f"files: {folder.root}", highlight=False, soft_wrap=True)
    return 1 if findings.breaches else 0


def main() -> int:
    """The command; returns its exit code."""
    console = rich.console.Console()
    try:
        settings = ChaosSettings()
    except ValidationError as error:
        for problem in error.errors():
            name = f"CHAOS_{str(problem['loc'][0]).upper()}"
            print(f"{name}={problem['input']!r} is not allowed: {problem['msg']}", file=sys.stderr)
        return 2
    return asyncio.run(_run(settings, console))


if __name__ == "__main__":
    sys.exit(main())
