"""ctrl-hub: this project, as its users meet it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.peers.base import NotOffered, Peer

if TYPE_CHECKING:
    from benchmarks.work import Array


class CtrlHub(Peer):
    """`Cluster` with its defaults: sockets of the user's own, on this host."""

    package = "ctrlhub"
    client_import = "from ctrlhub import Client"
    options: ClassVar[dict[str, Any]] = {}

    def start(self, engines: int) -> None:
        from ctrlhub import Cluster

        self._life = ExitStack()
        self._cluster = Cluster(n=engines, **self.options)
        self._client = self._life.enter_context(self._cluster)
        self._balanced = self._client.load_balanced_view()
        self._all = self._client[:]
        self._one = self._client[self._client.ids[0]]

    def stop(self) -> None:
        self._life.close()

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._balanced.apply_async(function, *args)

    def submit_after(self, futures: Sequence[Any], function: Callable[..., Any]) -> Any:
        with self._balanced.temp_flags(after=futures):
            return self._balanced.apply_async(function)

    def another_client(self) -> CtrlHub:
        other = CtrlHub()
        other._client = self._life.enter_context(self._cluster.connect_client_sync())
        other._balanced = other._client.load_balanced_view()
        return other

    def results(self, futures: Sequence[Any]) -> list[Any]:
        return [future.get() for future in futures]

    def map(self, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        return list(self._balanced.map_async(function, items).get())

    def call(self, function: Callable[..., Any]) -> Any:
        return self._balanced.apply_sync(function)

    def call_one(self, function: Callable[..., Any]) -> Any:
        return self._one.apply_sync(function)

    def call_all(self, function: Callable[..., Any]) -> Any:
        return self._all.apply_sync(function)

    def push(self, array: Array) -> None:
        self._one.push({"array": array}, block=True)

    def push_all(self, array: Array) -> None:
        self._all.push({"array": array}, block=True)

    def pull(self, nbytes: int) -> Array:
        array: Array = self._one.pull("array", block=True)
        return array

    def engine_pids(self) -> list[int]:
        from benchmarks.work import pid

        return list(self._all.apply_sync(pid))

    def hub_pids(self) -> list[int]:
        return [self._cluster.pids["hub"]]


class CtrlHubTcp(CtrlHub):
    """The same over TCP, where every stream is encrypted."""

    options: ClassVar[dict[str, Any]] = {"listen": "127.0.0.1", "prefer": "tcp"}


class CtrlHubHttp(CtrlHub):
    """The same as from behind a firewall: one WebSocket to the hub's gateway, with the token as its only key."""

    def start(self, engines: int) -> None:
        from ctrlhub import Client
        from ctrlhub.gateway.access.roles import Role
        from ctrlhub.gateway.token_file import TokenFile

        super().start(engines)
        claim = self._cluster._claim
        assert claim is not None  # it runs
        url = self._client.gateway()
        token = TokenFile(claim.profile.tokens).now().shown(Role.ADMIN)
        assert token is not None  # the gateway has made it
        self._where = url, token.secret
        self._client = self._life.enter_context(Client(url, token=token.secret))
        self._balanced = self._client.load_balanced_view()
        self._all = self._client[:]
        self._one = self._client[self._client.ids[0]]

    def another_client(self) -> CtrlHub:
        from ctrlhub import Client

        url, token = self._where
        other = CtrlHub()
        other._client = self._life.enter_context(Client(url, token=token))
        other._balanced = other._client.load_balanced_view()
        return other


class CtrlHubSqlite(CtrlHub):
    """The same with a store on disk, as hubs have that are started again."""

    options: ClassVar[dict[str, Any]] = {"store": "sqlite"}

    def start(self, engines: int) -> None:
        super().start(engines)
        self._engines = engines

    def twin(self) -> CtrlHub:
        other = CtrlHub()
        other.start(self._engines)
        self._life.callback(other.stop)
        return other


class CtrlHubExecutor(CtrlHub):
    """The same through `ctrlhub.Executor`, as programs use it that were made for the standard library's."""

    def start(self, engines: int) -> None:
        from ctrlhub import Executor

        super().start(engines)
        self._executor = self._life.enter_context(Executor(client=self._client))

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._executor.submit(function, *args)

    def results(self, futures: Sequence[Any]) -> list[Any]:
        return [future.result() for future in futures]

    def map(self, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        return list(self._executor.map(function, items))


class CtrlHubAsyncio(CtrlHub):
    """The same through `AsyncClient`: as many calls in an event loop, gathered.

    Calls are made where there is a loop, so what is submitted before is made with the first of them.
    """

    def start(self, engines: int) -> None:
        from ctrlhub import AsyncClient

        super().start(engines)
        self._awaited = AsyncClient(client=self._client).load_balanced_view()

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return function, args

    def results(self, futures: Sequence[Any]) -> list[Any]:
        import asyncio

        async def all_of_them() -> list[Any]:
            apply = self._awaited.apply
            return await asyncio.gather(*[apply(function, *args) for function, args in futures])

        return asyncio.run(all_of_them())

    def submit_after(self, futures: Sequence[Any], function: Callable[..., Any]) -> Any:
        raise NotOffered("its tasks begin as they are awaited")
