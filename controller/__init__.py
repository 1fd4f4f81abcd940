"""The hub: engines registered, commands routed, tasks queued and stored; no user code."""
