"""Writes the partitions' hash tags into `libs/notecast_runtime/partition_tags.py`.

`--check` writes nothing and exits with 1 where what is checked in is stale.

A Redis Cluster has 16,384 slots, and each node a contiguous range of them. The i-th of the
64 tags is placed in the middle of the i-th 64th of the slots, so that nodes with equal
ranges have equal numbers of partitions, and no node of up to 32 has none.
"""

import argparse
import sys
from binascii import crc_hqx
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from string import ascii_lowercase

TABLE = Path(__file__).resolve().parent.parent / "libs/notecast_runtime/partition_tags.py"

SLOTS = 16_384
PARTITIONS = 64
_LETTERS = 2
"""At most, after a partition's number: with so many, every tag is near the middle of its part."""

_COLUMNS = 8

_HEAD = '''"""The hash tags of the partitions, spread evenly over the slots of a Redis Cluster.

Written by `tools/generate_partition_tags.py`, which says how they are chosen. They are part
of the layout of the data: other tags are another layout (`keyspace.LAYOUT_VERSION`).
"""

# fmt: off
PARTITION_TAGS = (
'''

_TAIL = ''')
# fmt: on
"""The tag of each partition, in order: its number, and letters that lead to its slot."""
'''


def slot_of(tag: str) -> int:
    """The slot of a key with this hash tag (Redis Cluster specification, "Key distribution model").

    CRC-16/XMODEM of the tag, modulo the number of slots.
    """
    return crc_hqx(tag.encode(), 0) % SLOTS


def tag_of(partition: int) -> str:
    """The tag nearest to the middle of the partition's part of the slots."""
    part = SLOTS // PARTITIONS
    middle = partition * part + part // 2
    return min(_candidates(partition), key=lambda tag: abs(slot_of(tag) - middle))


def _candidates(partition: int) -> Iterator[str]:
    for length in range(1, _LETTERS + 1):
        for letters in product(ascii_lowercase, repeat=length):
            yield f"{partition}{''.join(letters)}"


def table() -> str:
    """The module's text."""
    tags = [f'"{tag_of(partition)}",' for partition in range(PARTITIONS)]
    lines = [" ".join(tags[start : start + _COLUMNS]) for start in range(0, len(tags), _COLUMNS)]
    return _HEAD + "".join(f"    {line}\n" for line in lines) + _TAIL


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the table is stale")
    options = parser.parse_args()
    if options.check:
        if TABLE.is_file() and TABLE.read_text() == table():
            return 0
        print(f"stale: {TABLE}; run {Path(__file__).name}, and commit it", file=sys.stderr)
        return 1
    TABLE.write_text(table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
