"""Transports: how bytes come to the hub and go from it. They decide nothing."""
