"""The systems measured. To add one: a module with a `Peer`, and a line here."""

from __future__ import annotations

from importlib import import_module

from benchmarks.peers.base import NotOffered, Peer

__all__ = ["OURS", "PEERS", "NotOffered", "Peer", "make", "peer_class"]

#: All ratios are against this one.
OURS = "ctrl-hub"

#: Where each peer is. Importing a peer's module does not import the peer.
PEERS = {
    OURS: "benchmarks.peers.ctrl_hub:CtrlHub",
    "ctrl-hub-tcp": "benchmarks.peers.ctrl_hub:CtrlHubTcp",
    "ctrl-hub-http": "benchmarks.peers.ctrl_hub:CtrlHubHttp",
    "ctrl-hub-sqlite": "benchmarks.peers.ctrl_hub:CtrlHubSqlite",
    "ctrl-hub-executor": "benchmarks.peers.ctrl_hub:CtrlHubExecutor",
    "ctrl-hub-asyncio": "benchmarks.peers.ctrl_hub:CtrlHubAsyncio",
    "ipyparallel": "benchmarks.peers.ipython_parallel:IPythonParallel",
    "dask": "benchmarks.peers.dask_cluster:DaskCluster",
    "ray": "benchmarks.peers.ray_cluster:RayCluster",
    "process-pool": "benchmarks.peers.process_pool:ProcessPool",
    "mp-pool": "benchmarks.peers.process_pool:MultiprocessingPool",
    "raw-relay": "benchmarks.peers.raw_relay:RawRelay",
    "prototype": "benchmarks.peers.prototype:Prototype",
    "prototype-thread": "benchmarks.peers.prototype:PrototypeThread",
}


def peer_class(name: str) -> type[Peer]:
    """Return a peer's class by the peer's name."""
    module, _, attribute = PEERS[name].partition(":")
    found: type[Peer] = getattr(import_module(module), attribute)
    return found


def make(name: str) -> Peer:
    """Return a peer that is not started."""
    peer = peer_class(name)()
    peer.name = name
    return peer
