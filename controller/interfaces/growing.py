"""Which nanny starts how many of the engines that a set is to have more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.errors import EngineError
from ctrlhub.wire.messages import Role, Stream


def shared_out(count: int, engine_set: str, sessions: Iterable[Session]) -> Counter[Session]:
    """Share so many new engines out among the elastic nannies of a set, one on each host.

    The next goes to who has the fewest.

    Raises
    ------
    EngineError
        None is connected.
    """
    nannies = {
        each.host: each  # of several on a host, all but one of which have died, the last that came
        for each in sessions
        if each.role is Role.NANNY
        and each.elastic
        and each.engine_set == engine_set
        and Stream.HUB in each.connections
    }
    if not nannies:
        name = f"set {engine_set!r}" if engine_set else "engines without a set"
        raise EngineError(
            f"no nanny of {name} is here that starts further engines: a Cluster and `ctrl-hub start` have "
            "one; start another set with `Cluster.start_engines` or `ctrl-hub engines start`"
        )
    shares: Counter[Session] = Counter()
    for _ in range(count):
        least = min(nannies.values(), key=lambda each: (len(each.vouches) + shares[each], each.number))
        shares[least] += 1
    return shares
