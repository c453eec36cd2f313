"""Writes which NOTECAST_ variables any program of the project reads, for all of them to know.

Each program warns of a variable that none of them knows: it is misspelt, or no longer there. One
that another program reads may stand in an environment that they share. `make docs` runs this, and
`make lint` with `--check`.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from chat_gateway.settings import GatewaySettings
from history.settings import HistorySettings
from notecast_local.settings import LocalSettings

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "libs/notecast_environment/variables.py"
_READERS = (
    "deploy/docker-compose.yml",
    "deploy/docker-compose.production.yml",
    "deploy/envoy/start.sh",
    "clients/python/notecast_client/cli.py",
    "tests/support/containers.py",
    "tests/wire/conformance/conftest.py",
)
"""Files that read variables which no settings class has."""
_NAME = re.compile(r"NOTECAST_[A-Z]+(?:_[A-Z]+)*\b(?!_)")
_LISTED = re.compile(r"(?<=# names\n).*?(?= *# end of names)", re.DOTALL)


def known() -> list[str]:
    """Every name, in order."""
    return sorted({*_of_settings(), *_of_files()})


def _of_settings() -> Iterator[str]:
    for kind in (GatewaySettings, HistorySettings, LocalSettings):
        for field in kind.model_fields:
            yield f"{kind.model_config['env_prefix']}{field.upper()}"


def _of_files() -> Iterator[str]:
    for name in _READERS:
        yield from _NAME.findall((ROOT / name).read_text())


def written(text: str) -> str:
    """The file with the names that there are now."""
    lines = "".join(f'        "{name}",\n' for name in known())
    return _LISTED.sub(lambda _: lines, text)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether a file is stale")
    options = parser.parse_args(arguments)
    found = TARGET.read_text()
    wanted = written(found)
    if not options.check:
        TARGET.write_text(wanted)
    elif found != wanted:
        name = TARGET.relative_to(ROOT)
        print(f"stale: {name}: run `make docs`, and commit what it writes", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
