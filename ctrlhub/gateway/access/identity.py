"""Who asks, once that is known. Data; no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from ctrlhub.gateway.access.cookies import Login
from ctrlhub.gateway.access.roles import Role


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks.

    Attributes
    ----------
    role
        What it may do.
    token, name
        Id and name of its token.
    login
        Its cookie; None for a bearer of the token itself.
    """

    role: Role
    token: str
    name: str
    login: Login | None = None
