"""A room's log as values and arithmetic: ring, epochs, cursors, the bytes of events. No I/O."""
