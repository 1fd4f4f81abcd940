"""The gateway: the hub's interfaces over HTTP and WebSocket, in a process of its own.

It is a client of the hub like any other, one for each role, and the hub's supervised child.
"""
