"""What clients mended themselves: streams that broke, and sends that they repeated. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import rich.box
from rich.table import Table

from tests.chaos.findings import CALM
from tests.chaos.records import Ends, Injected, Record, Retried

_ORDERLY = {"OK", "left"}
"""How a stream ends that did not break: by the server's word, or by the client's own will."""


class Breaks:
    """Counts by the disturbance that began last.

    Args:
        disturbances: in order.
        records: of all clients.
    """

    def __init__(self, disturbances: Sequence[Injected], records: Iterable[Record]) -> None:
        self._disturbances = disturbances
        self.streams: Counter[str] = Counter()
        self.sends: Counter[str] = Counter()
        for record in records:
            if isinstance(record, Ends) and record.code not in _ORDERLY:
                self.streams[self._kind_at(record.time)] += 1
            elif isinstance(record, Retried):
                self.sends[self._kind_at(record.time)] += 1

    def among(self, disturbances: Collection[str]) -> dict[str, int]:
        """Streams that broke and sends that were repeated in these disturbances, if any."""
        broken = self.streams + self.sends
        return {name: broken[name] for name in sorted(disturbances) if broken[name]}

    def table(self) -> Table:
        """For people."""
        table = Table(title="mended by clients", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("disturbance", no_wrap=True)
        table.add_column("streams that broke", justify="right")
        table.add_column("sends repeated", justify="right")
        for name in (CALM, *(disturbance.kind for disturbance in self._disturbances)):
            table.add_row(name, str(self.streams[name]), str(self.sends[name]))
        return table

    def _kind_at(self, time: float) -> str:
        begun = [d.kind for d in self._disturbances if d.time <= time]
        return begun[-1] if begun else CALM
