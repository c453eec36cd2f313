"""Runs h2spec, the conformance test of HTTP/2 servers, and reads its report."""

import asyncio
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

# How long it waits for an answer that does not come. Only cases that fail wait.
_ANSWER_SECONDS = 1
_RUN_SECONDS = 300


_SAID = re.compile("(<(?:error|failure)>)(.*?)(</(?:error|failure)>)", re.DOTALL)


class Verdict(NamedTuple):
    """What h2spec says of one case."""

    section: str
    """Its group and the section of the specification, as `http2/5.1.1`."""
    title: str
    passed: bool
    said: str
    """What was expected and what came, where it did not pass."""


async def run(program: Path, target: str, report: Path) -> list[Verdict]:
    """Tries every case, but those it calls strict, on the server at an address.

    Args:
        program: h2spec.
        target: the server's host and port.
        report: where to write the JUnit report.

    Raises:
        TimeoutError: it did not end.
    """
    host, port = target.split(":")
    process = await asyncio.create_subprocess_exec(
        *(str(program), "--host", host, "--port", port),
        *("--timeout", str(_ANSWER_SECONDS), "--junit-report", str(report)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_RUN_SECONDS):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return read(report)


def read(report: Path) -> list[Verdict]:
    """The verdicts of a JUnit report, in its order; a case that was skipped has not passed."""
    text = _SAID.sub(_escape, report.read_bytes().decode(errors="replace"))
    cases = ET.fromstring(text).iter("testcase")  # noqa: S314 - written by a program of ours
    return [
        Verdict(
            case.get("package", ""),
            case.get("classname", ""),
            passed=len(case) == 0,
            said="; ".join(" ".join((fault.text or fault.tag).split()) for fault in case),
        )
        for case in cases
    ]


def _escape(said: re.Match[str]) -> str:
    """What h2spec has forgotten: it writes what came from the server as it is."""
    start, text, end = said.groups()
    return start + escape("".join(filter(str.isprintable, text.replace("\n", " ")))) + end


def table(verdicts: list[Verdict]) -> str:
    """How many of each group passed, and each case that did not."""
    lines = []
    for group in dict.fromkeys(verdict.section.split("/")[0] for verdict in verdicts):
        of_it = [verdict for verdict in verdicts if verdict.section.startswith(f"{group}/")]
        lines.append(f"{group:8} {sum(v.passed for v in of_it):4} of {len(of_it)}")
    lines.append(f"{'all':8} {sum(v.passed for v in verdicts):4} of {len(verdicts)}")
    lines += [
        f"not {verdict.section}: {verdict.title} ({verdict.said})"
        for verdict in verdicts
        if not verdict.passed
    ]
    return "\n".join(lines)
