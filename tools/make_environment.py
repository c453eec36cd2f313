"""Makes `.venv` with what a profile needs: `make_environment.py local|development`.

Runs on a bare Python, before anything is installed. A profile is a lock in
`requirements`; `local` is enough for `make run`, `development` holds it and adds what tests
and checks need. A stamp in `.venv` says that a profile is complete: it carries a digest of
what was installed and is written last, so an interrupted or outdated installation
is taken up again.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
LOG = "installation.log"
PROFILES = ("local", "development")
OLDEST_PYTHON = (3, 11)

_FAULTY_NETWORK = re.compile(
    r"Retrying \(Retry|connection broken|NewConnectionError|NameResolutionError|ConnectTimeout"
    r"|Read ?timed out|Network is unreachable|ProxyError|SSLError|Connection refused",
    re.IGNORECASE,
)
_MISSING_WHEEL = re.compile(r"No matching distribution found for (\S+)")
_WRONG_HASH = re.compile(r"DO NOT MATCH THE HASHES", re.IGNORECASE)


class EnvironmentFault(Exception):  # noqa: N818 - what went wrong lies outside of this program
    """Why there is no environment, in words for the person that ran this."""


def say(text: str) -> None:
    """One line of progress."""
    print(f"environment: {text}", flush=True)


def digest_of(*paths: Path) -> str:
    """Tells apart what is to be installed, and for which Python."""
    digest = hashlib.sha256(sys.version.encode())
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_done(stamp: Path, digest: str) -> bool:
    """Whether just this was installed before."""
    return stamp.is_file() and stamp.read_text() == digest


def mark_done(stamp: Path, digest: str) -> None:
    """Writes the stamp, whole or not at all."""
    draft = stamp.with_suffix(".draft")
    draft.write_text(digest)
    draft.replace(stamp)


def check_python() -> None:
    """Raises EnvironmentFault where this Python can't do it."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < OLDEST_PYTHON:
        raise EnvironmentFault(
            f"Python 3.11 or newer is needed, and {sys.executable} is {version}. Install a newer"
            " one, or name it: make PYTHON=python3.12 ..."
        )
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian leaves it out of python3
        import venv  # noqa: F401, PLC0415
    except ImportError as missing:
        raise EnvironmentFault(
            f"Python {version} ({sys.executable}) comes without its module {missing.name}, which"
            " makes virtual environments. On Debian and Ubuntu: apt-get install python3-venv."
        ) from None


def is_usable() -> bool:
    """Whether `.venv` was made here, for this Python, and has pip."""
    marker = ENVIRONMENT / "pyvenv.cfg"
    if not PYTHON.exists() or str(ENVIRONMENT) not in marker.read_text():
        return False  # a folder that was moved has commands that start what was left behind
    probe = "import sys, pip; print(sys.version)"
    answer = subprocess.run([PYTHON, "-c", probe], capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    return answer.returncode == 0 and answer.stdout.strip() == sys.version


def make_virtual_environment() -> None:
    """Makes `.venv`, or makes it anew where it is unusable.

    Raises:
        EnvironmentFault: it could not be made.
    """
    if is_usable():
        return
    say(f"making .venv with Python {sys.version.split()[0]}")
    command = [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    if made.returncode:
        raise EnvironmentFault(
            f"{' '.join(command)} failed.\n{(made.stdout + made.stderr).strip()}"
        )


def pip_install(arguments: list[str], packages: int) -> None:
    """Runs pip, counting on a terminal what it has found; its whole output goes to the log.

    Raises:
        EnvironmentFault: pip failed; says why as far as its output tells.
    """
    command = [
        str(PYTHON),
        "-m",
        "pip",
        "install",
        "--no-input",
        "--progress-bar",
        "off",
        *arguments,
    ]
    on_terminal = sys.stdout.isatty()
    lines = []
    with (
        (ENVIRONMENT / LOG).open("w") as log,
        subprocess.Popen(  # noqa: S603 - our own program
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
        ) as pip,
    ):
        assert pip.stdout is not None  # noqa: S101 - for the type checker; it was asked for above
        for line in pip.stdout:
            log.write(line)
            lines.append(line.rstrip())
            found = sum(text.startswith("Collecting ") for text in lines)
            if on_terminal and found:
                print(f"\r  {min(found, packages)}/{packages} ", end="", flush=True)
    if on_terminal:
        print("\r            \r", end="")
    if pip.returncode:
        raise EnvironmentFault(explain("\n".join(lines)))


def explain(output: str) -> str:
    """Extracts the reason of a failure from pip's output, in a paragraph."""
    missing = _MISSING_WHEEL.search(output)
    if _FAULTY_NETWORK.search(output):
        return (
            "the package index can't be reached. Check the network, or the proxy or mirror that"
            f" pip is configured for (pip config list). Details: .venv/{LOG}"
        )
    if missing:
        version = ".".join(str(part) for part in sys.version_info[:2])
        return (
            f"there is no wheel of {missing.group(1)} for this platform"
            f" ({sysconfig.get_platform()}, {sys.implementation.name} {version}). Use CPython on"
            " Linux with glibc or on macOS, on x86_64 or ARM64, or run the system in containers:"
            " make up."
        )
    if _WRONG_HASH.search(output):
        return (
            "a package is not the one that the lock in requirements names: its hash differs."
            f" Nothing of it was installed. Details: .venv/{LOG}"
        )
    return "pip failed. Its last lines:\n" + "\n".join(output.splitlines()[-15:])


def install_lock(profile: str) -> None:
    """Installs a profile's packages, each as the lock has it."""
    lock = ROOT / "requirements" / f"{profile}.txt"
    stamp = ENVIRONMENT / f".{profile}"
    digest = digest_of(lock, ROOT / "pyproject.toml")
    if is_done(stamp, digest):
        stamp.touch()  # make goes by its time
        return
    packages = sum("==" in line for line in lock.read_text().splitlines())
    say(f"installing the {packages} packages of requirements/{lock.name}")
    stamp.unlink(missing_ok=True)
    pip_install(["--require-hashes", "--only-binary", ":all:", "-r", str(lock)], packages)
    install_tree()
    mark_done(stamp, digest)


def install_tree() -> None:
    """Puts this tree's own packages and commands into the environment, as they stand."""
    stamp = ENVIRONMENT / ".tree"
    digest = digest_of(ROOT / "pyproject.toml")
    if is_done(stamp, digest):
        return
    pip_install(["--no-deps", "--no-build-isolation", "--editable", str(ROOT)], packages=1)
    mark_done(stamp, digest)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Waits until no other run of this program is at work, for two would spoil each other's."""
    folder = os.open(ROOT / "requirements", os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another make is at it; waiting")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Makes .venv with what a profile needs.")
    parser.add_argument("profile", choices=PROFILES)
    profile = parser.parse_args().profile
    try:
        check_python()
        with alone():
            make_virtual_environment()
            install_lock(profile)
    except EnvironmentFault as fault:
        print(f"environment: {fault}", file=sys.stderr)
        return 1
    except OSError as fault:
        print(f"environment: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("environment: interrupted; the next run takes it up again", file=sys.stderr)
        return 130
    say(f"ready for {profile}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
