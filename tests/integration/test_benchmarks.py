"""The benchmarks' programs do what they say: a look at each, far too short for figures."""

import asyncio
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmarks import go_programs
from benchmarks.cases import HUB, TUTORIAL, WIRE, Case, Dialect, Mode
from benchmarks.errors import UsageError
from benchmarks.plan import Pace, make_plan
from benchmarks.runner import Findings, Runner
from tests.support.processes import children_of, lives
from tests.support.waiting import eventually

BENCHMARKS = Path(go_programs.__file__).parent
PACE = Pace(warm=0.2, measured=0.8, settle=3.0, limit=60.0)
CASE = Case(
    "case",
    "",
    (WIRE, HUB),
    rooms=3,
    streams=4,
    connections=2,
    notes_per_second=60,
)
# The first build of all fetches modules and compiles them.
pytestmark = pytest.mark.timeout(600)


class Silent:
    def begins(self, what: str) -> None:
        pass

    def passed(self, seconds: float) -> None:
        pass


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The load generator and the hub."""
    try:
        go_programs.go_version()
    except UsageError as error:
        pytest.skip(f"THE BENCHMARKS WERE NOT TRIED: {error}")
    folder = tmp_path_factory.mktemp("go")
    return go_programs.build("load", folder), go_programs.build("hub", folder)


async def run(programs: tuple[Path, Path], folder: Path, *cases: Case) -> Findings:
    findings = await Runner(*programs, folder, PACE, (), Silent()).run(make_plan(cases, PACE))
    assert findings.faults == []
    assert findings.left_out == []
    for (reports,) in findings.reports.values():
        assert (reports.lost, reports.repeated, reports.behind) == (0, 0, 0)
        assert (reports.failed, reports.ended) == (0, 0)
    return findings


async def test_every_server_is_measured_under_every_kind_of_load(
    programs: tuple[Path, Path], tmp_path: Path
) -> None:
    storm = replace(CASE, name="storm", mode=Mode.STORM, rooms=1, notes_per_second=0)
    tutorial = replace(
        CASE, name="tutorial", servers=(HUB, TUTORIAL), rooms=1, dialect=Dialect.TUTORIAL
    )
    idle = replace(CASE, name="idle", servers=(HUB,), mode=Mode.IDLE, alone=True)
    findings = await run(programs, tmp_path, CASE, storm, tutorial, idle)
    assert {server for _, server in findings.reports} == {WIRE, HUB, TUTORIAL}
    for (case, server), (report,) in findings.reports.items():
        assert report.delivered > 0, (case, server)
        assert all(part.cpu_seconds > 0 for part in report.processes.values()), (case, server)
    (stormed,) = findings.reports["storm", WIRE]
    assert stormed.delivered == 4 * 1_000
    assert set(stormed.processes) == {"gateway", "redis", "history"}


async def test_a_server_that_is_not_there_is_a_fault_and_no_figure(
    programs: tuple[Path, Path], tmp_path: Path
) -> None:
    missing = (programs[0], tmp_path / "missing")
    plan = make_plan([replace(CASE, servers=(HUB,))], PACE)
    findings = await Runner(*missing, tmp_path, PACE, (), Silent()).run(plan)
    assert findings.reports == {}
    assert findings.faults[0].startswith("hub ended with status")


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
async def test_nothing_is_left_of_a_run_that_is_interrupted(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", "--quick", "--cases", "hot-room"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seen: set[psutil.Process] = set()

    def is_loaded() -> bool:
        with suppress(psutil.Error):  # a short-lived child may end while it is looked at
            seen.update(children_of(process.pid))
            return any(Path(each.cmdline()[0]).name == "load" for each in seen if lives(each))
        return False

    try:
        await eventually(is_loaded, "the load runs", 60)
        process.send_signal(number)
        async with asyncio.timeout(20):
            assert await process.wait() != 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert len(seen) > 3
    assert [each for each in seen if lives(each)] == []


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("folder", ["load", "hub"])
def test_the_programs_in_go_are_formatted_vetted_and_tested(folder: str) -> None:
    if shutil.which("gofmt"):
        assert output("gofmt", "-l", ".", folder=folder) == ""
    output("go", "vet", "./...", folder=folder)
    output("go", "test", "./...", folder=folder)


def output(*command: str, folder: str) -> str:
    answer = subprocess.run(
        command, cwd=BENCHMARKS / folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert answer.returncode == 0, f"{answer.stdout}{answer.stderr}"
    return answer.stdout
