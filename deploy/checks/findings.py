"""The findings of checks."""

from typing import NamedTuple


class Finding(NamedTuple):
    """Something that is wrong."""

    where: str
    """The object, as `Deployment/chat-gateway`."""

    fault: str
    """The fault, in words."""

    def __str__(self) -> str:
        return f"{self.where}: {self.fault}"
