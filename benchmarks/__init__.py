"""How fast ctrl-hub is, measured beside its peers in the same run: ``python -m benchmarks``.

========================  ====================================================================
``__main__``              the command line
``run``                   peers x workloads in turns, each run in a fresh process, none left over
``child``                 one run in that process
``workloads``             what is measured, over the interface in ``peers.base``
``first_result``          from nothing to the first result, in an interpreter that does only that
``work``                  the functions that engines run
``peers``                 one module for each system
``relay``                 the raw limit: pyzmq and pickle with nothing else in the way
``measure``               clocks, processes, memory, and what others took of the machine
``figures``               the vocabulary: metric, workload, run, median
``goals``                 what the figures must reach
``report``                tables and JSON
========================  ====================================================================
"""
