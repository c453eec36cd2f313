"""Checks a run again by its files: `python -m tests.chaos.check FOLDER`.

Exits with 0 where nothing was lost, repeated, reordered, late or different, with 1 where
something was, and with 2 where the files can't be read.
"""

import sys
from pathlib import Path

import rich.console

from tests.chaos.folder import RunFolder
from tests.chaos.tables import show


def main() -> int:
    """The command; returns its exit code."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = RunFolder(Path(sys.argv[1]))
    try:
        findings = folder.check()
        folder.write_report(findings)
    except (OSError, ValueError) as error:
        print(f"{folder.root} is not a run that can be checked: {error}", file=sys.stderr)
        return 2
    show(findings, rich.console.Console())
    return 1 if findings.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
