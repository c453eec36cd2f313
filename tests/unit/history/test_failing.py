"""A failure is told when it is news, and its partitions together."""

from collections.abc import Sequence

from structlog.testing import capture_logs

from history.failing import Failing


def told(failing: Failing, failures: dict[int, str]) -> list[tuple[str, Sequence[int]]]:
    with capture_logs() as logs:
        for partition, error in failures.items():
            failing.failed(partition, error)
        failing.tell()
    return [(line["error"], line["partitions"]) for line in logs]


def test_partitions_that_fail_for_one_reason_are_one_line_and_no_more_while_it_lasts() -> None:
    failing = Failing("partition_failed")
    everything = dict.fromkeys(range(64), "no disk")
    assert told(failing, everything) == [("no disk", list(range(64)))]
    assert told(failing, everything) == []


def test_another_partition_another_reason_and_another_time_are_news() -> None:
    failing = Failing("partition_failed")
    told(failing, {1: "no disk"})
    assert told(failing, {1: "no disk", 2: "no disk"}) == [("no disk", [2])]
    assert told(failing, {1: "wrong type"}) == [("wrong type", [1])]
    failing.ended(2)
    assert told(failing, {2: "no disk"}) == [("no disk", [2])]


def test_what_has_ended_before_it_was_told_is_not_told() -> None:
    failing = Failing("partition_failed")
    failing.failed(1, "no disk")
    failing.ended(1)
    assert told(failing, {}) == []
