"""Runs all of Notecast as local processes: `python -m notecast_local`."""

import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path

from notecast_local.console import Console
from notecast_local.envoy import CONFIGURATION, render
from notecast_local.errors import LocalStackError
from notecast_local.folder import data_folder
from notecast_local.guide import guide
from notecast_local.ports import StackPorts, choose_ports
from notecast_local.settings import LocalSettings, read_settings
from notecast_local.stack import stages_of
from notecast_local.supervisor import StopRequests, Supervisor


def main() -> int:
    """Runs the command; returns its exit code."""
    settings = read_settings(sys.argv[1:])
    console = Console(sys.stdout)
    try:
        with data_folder(settings.folder):
            ports = choose_ports(settings)
            configuration = render(CONFIGURATION.read_text(), ports, settings.edge)
            (settings.folder / "envoy.yaml").write_text(configuration)
            asyncio.run(_run(settings, ports, console))
    except LocalStackError as error:
        Console(sys.stderr).fail(str(error))
        return 1
    console.say("stopped")
    return 0


async def _run(settings: LocalSettings, ports: StackPorts, console: Console) -> None:
    supervisor = Supervisor(settings.folder / "log", _requests_by_signal(), console)
    await supervisor.run(
        stages_of(ports, settings.folder, os.environ),
        on_ready=lambda: console.say(guide(ports, _client())),
    )


def _client() -> str:
    """The path of this environment's sample client, relative to the current folder if possible."""
    path = Path(sys.executable).parent / "notecast"
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _requests_by_signal() -> StopRequests:
    """Stops on Ctrl-C, SIGTERM and when the terminal closes; another Ctrl-C does not wait."""
    requests = StopRequests()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # started by nohup: the terminal may close
        ask = partial(requests.request, impatient=number == signal.SIGINT)
        loop.add_signal_handler(number, ask)
    return requests


if __name__ == "__main__":
    sys.exit(main())
