"""The fields that HPACK numbers without having been told of them (RFC 7541, appendix A)."""

from typing import Final

from hpack.table import HeaderTable

STATIC_FIELDS: Final[tuple[tuple[bytes, bytes], ...]] = tuple(HeaderTable.STATIC_TABLE)
"""From index 1 on, in order."""
