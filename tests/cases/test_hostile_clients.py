"""What one client does to the system, others do not notice."""

import re

import pytest

from tests.cases.inputs import needs_inputs, run_input
from tests.cases.reading import events, line, number, numbers
from tests.support.local_stack import LocalStack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), needs_inputs]

_HELD_MEGABYTES = 160
"""What one client may have two gateways hold, in all: bounds of 64 MiB for requests and for output
in each, of which it gets a part, and what Python's allocator keeps besides. Without the bounds it
was 300 to 450 MB."""

_LEFT_MEGABYTES = 48
"""What allocators keep of it when the deadlines are over, while the client is still there."""


def _pid_of(stack: LocalStack, program: str) -> int:
    found = [child.pid for child in stack.children if any(program in w for w in child.cmdline())]
    return found[0]


def test_headers_over_the_bound_end_nobody_elses_stream(door: str) -> None:
    output = run_input("hostile/f1_envoy_shared_budget.py", seconds=120, NC_ENVOY=door)
    assert number(r"victims lost before attack: (\d+)", output) == 0, output
    assert number(r"victims lost: (\d+) of 40", output) == 0, output


def test_pages_that_nobody_reads_take_a_bounded_amount_of_memory(door: str) -> None:
    output = run_input("hostile/f3_pages_of_blocked_streams.py", seconds=240, NC_ENVOY=door)
    assert max(numbers(r"sum of growth (-?\d+) MB", output)) < _HELD_MEGABYTES, output


def test_calls_whose_request_never_comes_keep_nobody_out(door: str) -> None:
    """Being cut off in the middle of it is one way for the input to end."""
    try:
        output = run_input("hostile/f4b_envoy_full.py", seconds=240, NC_ENVOY=door)
    except AssertionError as ended:
        output = str(ended)
        assert "BrokenPipeError" in output or "ConnectionResetError" in output, output
    probes = re.findall(r"\} (OK|[A-Z_]+:.*?) refused \d+$", output, re.MULTILINE)
    probes += re.findall(r"^\d+ s: (OK|[A-Z_]+:.*?) attacker's", output, re.MULTILINE)
    assert probes, output
    assert set(probes) == {"OK"}, output


def test_half_messages_of_one_client_refuse_nobody_elses(stack: LocalStack) -> None:
    """Its other clients speak gRPC-Web, so that it needs Envoy."""
    output = run_input("hostile/f5_shared_held_bytes.py", seconds=280, NC_ENVOY=stack.target)
    for beginning in ("before:", "while 4-MB halves are held:", "30 s later:"):
        statuses = set(re.findall(r"\('(\d+)', ", line(beginning, output)))
        assert statuses == {"0"}, output
    assert max(map(int, re.findall(r"\d+: (\d+)", line("growth", output)))) < _HELD_MEGABYTES


def test_rooms_that_one_client_takes_leave_others_theirs() -> None:
    output = run_input("hostile/f10_rooms_taken.py", seconds=120)
    for beginning in ("another client:", "15 s later:"):
        assert [event[0] for event in events(beginning, output)] == ["caught_up"], output
        assert "RESOURCE_EXHAUSTED" not in line(beginning, output), output


def test_a_health_watch_that_nobody_reads_holds_up_nothing() -> None:
    calm = run_input("hostile/f12_health_watch.py", "none", seconds=120)
    attacked = run_input("hostile/f12_health_watch.py", seconds=120)
    for beginning in ("while it is away:", "3 s after it is back:", "6 s after a note"):
        assert line(beginning, attacked) == line(beginning, calm), attacked
    assert line("while it is away:", calm) == " NOT_SERVING"
    assert "three, unheard" in line("6 s after a note", calm), calm
    for output in (calm, attacked):
        assert number(r"SIGTERM: ended after ([\d.]+) s with 0", output) <= 6.5, output
        assert "stopped" in output.splitlines()[-1], output


def test_joins_that_are_given_up_at_once_slow_nobodys_history(door: str) -> None:
    run_input("hostile/f3_pages_of_blocked_streams.py", "200", "0", seconds=240, NC_ENVOY=door)
    for rate in ("100", "150"):
        output = run_input("hostile/f15_replay_amplification.py", rate, seconds=120, NC_ENVOY=door)
        assert "failed after" not in output, output
        assert max(numbers(r"max (\d+) ms", output)) < 1_000, output


@pytest.mark.parametrize("program", ["chat_gateway", "envoy"])
def test_answers_that_nobody_reads_are_gone_after_their_deadline(
    stack: LocalStack, program: str
) -> None:
    target = stack.target if program == "envoy" else stack.gateways[0]
    port = target.rpartition(":")[2]
    pid = str(_pid_of(stack, program))
    output = run_input("held_responses.py", port, pid, "200", seconds=120)
    # It counts the calls that end late, so that fewer of them are better.
    before, *after = numbers(r": (\d+) MB", output)
    assert max(after) - before < _HELD_MEGABYTES, output
    assert after[-2] - before < _LEFT_MEGABYTES, output
