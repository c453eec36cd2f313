"""What Unicode text looks like: which characters don't show, and what makes a good name."""
