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
        description="the most notes that a room keeps; its next note trims it",
    )
    retention_seconds: float = Field(
        default=0, ge=0, le=3_155_760_000, description="the greatest age of a note; 0: any age"
    )
    retention_sweep_seconds: float = Field(
        default=60,
        ge=0.05,
        le=86_400,
        description="interval at which every room is checked for old notes",
    )
    outbox_trim_margin_seconds: float = Field(
        default=60,
        ge=0,
        le=86_400,
        description="time for which a note stays in the outbox after it was persisted; gateways"
        " repair gaps from there",
    )
    persist_batch: int = Field(
        default=32, ge=1, le=1024, description="the most notes of one partition to persist at once"
    )
    lease_seconds: float = Field(
        default=3,
        ge=0.3,
        le=60,
        description="time after which another replica takes the place of one that is gone",
    )
