"""Clients' streams: where each stands in its rooms, from joining to leaving."""
