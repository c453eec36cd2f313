"""Where the files of a run lie."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.chaos.breaks import Breaks
from tests.chaos.checker import check
from tests.chaos.faults import KINDS, Kind
from tests.chaos.findings import Findings
from tests.chaos.plan import Plan
from tests.chaos.records import Injected, Looked, WentBack, read_records
from tests.chaos.stories import ReaderStory, WriterStory, reader_story, writer_story


class RunFolder:
    """The folder of one run.

    Args:
        root: the folder; made by `begin`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.plan = root / "plan.json"
        self.faults = root / "faults.jsonl"
        self.report = root / "report.json"
        self.readers = root / "readers"
        self.writers = root / "writers"
        self.logs = root / "logs"
        self.data = root / "valkey"

    def begin(self, plan: Plan) -> None:
        """Makes it empty: what an earlier run left is removed, and nothing else.

        Raises:
            FileExistsError: the folder holds something, and no run.
        """
        if self.root.exists() and any(self.root.iterdir()) and not self.plan.exists():
            raise FileExistsError(f"{self.root} is not empty, and holds no earlier run")
        for path in (self.plan, self.faults, self.report):
            path.unlink(missing_ok=True)
        for folder in (self.readers, self.writers, self.logs, self.data):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self.plan.write_text(json.dumps(plan.as_fields(), indent=2) + "\n")

    def check(self, kinds: Mapping[str, Kind] = KINDS) -> Findings:
        """Checks the run by its files.

        Args:
            kinds: what may be expected of each kind of fault, by its name.

        Raises:
            ValueError: a file holds something else than records.
            OSError: a file is missing.
        """
        events = [
            e for e in read_records(self.faults) if isinstance(e, Injected | WentBack | Looked)
        ]
        return check(events, self._writer_stories(), self._reader_stories(), kinds)

    def breaks(self) -> Breaks:
        """What the clients had to mend themselves, by the files of the run."""
        disturbances = [f for f in read_records(self.faults) if isinstance(f, Injected)]
        files = (*self.readers.glob("*.jsonl"), *self.writers.glob("*.jsonl"))
        return Breaks(disturbances, (record for file in files for record in read_records(file)))

    def write_report(self, findings: Findings) -> None:
        """Writes the report's file."""
        fields = {"plan": json.loads(self.plan.read_text()), **findings.as_fields()}
        self.report.write_text(json.dumps(fields, indent=2) + "\n")

    def _writer_stories(self) -> list[WriterStory]:
        paths = sorted(self.writers.glob("*.jsonl"))
        return [writer_story(path.stem, read_records(path)) for path in paths]

    def _reader_stories(self) -> list[ReaderStory]:
        paths = sorted(self.readers.glob("*.jsonl"))
        return [reader_story(path.stem, read_records(path)) for path in paths]
