"""Who a request comes from, and how much of what all clients share one of them may hold."""
