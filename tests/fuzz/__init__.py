"""Fuzzing: recorded traffic, changed at random, from strangers and from peers with keys, against a hub.

`make fuzz ARGS="--minutes 60 --seed 7"` runs it; what is said follows from the seed.

traffic     what real clients, engines and nannies said: recorded from their sockets
mutation    what is made of it; without I/O
attackers   who says it, and how they behave otherwise
watch       whether the hub goes on to serve the others, and does not grow
"""
