"""Interfaces: what clients can ask. Each is an adapter on the one controller.

Those that are built in are named here; others are found by entry point (group ``ctrlhub.interfaces``)
when the configuration names them.
"""
