"""Tells how Unicode text looks: which characters don't show, and what makes a good name."""
