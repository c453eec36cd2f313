"""Makes the data folder if it is missing, and locks it for one stack."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from notecast_local.errors import AlreadyRunningError, UnusableFolderError


@contextmanager
def data_folder(folder: Path) -> Iterator[None]:
    """Locks the folder, with `valkey` and `log` in it, for the block.

    The lock belongs to the process, and ends with it in any case.

    Raises:
        AlreadyRunningError: another stack holds it.
        UnusableFolderError: it can't be made or written.
    """
    try:
        for part in ("valkey", "log"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UnusableFolderError(folder, error.strerror or str(error)) from None
    try:
        _take(lock, folder)
        yield
    finally:
        os.close(lock)


def _take(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 32).decode(errors="replace").strip()
        raise AlreadyRunningError(folder, holder or "unknown") from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
