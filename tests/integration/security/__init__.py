"""Strangers and peers of every role at the doors; a package, so that its cluster ends with it."""
