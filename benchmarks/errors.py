"""The errors of a benchmark, apart from its figures."""


class BenchmarkError(Exception):
    """The root; its text is for people."""


class UsageError(BenchmarkError):
    """Something that the user can set right: an option, or a missing program."""


class ServerError(BenchmarkError):
    """A server did not start, or ended.

    Args:
        name: of the server.
        fault: what happened.
        last_lines: the end of its log.
    """

    def __init__(self, name: str, fault: str, last_lines: list[str]) -> None:
        super().__init__("\n  ".join([f"{name} {fault}", *last_lines]))
        self.name = name


class LoadError(BenchmarkError):
    """The load generator gave up; says why."""
