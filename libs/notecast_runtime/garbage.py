"""How Python's garbage collector treats a process that lives long and must never pause long."""

import gc

_YOUNG_OBJECTS = 10_000
"""Walked in 1 to 2 ms. With half as many, more of what a storm of joins needs for a moment is
walked before it dies."""
_COLLECTIONS = 10


def freeze_startup_objects() -> None:
    """Has the collector pass over what the process has made so far; call it once it serves.

    A service is born with some hundred thousand objects (modules, descriptors of protobuf,
    models of settings) that live as long as it does. Each full collection walks them all: 60 ms
    of silence, several times a second under load. Frozen, they cost nothing (`gc.freeze`).

    What comes later is collected, and less often than by default: most of it dies by itself as
    its last reference goes, and only cycles need the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, _COLLECTIONS, _COLLECTIONS)
