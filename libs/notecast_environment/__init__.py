"""What all programs of the project know of the environment that they share."""
