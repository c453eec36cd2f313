"""The clock of history, which no step of the machine's time makes run ahead."""

from history.history_clock import HistoryClock, elapsed

START = 1_700_000_000.0


class Machine:
    """A machine whose time is set while its processes run."""

    def __init__(self) -> None:
        self.since_boot = 50.0
        self.time = START

    def pass_time(self, seconds: float) -> None:
        """Lets time pass."""
        self.since_boot += seconds
        self.time += seconds

    def clock(self) -> HistoryClock:
        """The clock of a process that starts now."""
        return HistoryClock(lambda: self.time, lambda: self.since_boot)


def test_it_goes_with_the_machines_time() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.pass_time(30)
    assert clock.now() == START + 30


def test_it_does_not_follow_a_time_that_is_set_ahead() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.time += 86_400
    machine.pass_time(30)
    assert clock.now() == START + 30


def test_it_follows_a_time_that_is_set_back_and_goes_on_from_there() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.time -= 3_600
    assert clock.now() == START - 3_600
    machine.pass_time(30)
    assert clock.now() == START - 3_570


def test_what_it_takes_for_elapsed_goes_on() -> None:
    first = elapsed()
    assert elapsed() >= first
