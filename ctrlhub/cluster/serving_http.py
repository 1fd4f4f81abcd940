"""A cluster that was asked to serve HTTP does not start without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctrlhub.cluster.errors import StartFailed
from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.wire.errors import GatewayError

if TYPE_CHECKING:
    from ctrlhub.client.client import Client


def serve_http(client: Client, http: HttpConfig) -> str:
    """Wait for the gateway of a hub that was to have one; return its URL, "" if it was to have none.

    Raises
    ------
    StartFailed
        It cannot serve: without it the cluster is not what was asked for.
    """
    if not http.is_wanted:
        return ""
    try:
        return client.gateway()
    except GatewayError as error:
        raise StartFailed(f"{error}") from error
