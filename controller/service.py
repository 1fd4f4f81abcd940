"""The controller: one registry of engines, for many interfaces and many protocols.

`ControllerService` knows which engines there are, and nothing else: engines are registered and
unregistered, and whoever wants to know is told. It is the only place where engines are counted.

What clients can ask is said by *interfaces*: direct commands to engines, load-balanced tasks,
queries, your own. Each is a `ControllerAdapterBase`, made with a controller; it forwards the
controller's methods, shares its ``engines`` and keeps no list of its own. Any number of them may
sit on one controller at once, and each may be served over any number of *protocols* (memory,
ZeroMQ, HTTP), which know nothing of one another::

    ControllerService
      ├── MultiEngine   ─┬─ in-process memory
      ├── TaskQueue     ─┼─ ZeroMQ
      └── your own      ─┴─ …

Events
------
Callbacks run synchronously, in the order in which they were added, in the thread that registers
(the service is for one thread: the hub's loop). What a callback itself registers or unregisters is
announced when everyone has heard of the event at hand, so that all hear of the same events in the
same order; a callback hears of no event older than itself. One that raises is logged and kept.

Seed: IPython.kernel 0.10, ``controllerservice``; names in PEP 8 spelling, faults mended
(docs/controller.md).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from ctrlhub.controller.arguments import require, require_callable, require_or_none
from ctrlhub.controller.callbacks import (
    Announcer,
    Callback,
    Listener,
    Listeners,
    Waiter,
    Waiters,
    call_back,
)
from ctrlhub.controller.engine_ids import EngineIds
from ctrlhub.wire.errors import ControllerStopped

__all__ = [
    "ControllerAdapterBase",
    "ControllerService",
    "IControllerBase",
    "IControllerCore",
    "RemoteEngine",
]

log = logging.getLogger(__name__)


@runtime_checkable
class RemoteEngine(Protocol):
    """What a controller must know of an engine: by what it is recognised when it comes back."""

    @property
    def key(self) -> str:
        """The engine's lasting identity, the same after every reconnection."""


@runtime_checkable
class IControllerCore(Protocol):
    """What every controller offers, and every adapter on one.

    Notes
    -----
    Arguments of a wrong type are a `TypeError`.
    """

    @property
    def engines(self) -> Mapping[int, RemoteEngine]:
        """The engines registered now, by id: a live view, read-only."""

    def register_engine(
        self,
        remote_engine: RemoteEngine,
        id: int | None = None,
        ip: str | None = None,
        port: int | None = None,
        pid: int | None = None,
    ) -> dict[str, int]:
        """Register an engine and say which id it got, as ``{"id": n}``."""

    def unregister_engine(self, id: int) -> None:
        """Unregister the engine with this id."""

    def on_register_engine_do(
        self, f: Callback, include_id: bool, *args: Any, **kwargs: Any
    ) -> None:
        """Call ``f`` after each registration."""

    def on_unregister_engine_do(
        self, f: Callback, include_id: bool, *args: Any, **kwargs: Any
    ) -> None:
        """Call ``f`` after each unregistration."""

    def on_register_engine_do_not(self, f: Callback) -> None:
        """Stop calling ``f`` after registrations."""

    def on_unregister_engine_do_not(self, f: Callback) -> None:
        """Stop calling ``f`` after unregistrations."""

    def on_n_engines_registered_do(self, n: int, f: Callback, *args: Any, **kwargs: Any) -> None:
        """Call ``f`` once, as soon as ``n`` engines are registered."""


@runtime_checkable
class IControllerBase(IControllerCore, Protocol):
    """A controller that interfaces can be put on: what an adapter takes, and is."""


