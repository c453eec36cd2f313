"""Runs the load generator (the program in `load/`) and reads what it measured."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.cases import STORM_NOTES, Case, Mode
from benchmarks.errors import LoadError
from benchmarks.plan import Pace
from benchmarks.servers import Server
from notecast_local import leash

_SPARE_SECONDS = 30.0
_STORM_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Spread:
    """Durations, in milliseconds."""

    p50: float
    p99: float
    max: float

    @classmethod
    def of(cls, value: Mapping[str, float]) -> Self:
        """From the report's JSON."""
        return cls(value["p50"], value["p99"], value["max"])


@dataclass(frozen=True, slots=True)
class Usage:
    """The CPU time and memory of a part of a server.

    Attributes:
        cpu_seconds: of all its processes.
        resident_bytes: their memory before and after: of an idle load, with one stream and
            with all.
    """

    cpu_seconds: float
    resident_bytes: tuple[int, int]


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The measurements of one run of the load generator. `report.go` says more.

    Attributes:
        seconds: how long was measured; of a storm, until the last stream had every note.
        sent: notes acknowledged.
        failed: sends that failed.
        delivered: notes that reached a stream.
        ended: streams that the server ended.
        lost: notes that a stream was not given though a later one came.
        repeated: notes that a stream was given again.
        behind: notes that were still to come when the settle time was over.
        delay: from send to delivery.
        late: from when a send was due to when it was sent: the load generator's own fault.
        join: of a storm: until a stream had every note.
        load_cpu_seconds: what the load generator itself used.
        machine_cpu_seconds: what all processes of the machine used.
        processes: what the server used, by part.
    """

    streams: int
    seconds: float
    sent: int
    failed: int
    delivered: int
    ended: int
    lost: int
    repeated: int
    behind: int
    delay: Spread
    late: Spread
    join: Spread
    load_cpu_seconds: float
    machine_cpu_seconds: float
    processes: Mapping[str, Usage]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what the program printed.

        Raises:
            LoadError: it is not a report.
        """
        try:
            return cls._of(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise LoadError(f"the load generator printed no report: {error!r}") from None

    @classmethod
    def _of(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            streams=value["streams"],
            seconds=value["seconds"],
            sent=value["sent"],
            failed=value["failed"],
            delivered=value["delivered"],
            ended=value["ended"],
            lost=value["lost"],
            repeated=value["repeated"],
            behind=value["behind"],
            delay=Spread.of(value["delay_ms"]),
            late=Spread.of(value["late_ms"]),
            join=Spread.of(value["join_ms"]),
            load_cpu_seconds=value["load_cpu_seconds"],
            machine_cpu_seconds=value["machine_cpu_seconds"],
            processes={
                each["name"]: Usage(
                    each["cpu_seconds"],
                    (each["resident_before_bytes"], each["resident_after_bytes"]),
                )
                for each in value["processes"] or ()
            },
        )


def load_arguments(case: Case, server: Server, pace: Pace) -> list[str]:
    """The options of the load generator for a case on a server."""
    measured = _STORM_SECONDS if case.mode is Mode.STORM else pace.measured
    options = {
        "mode": case.mode.value,
        "dialect": case.dialect.value,
        "addr": ",".join(server.addresses),
        "rooms": case.rooms,
        "streams": case.streams,
        "conns": case.connections,
        "rate": case.notes_per_second or 1,
        "inflight": case.in_flight,
        "notes": STORM_NOTES,
        "warm": f"{pace.warm}s",
        "duration": f"{measured}s",
        "settle": f"{pace.settle}s",
        "pids": ",".join(f"{part}={_joined(pids)}" for part, pids in server.processes.items()),
    }
    return ["-check", *(f"-{name}={value}" for name, value in options.items())]


def _joined(pids: tuple[int, ...]) -> str:
    return "+".join(map(str, pids))


async def put_load(program: Path, arguments: list[str], expected_seconds: float) -> LoadReport:
    """Runs the load generator to its end.

    Args:
        program: where it is.
        arguments: its options.
        expected_seconds: how long it should take; it is ended when it takes much longer.

    Raises:
        LoadError: it gave up or took too long; says why.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", leash.__file__, str(os.getpid())),
        str(program),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which sees to the other
    )
    try:
        async with asyncio.timeout(expected_seconds + _SPARE_SECONDS):
            output, complaints = await process.communicate()
    except TimeoutError:
        raise LoadError(f"the load took more than {expected_seconds:.0f} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        raise LoadError(complaints.decode(errors="replace").strip())
    return LoadReport.from_json(output.decode())
