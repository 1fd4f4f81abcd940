"""Chaos: real processes under load that are killed, stopped and cut off at random, and what the clients saw.

`make chaos ARGS="--seed 7 --seconds 60"` runs it; the plan of faults follows from the seed alone.

plan        which fault when: from a seed, without I/O
site        the processes: a supervised cluster, engines on another node, clients; who is who
faults      what is done to them, and undone
client      the program of a client, which keeps its own record
record      that record, and what engines write down
verdict     what the records say: lost, doubled, late; without I/O
"""
