"""The overlay `local` on a real cluster, disturbed on purpose: `python -m tests.e2e.kubernetes`.

Clients, their records and the checker of what they saw are those of `tests.chaos`.
"""
