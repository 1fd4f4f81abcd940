"""The engine: one persistent namespace, user code in the main thread, I/O in another."""
