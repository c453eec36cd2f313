"""Has Docker Compose read the compose files, with and without what they need.

Run by `make lint`. Exits with 1 where one is refused, or where one is not that lacks a secret.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECRETS = "NOTECAST_SECRETS"
_COMPOSE = ("docker", "compose")
_TRIAL = ("--file", "deploy/docker-compose.yml")
_PRODUCTION = (*_TRIAL, "--file", "deploy/docker-compose.production.yml")
_SECONDS = 60


def fault_of(*files: str, **environment: str) -> str:
    """Asks Compose what is wrong with compose files; empty where it takes them."""
    inherited = {name: value for name, value in os.environ.items() if name != SECRETS}
    return _run(*files, "config", "--quiet", environment=inherited | environment)


def _run(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - Compose, with our own arguments
            [*_COMPOSE, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return "there is no docker command"
    return (done.stderr.strip() or "it fails") if done.returncode else ""


def main() -> int:
    """The command; returns its exit code."""
    if missing := _run("version"):
        print(f"THE COMPOSE FILES WERE NOT CHECKED: {missing}", file=sys.stderr)
        return 0
    faults = [fault_of(), fault_of(*_TRIAL), fault_of(*_PRODUCTION, **{SECRETS: "/nowhere"})]
    if SECRETS not in fault_of(*_PRODUCTION):
        faults.append(f"without {SECRETS}, production is not refused for that")
    found = [fault for fault in faults if fault]
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
