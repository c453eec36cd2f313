import asyncio

from structlog.testing import capture_logs

from chat_gateway.fan_out import FanOut


class Recorded:
    """A room that notes its deliveries, or fails in them."""

    def __init__(self, name: str, log: list[str], fault: Exception | None = None) -> None:
        self.name = name
        self._log = log
        self._fault = fault

    def deliver(self) -> None:
        if self._fault is not None:
            raise self._fault
        self._log.append(self.name)


async def one_round() -> None:
    await asyncio.sleep(0)


async def test_a_fault_in_one_room_does_not_keep_the_others_of_its_round_from_their_notes() -> None:
    delivered: list[str] = []
    fan_out = FanOut()
    rooms = [
        Recorded("red", delivered),
        Recorded("faulty", delivered, RuntimeError("ours")),
        Recorded("blue", delivered),
    ]
    with capture_logs() as logs:
        for room in rooms:
            fan_out.mark(room)
        await one_round()
        assert delivered == ["red", "blue"]
        fan_out.mark(rooms[0])
        await one_round()
    assert delivered == ["red", "blue", "red"]
    assert [(line["event"], line["room"]) for line in logs] == [("delivery_failed", "faulty")]


async def test_a_room_is_delivered_once_a_round_however_often_it_has_news() -> None:
    delivered: list[str] = []
    fan_out = FanOut()
    room = Recorded("red", delivered)
    for _ in range(10):
        fan_out.mark(room)
    await one_round()
    assert delivered == ["red"]
