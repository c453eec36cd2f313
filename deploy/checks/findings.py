"""What a check says."""

from typing import NamedTuple


class Finding(NamedTuple):
    """Something that is wrong."""

    where: str
    """The object, as `Deployment/chat-gateway`."""

    fault: str
    """What is wrong with it, in words."""

    def __str__(self) -> str:
        return f"{self.where}: {self.fault}"
