"""What both services share: settings, logs, errors, Redis, health, and a server's life."""
