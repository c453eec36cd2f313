"""Processes that a test has started, or that those have started."""

import psutil


def lives(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended and waits for its parent to notice does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children_of(pid: int) -> list[psutil.Process]:
    """The children of a process, of which some may have ended; psutil.Error where it has ended."""
    return psutil.Process(pid).children()