class ControllerService(IControllerBase):
    """The engine registry, and the only one.

    It takes engines from its making until `stop`.

    Parameters
    ----------
    max_engines
        How many engines can be registered at once; their ids are 0 … ``max_engines - 1``.
    save_ids
        Reserve the id of an engine that leaves: the engine with the same key gets it back and no
        other gets it, until `release_id` or until a newcomer finds no free id; then the oldest
        reservation is given up. An engine with a key that is registered is refused.

    Raises
    ------
    ValueError
        ``max_engines`` is less than one.
    """

    def __init__(self, max_engines: int = 511, save_ids: bool = False) -> None:
        require("max_engines", max_engines, int)
        require("save_ids", save_ids, bool)
        if max_engines < 1:
            raise ValueError(f"max_engines must be at least 1, not {max_engines}")
        self._max_engines = max_engines
        self._save_ids = save_ids
        self._engines: dict[int, RemoteEngine] = {}
        self._engines_view = MappingProxyType(self._engines)
        self._ids = EngineIds(max_engines, save_ids)
        self._on_register = Listeners()
        self._on_unregister = Listeners()
        self._on_count = Waiters()
        self._announcer = Announcer(self._call_waiters)
        self._stopped = False

    @property
    def max_engines(self) -> int:
        """How many engines can be registered at once."""
        return self._max_engines

    @property
    def save_ids(self) -> bool:
        """Whether the id of an engine that left is reserved for it."""
        return self._save_ids

    @property
    def engines(self) -> Mapping[int, RemoteEngine]:
        """The engines registered now, by id: a live view, read-only."""
        return self._engines_view

    def start(self) -> None:
        """Take engines; needed only after `stop`."""
        self._stopped = False

    def stop(self) -> None:
        """Take no more engines.

        Those that are registered stay so, and can still be unregistered: nobody's callback misses
        the end of an engine.
        """
        self._stopped = True

    def register_engine(
        self,
        remote_engine: RemoteEngine,
        id: int | None = None,
        ip: str | None = None,
        port: int | None = None,
        pid: int | None = None,
    ) -> dict[str, int]:
        """Register an engine and announce it.

        Parameters
        ----------
        remote_engine
            The engine, as its peers here see it.
        id
            The desired id. One that is taken, reserved or out of range is no error: the engine
            gets the lowest free one.
        ip, port, pid
            Where the engine is, for the log: what one needs to find a process that hangs.

        Returns
        -------
        dict
            ``{"id": n}``, the id it got.

        Raises
        ------
        TooManyEngines
            ``max_engines`` are registered.
        RegistrationRefused
            Ids are saved and an engine with this key is registered.
        ControllerStopped
            The controller takes no more engines.
        """
        require("remote_engine.key", getattr(remote_engine, "key", None), str)
        require_or_none("id", id, int)
        require_or_none("ip", ip, str)
        require_or_none("port", port, int)
        require_or_none("pid", pid, int)
        if self._stopped:
            raise ControllerStopped("the controller is stopped and takes no more engines")
        given = self._ids.take(remote_engine.key, id)
        self._engines[given] = remote_engine
        log.info("engine %d registered: ip %s, port %s, pid %s", given, ip, port, pid)
        self._announcer.announce(self._on_register, given)
        return {"id": given}

    def unregister_engine(self, id: int) -> None:
        """Unregister an engine and announce it; an unknown id is logged and harmless."""
        require("id", id, int)
        if self._engines.pop(id, None) is None:
            log.warning("engine %d cannot be unregistered: there is none", id)
            return
        self._ids.give_back(id)
        log.info("engine %d unregistered", id)
        self._announcer.announce(self._on_unregister, id)

    def reserve_id(self, id: int, key: str) -> bool:
        """Reserve an id for the engine of a key, which had it before; say whether that is possible."""
        require("id", id, int)
        require("key", key, str)
        return self._ids.reserve(id, key)

    def demand_id(self, id: int, key: str) -> None:
        """Reserve an id for the engine of a key, whomever it was kept for; or raise RegistrationRefused."""
        self._ids.demand(id, key)

    def release_id(self, id: int) -> None:
        """End the reservation of an id: its engine was stopped on purpose.

        A registered engine's id may be released before the engine leaves: then it is not reserved
        at all. An id that nothing is kept for is harmless.
        """
        require("id", id, int)
        if self._ids.release(id):
            log.info("engine id %d is no longer reserved", id)

    def on_register_engine_do(
        self, f: Callback, include_id: bool, *args: Any, **kwargs: Any
    ) -> None:
        """Call ``f`` after each registration, when the engine is in `engines`.

        Parameters
        ----------
        f
            Called as ``f(id, *args, **kwargs)`` or, without the id, ``f(*args, **kwargs)``.
        include_id
            Whether it is given the engine's id.
        *args, **kwargs
            What else it is given.
        """
        self._on_register.add(_listener(f, include_id, args, kwargs))

    def on_unregister_engine_do(
        self, f: Callback, include_id: bool, *args: Any, **kwargs: Any
    ) -> None:
        """Call ``f`` after each unregistration, when the engine is no longer in `engines`.

        The parameters are those of `on_register_engine_do`.
        """
        self._on_unregister.add(_listener(f, include_id, args, kwargs))

    def on_register_engine_do_not(self, f: Callback) -> None:
        """Undo the first `on_register_engine_do` of ``f``, if there is one."""
        require_callable(f)
        self._on_register.remove(f)

    def on_unregister_engine_do_not(self, f: Callback) -> None:
        """Undo the first `on_unregister_engine_do` of ``f``, if there is one."""
        require_callable(f)
        self._on_unregister.remove(f)

    def on_n_engines_registered_do(self, n: int, f: Callback, *args: Any, **kwargs: Any) -> None:
        """Call ``f(*args, **kwargs)`` once: now, or as soon as ``n`` engines are registered.

        Raises
        ------
        ValueError
            There can never be ``n`` engines here.
        """
        require("n", n, int)
        require_callable(f)
        if not 0 <= n <= self._max_engines:
            raise ValueError(f"n must be between 0 and max_engines ({self._max_engines}), not {n}")
        if len(self._engines) >= n:
            call_back(f, args, kwargs)
        else:
            self._on_count.add(Waiter(n, f, args, kwargs))

    def _call_waiters(self) -> None:
        self._on_count.reached(len(self._engines))


