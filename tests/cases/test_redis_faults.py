"""What Redis does wrong is noticed, said, and mended where it can be."""

import pytest

from tests.cases.inputs import ROOT, needs_inputs, run_input
from tests.cases.reading import events, line, number, numbers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), needs_inputs]


def test_a_demoted_primary_is_left_and_sends_go_on() -> None:
    """Which reason the gateway names is not judged: READONLY, or another run of Redis.

    It is the one that it sees first. integration/test_failover.py has both.
    """
    output = run_input("readonly_failover.py", seconds=120)
    looks = [text for text in output.splitlines() if "failover + " in text]
    assert len(looks) == 6, output
    for text in looks:
        assert "stored" in text, output
        assert text.endswith("readiness SERVING"), output


def test_older_data_of_the_same_run_are_told_to_all_who_saw_more() -> None:
    output = run_input("hostile/f7_same_run_older_data.py", seconds=120)
    stayed = events("reader, open all the time:", output)
    texts = [event[-1] for event in stayed if event[0] == "note"]
    assert [text for text in texts if str(text).startswith("c")] == [f"c{n}" for n in range(5)]
    # After the last note that is gone and before the first that came after it, wherever the log
    # goes on: that depends on whether the other server had replicated anything by then.
    told = [str(event[-1]) if event[0] == "note" else event[0] for event in stayed]
    assert "discontinuity" in told[told.index("b2") : told.index("c0")], output
    for beginning in ("who joins the same room now:", "once the old reader has left"):
        joined = events(beginning, output)
        assert joined[-1][0] == "caught_up", output
        assert [event[-1] for event in joined if event[0] == "note"][-5:] == texts[-5:], output
    # Those of all services in 4 s. Idle, they have about 2,900, those in scripts included; a join
    # that asked without a pause made 21,000.
    assert number(r"commands at Redis while it waited: (\d+)", output) < 6_000, output


def test_a_full_redis_gets_out_of_it_by_itself() -> None:
    output = run_input("hostile/f8_redis_full.py", seconds=250)
    later = [text for text in output.splitlines() if "s of silence later" in text]
    assert len(later) == 5, output
    outboxes = numbers(r"outbox (\d+) log", "\n".join(later))
    assert outboxes[-1] < 100, output
    for text in later[1:]:
        assert "OOM" not in text, output
        assert "gateway SERVING history SERVING" in text, output
    restarted = line("after a restart of Redis:", output)
    assert "gateway SERVING history SERVING" in restarted, output
    assert "UNAVAILABLE" not in restarted, output
    for beginning in ("a reader before the restart:", "a reader after the restart:"):
        assert events(beginning, output)[-1][0] == "caught_up", output


def test_rooms_without_a_note_leave_redis() -> None:
    output = run_input("hostile/f11_rooms_in_redis.py", seconds=200)
    # Each of a partition's last 1,000 rooms is remembered with its last sequence, in 82 bytes; here
    # that is every one. A room's name alone has 126.
    assert number(r"(-?\d+) bytes a room for good", output) < 100, output
    assert number(r"keys \d+ -> (\d+) and", output) < 1_000, output
    assert number(r"notes left: (\d+)", output) == 0
    assert max(numbers(r"after restart \d of Redis: \+ (-?\d+) MB", output)) <= 2, output


def test_a_redis_that_refuses_writes_turns_readiness_red_and_logs_some_lines() -> None:
    output = run_input("log_flood.sh", str(ROOT), seconds=120)
    history, gateway = numbers(r"(\d+) lines", output)
    assert max(history, gateway) <= 5, output
    assert output.split().count("NOT_SERVING") == 2, output
    for secret in ("READONLY", "script", "may have been stored"):
        assert secret not in output, output


def test_both_services_reach_redis_by_a_unix_socket() -> None:
    output = run_input("unix_socket_url.sh", str(ROOT), seconds=60)
    for service in ("history", "chat_gateway"):
        assert f"{service}: exit 124" in output, output


def test_trimmed_notes_make_one_break_at_the_most(door: str) -> None:
    output = run_input("retention_breaks.py", door, seconds=120)
    assert "breaks: none" in line("from_start", output), output
    assert "breaks: none" in line("last 10000", output), output
    assert number(r"after 1 +breaks: 1->(\d+); notes", output) > 1, output
