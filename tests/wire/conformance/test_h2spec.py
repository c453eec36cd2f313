"""HTTP/2 as specified, by the word of h2spec."""

import asyncio
from pathlib import Path

import pytest

from tests.support import bytes_service
from tests.support.wire_serving import serving
from tests.wire.conformance import h2spec
from tests.wire.conformance.conftest import GoTool

# What builds h2spec has a limit of its own.
pytestmark = pytest.mark.timeout(330, func_only=True)

CASES = 145
AT_LEAST = 143

ALLOWED: dict[tuple[str, str], str] = {}
"""Cases that may fail, by section and title, and why."""


async def test_the_server_is_http_2_as_h2spec_understands_it(
    go_tool: GoTool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = await asyncio.to_thread(go_tool, "h2spec")
    async with serving(bytes_service.handler()) as target:
        verdicts = await h2spec.run(program, target, tmp_path / "h2spec.xml")
    with capsys.disabled():
        print(f"\n{h2spec.table(verdicts)}")
    failed = {(verdict.section, verdict.title) for verdict in verdicts if not verdict.passed}
    assert len(verdicts) == CASES
    assert failed <= ALLOWED.keys()
    assert CASES - len(failed) >= AT_LEAST
