"""The parts that both services share: settings, logs, errors, Redis, health, the server."""
