"""The settings of the history service."""

from pydantic import Field

from notecast_runtime.settings import ServiceSettings


class HistorySettings(ServiceSettings):
    """The settings, from the environment. Immutable."""

    listen_port: int = Field(default=50052, ge=0, le=65535, description="the port; 0: any free one")
    retention_notes: int = Field(
        default=10_000,
        ge=1,
        le=10_000_000,
        description="how many notes a room keeps at most; it is trimmed with its next note",
    )
    retention_seconds: float = Field(
        default=0, ge=0, le=3_155_760_000, description="how old a note may grow; 0: any age"
    )
    retention_sweep_seconds: float = Field(
        default=60,
        ge=0.05,
        le=86_400,
        description="how often every room is looked at for old notes",
    )
    outbox_trim_margin_seconds: float = Field(
        default=60,
        ge=0,
        le=86_400,
        description="how long a note stays in the outbox once it and what came later is persisted;"
        " gateways repair from it",
    )
    persist_batch: int = Field(
        default=32, ge=1, le=1024, description="the most notes of one partition to persist at once"
    )
    lease_seconds: float = Field(
        default=3,
        ge=0.3,
        le=60,
        description="after how long another replica takes the place of one that is gone",
    )
