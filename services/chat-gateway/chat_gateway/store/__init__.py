"""What the gateway asks of Redis: accepting notes, heads, the outbox, the live feed."""
