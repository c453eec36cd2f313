"""How streams are spread over gateways."""

from collections.abc import Collection

_EVEN_SHARE = 0.2
"""How far from the mean a gateway's streams may be where they are spread evenly."""


def is_even(counts: Collection[int]) -> bool:
    """Whether every count is within 20 % of their mean."""
    mean = sum(counts) / len(counts)
    return all(abs(count - mean) <= _EVEN_SHARE * mean for count in counts)
