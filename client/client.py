"""Client: the way in."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ctrlhub.client.arguments import check_kinds, check_others, check_web_only, chosen_profile
from ctrlhub.client.attaching import Attaching
from ctrlhub.client.balanced_view import LoadBalancedView
from ctrlhub.client.broadcast_view import BroadcastView
from ctrlhub.client.connection import Connection
from ctrlhub.client.control import Control
from ctrlhub.client.dashboard import Dashboard
from ctrlhub.client.dask import DaskStarter
from ctrlhub.client.direct_view import DirectView
from ctrlhub.client.engine_waits import EngineWaits
from ctrlhub.client.executor import ViewExecutor
from ctrlhub.client.html import panel, table
from ctrlhub.client.ipython import offer_magics
from ctrlhub.client.jobs import Jobs
from ctrlhub.client.log_forwarding import LogForwarding
from ctrlhub.client.opening import Where, chosen_role, find, registration
from ctrlhub.client.purging import Purging
from ctrlhub.client.questions import Questions
from ctrlhub.client.start_hooks import StartHooks
from ctrlhub.client.targets import Targets, chosen, is_single, states_of, staying
from ctrlhub.link.base import Link
from ctrlhub.link.web_address import WebAddress, is_web
from ctrlhub.wire.errors import (
    CtrlHubError,
    InvalidEngineID,
    NoEnginesRegistered,
    UnknownInterface,
)
from ctrlhub.wire.liveness import is_gone
from ctrlhub.wire.messages import Register, Role

if TYPE_CHECKING:
    import zmq

ARGUMENTS = (
    "connection_info, profile, cluster_id, context, sshserver, sshkey, cluster, timeout, "
    "join_timeout, session, takeover, token, ca_file, headers, role"
)
"""The arguments of `Client`, for who misspells one."""


class Client(
    EngineWaits, Jobs, Purging, Control, StartHooks, LogForwarding, DaskStarter, Attaching, Questions
):
    """A connection to a running hub, with views on its engines.

    Parameters
    ----------
    connection_info
        The path of a connection file, or what stands in one; or the address of the hub's gateway
        (``https://host:port``), which is all that a client behind a firewall needs. Without it, the hub
        of `profile` on this machine, or of this user's shared home.
    profile
        The name of the hub's profile; None is the default one.
    cluster_id
        The same: each cluster has a profile of its own, and its id is that profile's name.
    context
        A `zmq.Context` for the client's sockets; None makes one.
    sshserver
        Reach the hub through ssh: ``user@host:port`` of its machine, or of one that reaches its TCP
        ports. The connection file has to be here. Without it, through the one that the file names, if
        the hub is on another machine; "" takes none.
    sshkey
        The file of a private key for that; None leaves it to ssh.
    cluster
        The cluster that this client belongs to; kept as an attribute.
    timeout
        How long (seconds) to wait for the hub: here, and at each question to it.
    join_timeout
        How long (seconds) to wait here, if not as long as at each question.
    session
        The number of a session that another client has left (`detach`), or that has lost its client: its
        requests go on as this client's, `unfetched` names them, and `get_result` gets their results.
        When this client is closed, the session is left again, unless nothing is left in it.
    takeover
        Attach to the session also if another client is attached, which is closed.
    token
        With the address of a gateway: what opens it. Without it, the one in the address (``?token=``), else
        in the environment (``CTRLHUB_HTTP_TOKEN``).
    ca_file
        With ``https://``: a file of certificates to trust in place of the system's.
    headers
        With the address of a gateway: further headers, for a proxy before it that asks for some.
    role
        ``"admin"`` (that is what it is if nothing is said), ``"submit"`` or ``"view"``: what the hub allows
        this client. A connection file says it itself.

    Raises
    ------
    HubNotFound
        No hub is running; the message says how to start one.
    ConnectionFileError
        The connection file cannot be used.
    HubUnavailable
        The hub does not answer.
    AuthenticationError, VersionMismatch, ProtocolMismatch
        The hub does not let us in.
    NoSuchSession, SessionAttached
        There is no such session, or another client is attached to it.

    Examples
    --------
    >>> with Client() as client:
    ...     client.load_balanced_view().map_sync(pow, [1, 2, 3], [2, 2, 2])
    [1, 4, 9]
    """

    block: bool = False
    """The flag `block` that new views have."""

    _dashboard = Dashboard()

    def __init__(
        self,
        connection_info: Where = None,
        *,
        profile: str | None = None,
        cluster_id: str | None = None,
        context: zmq.Context[Any] | None = None,
        sshserver: str | None = None,
        sshkey: str | os.PathLike[str] | None = None,
        cluster: Any = None,
        timeout: float = 10.0,
        join_timeout: float | None = None,
        session: int | None = None,
        takeover: bool = False,
        token: str | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        headers: Mapping[str, str] | None = None,
        role: str | None = None,
        **others: Any,
    ) -> None:
        check_others(others, ARGUMENTS)
        self.cluster = cluster
        patience = timeout if join_timeout is None else join_timeout
        check_kinds(context, timeout=timeout, join_timeout=patience)
        if is_web(connection_info):
            from ctrlhub.client.over_web import check_alone, open_way

            check_alone(
                profile=profile, cluster_id=cluster_id, context=context, sshserver=sshserver, sshkey=sshkey,
                role=role,
            )
            address = WebAddress.parse(str(connection_info), token, ca_file, headers)
            way = open_way(address, patience, session, takeover=takeover)
            self._begin(way.link, way.registration, way.profile, timeout, way.is_gone, join_timeout)
            self._dashboard = Dashboard(way.profile, url=str(address).rstrip("/"))
            offer_magics(self)
            return
        # Here, so that a client of another transport in the same process needs no ZeroMQ.
        from ctrlhub.link.ways import gateway_to, link_to
        from ctrlhub.wire.security import KeyPair

        check_web_only(token=token, ca_file=ca_file, headers=headers)
        which = chosen_role(role, connection_info)
        info = find(connection_info, chosen_profile(profile, cluster_id), patience, which)
        keys = KeyPair.generate()
        said = registration(keys.public, session, takeover=takeover, role=info.role)
        gone = partial(is_gone, info)
        gateway = gateway_to(info, sshserver, None if sshkey is None else os.fspath(sshkey))
        link = link_to(info, keys, gateway, patience, context)
        self._begin(link, said, info.profile, timeout, gone, join_timeout)
        self._dashboard = Dashboard(info.profile, None if info.file is None else info.file.parent)
        offer_magics(self)

    @classmethod
    def _on_link(
        cls,
        link: Link,
        *,
        key: str = "",
        timeout: float = 10.0,
        session: int | None = None,
        takeover: bool = False,
        role: Role = Role.ADMIN,
    ) -> Self:
        """Make a client on a link that is there already."""
        client = cls.__new__(cls)
        name = key or f"client-{id(client):x}-{time.monotonic_ns():x}"
        said = registration(name, session, takeover=takeover, role=role)
        client._begin(link, said, "", timeout)
        return client

    def _begin(
        self,
        link: Link,
        said: Register,
        profile: str,
        timeout: float,
        is_gone: Callable[[], bool] | None = None,
        join_timeout: float | None = None,
    ) -> None:
        self.profile = profile
        self._connection = Connection(link, said, timeout, is_gone, join_timeout)

    # ------------------------------------------------------------ life

    @property
    def session(self) -> int:
        """The number the hub gave this client."""
        return self._connection.session

    @property
    def role(self) -> str:
        """What the hub allows this client: ``"admin"``, ``"submit"`` or ``"view"``."""
        return self._connection.role.value

    @property
    def closed(self) -> bool:
        """Whether it was closed, by us or by the hub's end."""
        return self._connection.closed

    def close(self) -> None:
        """Leave the hub. Results that are out fail with `SessionClosed`; twice is harmless."""
        self._connection.close()

    def _give_up(self, error: CtrlHubError) -> None:
        """Leave a hub that is known to be dead; what has not ended fails with `error`."""
        self._connection.give_up(error)

    def _hub_has_ended(self, error: CtrlHubError) -> None:
        """Leave a hub that has died for good; each request fails with what became of it."""
        self._connection.hub_has_ended(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self._connection.engines())} engines"
        return f"<Client {self.session} of {self.profile or 'a hub'}: {state}>"

    def _repr_html_(self) -> str:
        """Show the engines (Jupyter asks for it). What is known here; the hub is not asked."""
        if self.closed:
            return panel(f"Client {self.session}", "closed")
        engines = sorted(self._connection.engines().items())
        rows = [(n, known.get("host", ""), known.get("pid", "")) for n, known in engines]
        where = f"of {self.profile or 'a hub'}: {len(rows)} engines"
        body = table(("engine", "host", "pid"), rows) + self._dashboard.note()
        return panel(f"Client {self.session}", where, body)

    # ------------------------------------------------------------ engines

    @property
    def ids(self) -> list[int]:
        """The ids of the engines there are, in order.

        The hub is asked whether there is news, which takes a round trip. A callback of results, which
        cannot wait for that, gets those that are known; so does everyone while the hub does not answer.
        """
        return sorted(self._connection.certain_engines())

    def __len__(self) -> int:
        return len(self.ids)

    # A client is true, also while there are no engines.
    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[DirectView]:
        """Yield a view on each engine."""
        for number in self.ids:
            yield self.direct_view(number)

    def __getitem__(self, targets: Targets) -> DirectView:
        """Return a view on one engine, or on those there are now of several or a slice.

        Raises
        ------
        NoEnginesRegistered, InvalidEngineID
            They are not there; the latter is an `IndexError`.
        TypeError
            That is no way to name engines.
        """
        if targets is None or isinstance(targets, str):
            raise TypeError("index a client with an int, a slice, or several ints")
        return self.direct_view(targets)

    def _known_ids(self) -> list[int]:
        """Return the ids of the engines that are known: all that anything received depends on."""
        return sorted(self._connection.current_engines())

    def _resolve(self, targets: Targets, leaving: bool = False) -> list[int]:
        """Return the ids that are meant; of all, or a slice of them, none that is draining unless `leaving`."""
        if type(targets) is int and targets in self._connection.engines():
            return [targets]
        try:
            ids: Sequence[int] = self._known_ids()
            if not leaving and (targets is None or isinstance(targets, str | slice)):
                ids = staying(ids, self._connection.engines())
            return chosen(targets, ids)
        except (NoEnginesRegistered, InvalidEngineID) as error:
            refusal = error
        # Perhaps it came this instant: the hub knows, and an error is worth the question.
        try:
            absent = self._connection.look_at_engines()
        except UnknownInterface:  # this hub does not tell: what we know must do
            raise refusal from None
        return chosen(targets, self._known_ids(), states_of(absent))

    # ------------------------------------------------------------ views

    def direct_view(self, targets: Targets = "all", **flags: Any) -> DirectView:
        """Return a view on explicit engines.

        Parameters
        ----------
        targets
            An id, several, a slice of those there are now, or ``'all'``: those there are at each
            call.
        **flags
            The view's flags.
        """
        return DirectView(self, self._named(targets), **flags)

    def broadcast_view(
        self, targets: Targets = "all", is_coalescing: bool = False, **flags: Any
    ) -> BroadcastView:
        """Return a view on explicit engines; every view's calls are broadcast here.

        Parameters
        ----------
        targets, **flags
            As for `direct_view`.
        is_coalescing
            Kept for programs that pass it.
        """
        return BroadcastView(self, self._named(targets), is_coalescing=is_coalescing, **flags)

    def executor(self, targets: Targets = None, **flags: Any) -> ViewExecutor:
        """Return all engines as one executor of `concurrent.futures`.

        Parameters
        ----------
        targets, **flags
            As for `load_balanced_view`.
        """
        return self.load_balanced_view(targets, **flags).executor

    def _named(self, targets: Targets) -> Targets:
        """Return targets as they are kept by a view: ``'all'``, or the ids that are meant now."""
        if isinstance(targets, str):
            return targets
        ids = self._resolve(targets)
        return ids[0] if is_single(targets) else ids

    def load_balanced_view(self, targets: Targets = None, **flags: Any) -> LoadBalancedView:
        """Return a view on engines as one: each task runs on one that has room.

        Parameters
        ----------
        targets
            The engines that may run its tasks; None or ``'all'`` are all, also those to come.
        **flags
            The view's flags.
        """
        return LoadBalancedView(self, targets=targets, **flags)

    def activate(self, targets: Targets = "all", suffix: str = "") -> DirectView:
        """Make `%px` and the other magics those of a view that blocks: see `DirectView.activate`.

        The first client in an IPython session does so by itself.

        Returns
        -------
        DirectView
            The view. Its flags `block` and `targets` hold for the magics.
        """
        view = self.direct_view(targets, block=True)
        view.activate(suffix)
        return view
