"""The gateway's use of Redis: accepting notes, heads, the outbox, the live feed."""
