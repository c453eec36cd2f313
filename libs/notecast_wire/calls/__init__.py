"""Calls from their headers to their statuses, and the fan-out to many of them."""
