"""Open rooms: kept in order, compared with Redis, and delivered to their readers."""