class ControllerAdapterBase(IControllerBase):
    """An interface on a controller: forwards to it, and shares its engines.

    Inherit from it to offer clients something of your own. An adapter holds no copy of the
    engines; one that keeps something per engine follows them with `follow_engines`, and so works
    as well when engines were there before it.

    Parameters
    ----------
    controller
        A `ControllerService`, or an adapter on one.
    """

    def __init__(self, controller: IControllerBase) -> None:
        if not isinstance(controller, IControllerBase):
            raise TypeError(
                f"controller must be an IControllerBase, not {type(controller).__name__}"
            )
        self.controller = controller

    @property
    def engines(self) -> Mapping[int, RemoteEngine]:
        """The controller's engines."""
        return self.controller.engines

    def follow_engines(
        self, appeared: Callable[[int], object], left: Callable[[int], object]
    ) -> None:
        """Hear of every engine: of those registered now, at once, and of the others in time.

        Parameters
        ----------
        appeared
            Called with the id of each engine, once.
        left
            Called with the id of each engine that is unregistered.
        """
        present = dict(self.engines)
        self.on_register_engine_do(appeared, True)
        self.on_unregister_engine_do(left, True)
        for id, engine in present.items():
            if self.engines.get(id) is engine:  # still: `appeared` may do anything
                call_back(appeared, (id,))

    def register_engine(
        self,
        remote_engine: RemoteEngine,
        id: int | None = None,
        ip: str | None = None,
        port: int | None = None,
        pid: int | None = None,
    ) -> dict[str, int]:
        """Forward to the controller."""
        return self.controller.register_engine(remote_engine, id, ip, port, pid)

    def unregister_engine(self, id: int) -> None:
        """Forward to the controller."""
        self.controller.unregister_engine(id)

    def on_register_engine_do(
        self, f: Callback, include_id: bool, *args: Any, **kwargs: Any
    ) -> None:
        """Forward to the controller."""
        self.controller.on_register_engine_do(f, include_id, *args, **kwargs)

    def on_unregister_engine_do(
        self, f: Callback, include_id: bool, *args: Any, **kwargs: Any
    ) -> None:
        """Forward to the controller."""
        self.controller.on_unregister_engine_do(f, include_id, *args, **kwargs)

    def on_register_engine_do_not(self, f: Callback) -> None:
        """Forward to the controller."""
        self.controller.on_register_engine_do_not(f)

    def on_unregister_engine_do_not(self, f: Callback) -> None:
        """Forward to the controller."""
        self.controller.on_unregister_engine_do_not(f)

    def on_n_engines_registered_do(self, n: int, f: Callback, *args: Any, **kwargs: Any) -> None:
        """Forward to the controller."""
        self.controller.on_n_engines_registered_do(n, f, *args, **kwargs)


def _listener(
    f: Callback, include_id: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Listener:
    require_callable(f)
    require("include_id", include_id, bool)
    return Listener(f, include_id, args, kwargs)
