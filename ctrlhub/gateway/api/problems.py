"""What errors are in HTTP. No I/O."""

from __future__ import annotations

from http import HTTPStatus

from ctrlhub.cluster.errors import ClusterError, NoSuchSet
from ctrlhub.gateway.api.idempotency import KeyReused
from ctrlhub.gateway.api.outcomes import NotAsSaid
from ctrlhub.gateway.api.telling import NoRange
from ctrlhub.wire import errors
from ctrlhub.wire.plain_pickle import OfAClass
from ctrlhub.wire.private import StateError

STATUS: tuple[tuple[type[BaseException], HTTPStatus], ...] = (
    (errors.InvalidEngineID, HTTPStatus.NOT_FOUND),
    (errors.ResultLost, HTTPStatus.NOT_FOUND),
    (errors.NoSuchSession, HTTPStatus.NOT_FOUND),
    (errors.NoEnginesRegistered, HTTPStatus.CONFLICT),
    (errors.SessionAttached, HTTPStatus.CONFLICT),
    (errors.TooManyEngines, HTTPStatus.CONFLICT),
    (errors.EngineError, HTTPStatus.CONFLICT),
    (NoSuchSet, HTTPStatus.NOT_FOUND),
    (ClusterError, HTTPStatus.CONFLICT),
    (KeyReused, HTTPStatus.CONFLICT),
    (NoRange, HTTPStatus.CONFLICT),
    (errors.OutOfMemory, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.LimitExceeded, HTTPStatus.TOO_MANY_REQUESTS),
    (errors.StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
    (StateError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.HubUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.HubNotFound, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.SessionClosed, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.ControllerStopped, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.AuthenticationError, HTTPStatus.FORBIDDEN),
    (errors.PermissionDenied, HTTPStatus.FORBIDDEN),
    (errors.UnknownInterface, HTTPStatus.NOT_IMPLEMENTED),
    (errors.InvalidRequest, HTTPStatus.BAD_REQUEST),
    (OfAClass, HTTPStatus.NOT_ACCEPTABLE),
    (NotAsSaid, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.SerializationError, HTTPStatus.BAD_REQUEST),
    (TimeoutError, HTTPStatus.GATEWAY_TIMEOUT),
    (ValueError, HTTPStatus.BAD_REQUEST),
    (TypeError, HTTPStatus.BAD_REQUEST),
)
"""The first that fits says it."""

FORBIDDEN = "forbidden"
"""The word for what a role does not allow, whether the gateway finds it or the hub."""

RETRY_AFTER = 1
"""After so many seconds it may be worth another try."""


def status_of(error: BaseException) -> HTTPStatus | None:
    """Return the status of an error; None for one that nobody has foreseen."""
    for kind, status in STATUS:
        if isinstance(error, kind):
            return status
    return None


def code_of(error: BaseException) -> str:
    """Return the word for an error that does not change."""
    if isinstance(error, errors.PermissionDenied):
        return FORBIDDEN
    code = getattr(error, "code", None)
    if isinstance(code, str):
        return code
    return "timeout" if isinstance(error, TimeoutError) else "invalid_request"
