"""The hub's decisions, as machines without input or output.

Theory of operation
-------------------
Every machine is told what happened (`submit`, `finished`, `heard`, `engine_lost` ...) and, where time
matters, when (`now`, monotonic seconds). It changes its records and puts what must follow into the
:class:`~ctrlhub.controller.core.effects.Outbox`. It never sends, reads a clock, or waits. Two calls
are common to most: `flush`, at the end of a turn of the hub's loop, turns everything that became ready
in that turn into one message per peer (this is all the batching there is: no timer holds anything
back); `next_deadline` says when the machine wants `tick` to be called.

- :mod:`sessions` knows the peers: who they are and over which connections they speak.
- :mod:`heartbeat` knows when each was heard, and says who is suspect and who is lost.
- :mod:`engines` is what the registry holds for an engine; it says whether it may be given tasks.
- :mod:`commands` keeps a first-in-first-out queue per engine, one command in flight.
- :mod:`tasks` is the life of a task as a table of legal steps; :mod:`scheduler` places queued tasks by
  a policy of :mod:`policies` and decides how many an engine may hold ahead of time; :mod:`losses` says
  what becomes of the tasks of an engine that is gone.
- :mod:`deliveries` keeps every result until its client has acknowledged it.
- :mod:`functions` keeps the functions that requests name by hash.

Who acknowledges what: a client keeps a request until `Accepted` (sent after the store's commit), an
engine keeps a result until `Stored` (after commit), the hub keeps it until `Received`. Every message
may be lost with a connection; whoever is owed an acknowledgement sends again by id after the next
hello, and ids make repetition harmless.

`check()` of a machine raises AssertionError when its indexes disagree with its records; tests call it
after every step.
"""
