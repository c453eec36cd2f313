"""Compares what was acknowledged with what was seen. Pure: stories in, findings out.

Whatever it says, it says from the files of readers and writers and from the list of
faults; it knows nothing of the services.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from notecast_client.cursors import Position
from tests.chaos.faults import KINDS, Kind
from tests.chaos.findings import CALM, Breach, Findings, Violation
from tests.chaos.order import RoomOrder
from tests.chaos.records import Acknowledged, Broken, Injected, Looked, Noted, WentBack
from tests.chaos.silence import Timeline, Wait
from tests.chaos.stories import ReaderStory, WriterStory

Event = Injected | WentBack | Looked
"""What the run wrote down of what it did to the system."""


class Content(NamedTuple):
    """What stands at a place, and since when that is known."""

    time: float
    note_id: str
    digest: int


class _Checker:
    def __init__(
        self,
        events: Sequence[Event],
        writers: Sequence[WriterStory],
        readers: Sequence[ReaderStory],
        kinds: Mapping[str, Kind],
    ) -> None:
        self.findings = Findings()
        self._timeline = Timeline([e for e in events if isinstance(e, Injected)], kinds)
        self._looks = [event for event in events if isinstance(event, Looked)]
        self._retreats: dict[str, list[WentBack]] = defaultdict(list)
        for event in events:
            if isinstance(event, WentBack):
                self._retreats[event.room].append(event)
        self._writers = writers
        self._readers = readers
        self._not_stored = {n: time for w in writers for n, time in w.not_stored.items()}
        self._sent = {note_id: sent for w in writers for note_id, sent in w.sent.items()}
        self._acknowledged: dict[str, dict[Position, Acknowledged]] = defaultdict(dict)
        self._log: dict[str, dict[Position, Content]] = defaultdict(dict)

    def run(self) -> Findings:
        self._count_faults()
        for writer in self._writers:
            self._take_writer(writer)
        for reader in self._readers:
            self._take_deliveries(reader)
        self._check_stored_twice()
        self._count_forgotten()
        for reader in self._readers:
            self._check_order(reader)
            self._check_lost(reader)
            self._check_waits(reader)
        self._check_well()
        self._check_finished()
        return self.findings

    def _count_faults(self) -> None:
        for fault in self._timeline.faults:
            self.findings.tally(fault.kind).injected += fault.hit

    def _take_writer(self, writer: WriterStory) -> None:
        for answer in writer.acknowledged:
            tally = self.findings.tally(self._timeline.kind_at(answer.time))
            tally.acknowledged += 1
            self._acknowledged[answer.room].setdefault(answer.place, answer)
            digest = self._sent[answer.note_id].digest if answer.note_id in self._sent else 0
            content = Content(answer.time, answer.note_id, digest)
            self._stands(writer.name, answer.room, answer.place, content)
        for refusal in writer.refused:
            self._add(
                Breach.REFUSED, refusal.time, writer.name, refusal.room, None, refusal.note_id,
                refusal.code,
            )  # fmt: skip

    def _take_deliveries(self, reader: ReaderStory) -> None:
        for noted in reader.heard:
            if isinstance(noted, Noted):
                content = Content(noted.time, noted.note_id, noted.digest)
                self._stands(reader.name, noted.room, noted.place, content)
                sent = self._sent.get(noted.note_id)
                if sent is None or (sent.room, sent.digest) != (noted.room, noted.digest):
                    self._differs(reader.name, noted.room, noted.place, content, "nobody sent it")
                if noted.time < self._not_stored.get(noted.note_id, 0.0):
                    self._misheard(Breach.STORED, reader, noted, "it was refused after that")

    def _stands(self, who: str, room: str, place: Position, content: Content) -> None:
        """Learns what stands at a place; it must be the same for all."""
        known = self._log[room].setdefault(place, content)
        if known[1:] != content[1:]:
            self._differs(who, room, place, content, f"others have {known.note_id}")
        elif content.time < known.time:
            self._log[room][place] = content

    def _differs(self, who: str, room: str, place: Position, content: Content, detail: str) -> None:
        self._add(Breach.DIFFERENT, content.time, who, room, place, content.note_id, detail)

    def _check_stored_twice(self) -> None:
        for room, log in self._log.items():
            first: dict[str, Position] = {}
            for place in sorted(log):
                time, note_id, _ = log[place]
                if self._is_gone(room, place):
                    continue
                earlier = first.setdefault(note_id, place)
                if earlier != place and not self._forgotten(room, earlier):
                    detail = f"stored at {_text(earlier)} already"
                    self._add(Breach.REPEATED, time, "", room, place, note_id, detail)

    def _count_forgotten(self) -> None:
        for room, places in self._acknowledged.items():
            for place in places:
                self.findings.forgotten += self._forgotten(room, place)

    def _forgotten(self, room: str, place: Position) -> bool:
        """Whether Redis may have lost it, as it was made to."""
        return self._is_gone(room, place) or self._timeline.forgot(self._log[room][place].time)

    def _is_gone(self, room: str, place: Position) -> bool:
        return any(place.epoch == retreat.epoch for retreat in self._retreats[room])

    def _check_order(self, reader: ReaderStory) -> None:
        self.findings.readers += 1
        orders: dict[str, RoomOrder] = {}
        for event in reader.heard:
            order = orders.setdefault(event.room, RoomOrder(self._retreats[event.room]))
            if isinstance(event, Broken):
                order.tell(event)
                continue
            self.findings.deliveries += 1
            before = order.last
            if breach := order.hear(event):
                self._misheard(breach, reader, event, f"behind {_text(before)}")
        for order in orders.values():
            if order.untold is not None:
                detail = "Redis has lost it, and the reader was not told"
                self._misheard(Breach.UNANNOUNCED, reader, order.untold, detail)

    def _misheard(self, breach: Breach, reader: ReaderStory, noted: Noted, detail: str) -> None:
        self._add(breach, noted.time, reader.name, noted.room, noted.place, noted.note_id, detail)

    def _check_lost(self, reader: ReaderStory) -> None:
        seen: dict[str, set[Position]] = defaultdict(set)
        for event in reader.heard:
            if isinstance(event, Noted):
                seen[event.room].add(event.place)
        for room, begins in reader.begins.items():
            for place in self._log[room].keys() - seen[room]:
                if place > begins.after and not self._forgotten(room, place):
                    time, note_id, _ = self._log[room][place]
                    detail = (
                        "acknowledged" if place in self._acknowledged[room] else "seen by others"
                    )
                    self._add(Breach.LOST, time, reader.name, room, place, note_id, detail)

    def _check_waits(self, reader: ReaderStory) -> None:
        for event in reader.heard:
            answer = self._acknowledged[event.room].get(_place(event))
            if not isinstance(event, Noted) or answer is None or event.room not in reader.begins:
                continue
            wait = self._timeline.wait(reader, event.room, answer.time, event.time)
            self.findings.waited(wait.fault, wait.silence, wait.overdue)
            if wait.overdue > wait.allowed:
                self.findings.add(_late(reader.name, event, wait))

    def _check_well(self) -> None:
        for look in self._looks:
            if not look.well:
                self._add(Breach.UNHEALED, look.time, "", "", None, look.what, "does not hold")

    def _check_finished(self) -> None:
        for writer in self._writers:
            if writer.done is None or not writer.done.reached:
                self._unfinished(writer.name, "it did not come to its end")
        for reader in self._readers:
            if reader.done is None:
                self._unfinished(reader.name, "it did not come to its end")
            if not reader.begins:
                self._unfinished(reader.name, "it never learned where it stands")
        if not any(self._acknowledged.values()):
            self._unfinished("", "no note was acknowledged")
        if not self.findings.deliveries:
            self._unfinished("", "no note was delivered")

    def _unfinished(self, who: str, detail: str) -> None:
        violation = Violation(Breach.UNFINISHED, CALM, who, "", None, f"{who}: {detail}", detail)
        self.findings.add(violation)

    def _add(
        self,
        breach: Breach,
        time: float,
        who: str,
        room: str,
        place: Position | None,
        note_id: str,
        detail: str,
    ) -> None:
        fault = self._timeline.kind_at(time)
        self.findings.add(Violation(breach, fault, who, room, place, note_id, detail))


def check(
    events: Sequence[Event],
    writers: Sequence[WriterStory],
    readers: Sequence[ReaderStory],
    kinds: Mapping[str, Kind] = KINDS,
) -> Findings:
    """Everything that the files of a run say about it.

    Args:
        events: the faults as injected, what Redis has lost by them, and how the system got well.
        writers: all of them.
        readers: all of them, those who came at the end too.
        kinds: what may be expected of each kind of fault, by its name.
    """
    return _Checker(events, writers, readers, kinds).run()


def _late(who: str, noted: Noted, wait: Wait) -> Violation:
    detail = f"{wait.overdue:.2f} s, at most {wait.allowed:g} s"
    return Violation(Breach.LATE, wait.fault, who, noted.room, noted.place, noted.note_id, detail)


def _place(event: Noted | Broken) -> Position:
    return event.place if isinstance(event, Noted) else event.after


def _text(place: Position) -> str:
    return f"{place.epoch}/{place.sequence}"
