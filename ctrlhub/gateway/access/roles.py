"""What the bearer of a token may do: the roles of clients, by which the hub goes as well."""

from __future__ import annotations

from ctrlhub.wire.messages import CLIENT_ROLES as ROLES
from ctrlhub.wire.messages import Role

__all__ = ["ROLES", "Role", "allows"]


def allows(role: Role, needed: Role) -> bool:
    """Tell whether a role is enough for what needs another."""
    return role.allows(needed)
