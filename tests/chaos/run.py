"""One run: the system is started, harmed and healed, all catch up, and the files are checked."""

import asyncio

from tests.chaos.cast import draw_cast
from tests.chaos.crowd import Crowd, rooms_of
from tests.chaos.findings import Findings
from tests.chaos.folder import RunFolder
from tests.chaos.injector import Injector
from tests.chaos.live import Live, Silent
from tests.chaos.plan import Plan
from tests.chaos.records import Journal
from tests.chaos.recovery import look
from tests.chaos.schedule import draw_schedule
from tests.chaos.system import System


async def run(plan: Plan, folder: RunFolder, live: Live | None = None) -> Findings:
    """Runs a plan; no process is left when it comes back, however it does.

    Args:
        plan: what to do.
        folder: for all files; what an earlier run left there is removed.
        live: shows how it goes.

    Raises:
        Exception: the system could not be started, or not be put right after a fault.
    """
    folder.begin(plan)
    system, crowd = System(plan, folder), Crowd(folder, plan.seed)
    journal = Journal(folder.faults)
    injector = Injector(system, crowd, journal)
    live = live or Silent()
    live.watch(crowd, injector)
    try:
        live.phase("starting")
        await system.start()
        await _play(plan, system, crowd, injector, live)
        live.phase("healing", plan.settle_seconds)
        for looked in await look(system, plan.settle_seconds):
            journal.write(looked)
        live.phase("catching up", plan.settle_seconds)
        await _catch_up(plan, system, crowd)
    finally:
        journal.close()
        await crowd.stop()
        await system.stop()
    live.phase("checking")
    findings = await asyncio.to_thread(folder.check)
    folder.write_report(findings)
    return findings


async def _play(plan: Plan, system: System, crowd: Crowd, injector: Injector, live: Live) -> None:
    await crowd.begin(
        draw_cast(plan),
        {name: door.port for name, door in system.readers_doors.items()},
        {name: door.port for name, door in system.writers_doors.items()},
    )
    live.phase("running", plan.seconds)
    end = asyncio.get_running_loop().time() + plan.seconds
    await injector.run(draw_schedule(plan))
    await asyncio.sleep(max(0.0, end - asyncio.get_running_loop().time()))


async def _catch_up(plan: Plan, system: System, crowd: Crowd) -> None:
    await crowd.finish_writers(plan.settle_seconds)
    heads = {room: await system.head(room) for room in rooms_of(draw_cast(plan).readers)}
    await crowd.finish_readers(heads, plan.settle_seconds)
