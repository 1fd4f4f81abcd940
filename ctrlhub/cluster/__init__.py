"""Whole clusters: a hub and its engines started, watched and stopped together."""
