"""Looks for bytes that `notecast_wire` can't take: `python -m tests.wire.fuzz [FILE]`.

With a file, feeds only that: it repeats what was found before.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

from tests.wire.fuzz.inputs import seeds
from tests.wire.fuzz.settings import FuzzSettings

FOLDER = Path(".run/fuzz")
"""Has the corpus, which grows from run to run, and the findings."""

_LARGEST_INPUT = 65_536
_LONGEST_INPUT_SECONDS = 10
_END_SECONDS = 60


def main(arguments: list[str]) -> int:
    """0 if nothing was found, 1 if something was, 2 where it can't be looked for."""
    if arguments:
        return _repeat(Path(arguments[0]))
    if importlib.util.find_spec("atheris") is None:
        print(
            "make fuzz needs atheris, which has wheels for Linux on x86-64 alone, and for no Python"
            f" newer than 3.13; this is {sys.platform}, Python {sys.version.split()[0]}.\n"
            "The same with Hypothesis, on any machine: python -m pytest tests/wire/fuzz",
            file=sys.stderr,
        )
        return 2
    return _fuzz(FuzzSettings().seconds)


def _repeat(file: Path) -> int:
    # Not before: atheris has to see it imported.
    from tests.wire.fuzz.targets import feed_all  # noqa: PLC0415

    feed_all(file.read_bytes())
    print(f"{file}: no fault")
    return 0


def _fuzz(seconds: int) -> int:
    corpus = FOLDER / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for name, file in seeds().items():
        (corpus / name).write_bytes(file)
    before = _findings()
    command = [
        *(sys.executable, "-m", "tests.wire.fuzz.libfuzzer", f"-max_total_time={seconds}"),
        *(f"-max_len={_LARGEST_INPUT}", f"-timeout={_LONGEST_INPUT_SECONDS}"),
        *(f"-artifact_prefix={FOLDER}/found-", str(corpus)),
    ]
    code = subprocess.run(command, check=False, timeout=seconds + _END_SECONDS).returncode
    found = sorted(_findings() - before)
    for finding in found:
        print(f"\nFOUND {finding}. To repeat it:\n  {sys.executable} -m tests.wire.fuzz {finding}")
    if not found and code == 0:
        print(f"nothing found; {len(list(corpus.iterdir()))} inputs in {corpus}")
    return 1 if found or code else 0


def _findings() -> set[Path]:
    return set(FOLDER.glob("found-*"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
