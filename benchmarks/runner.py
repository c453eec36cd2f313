"""Carries a plan out: starts what a stage needs, and puts the load on one server after another."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.errors import LoadError, ServerError
from benchmarks.load_program import LoadReport, load_arguments, put_load
from benchmarks.parts import parts_for
from benchmarks.plan import Measurement, Pace, Stage
from benchmarks.processes import until_quiet
from benchmarks.servers import Server, serving

_QUIET_SECONDS = 3.0


class Reporter(Protocol):
    """The listener that is told how it goes."""

    def begins(self, what: str) -> None:
        """Something is started or measured."""

    def passed(self, seconds: float) -> None:
        """That many of the plan's seconds are over."""


@dataclass(slots=True)
class Findings:
    """The outcome of a plan.

    Attributes:
        reports: by the names of case and server, one for each round.
        faults: what could not be measured, and why.
        left_out: what there was no time for.
    """

    reports: dict[tuple[str, str], list[LoadReport]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class Runner:
    """Carries plans out.

    Args:
        load: the load generator's program.
        hub: the hub's.
        folder: empty; for data and logs.
        pace: how long each measurement takes.
        peers: servers that run already.
        reporter: is told how it goes.
    """

    def __init__(
        self,
        load: Path,
        hub: Path,
        folder: Path,
        pace: Pace,
        peers: Sequence[Server],
        reporter: Reporter,
    ) -> None:
        self._load = load
        self._hub = hub
        self._folder = folder
        self._pace = pace
        self._peers = {peer.name: peer for peer in peers}
        self._reporter = reporter

    async def run(self, plan: Sequence[Stage]) -> Findings:
        """Measures everything for which there is time. No child is left when it comes back."""
        findings = Findings()
        deadline = time.monotonic() + self._pace.limit
        for number, stage in enumerate(plan):
            await self._run_stage(stage, self._folder / str(number), deadline, findings)
        return findings

    async def _run_stage(
        self, stage: Stage, folder: Path, deadline: float, findings: Findings
    ) -> None:
        first = stage.measurements[0]
        if time.monotonic() + stage.start_seconds + first.seconds > deadline:
            findings.left_out += [_name(each) for each in stage.measurements]
            self._reporter.passed(stage.seconds)
            return
        self._reporter.begins(f"starting {', '.join(stage.servers)}")
        parts = parts_for(stage.servers, stage.gateways, self._hub, folder)
        try:
            async with serving(parts, folder) as servers:
                self._reporter.passed(stage.start_seconds)
                everyone = {**self._peers, **servers}
                for each in stage.measurements:
                    await self._measure(each, everyone, deadline, findings)
        except ServerError as error:
            findings.faults.append(str(error))

    async def _measure(
        self,
        measurement: Measurement,
        servers: Mapping[str, Server],
        deadline: float,
        findings: Findings,
    ) -> None:
        name = _name(measurement)
        if time.monotonic() + measurement.seconds > deadline:
            findings.left_out.append(name)
        else:
            self._reporter.begins(name)
            try:
                report = await self._put_load(measurement, servers)
            except LoadError as error:
                findings.faults.append(f"{name}: {error}")
            else:
                key = (measurement.case.name, measurement.server)
                findings.reports.setdefault(key, []).append(report)
        self._reporter.passed(measurement.seconds)

    async def _put_load(
        self, measurement: Measurement, servers: Mapping[str, Server]
    ) -> LoadReport:
        await until_quiet((pid for each in servers.values() for pid in each.pids), _QUIET_SECONDS)
        server = servers[measurement.server]
        arguments = load_arguments(measurement.case, server, self._pace)
        return await put_load(self._load, arguments, measurement.seconds)


def _name(measurement: Measurement) -> str:
    return f"{measurement.case.name} on {measurement.server}"
