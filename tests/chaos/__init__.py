"""Shows that no note is lost, repeated or out of order under faults: `python -m tests.chaos`.

Real processes behind a proxy that misbehaves, hundreds of clients that resume, writers
that retry. Everyone writes what it saw to a file of its own; a checker reads only those.
"""
