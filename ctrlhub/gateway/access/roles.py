"""What the bearer of a token may do."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The roles of tokens, from the weakest to the strongest."""

    VIEW = "view"
    """Reads all, changes nothing."""
    SUBMIT = "submit"
    """Runs code, and cancels its own."""
    ADMIN = "admin"
    """All else: other people's work, engines, the hub."""


ROLES = (Role.ADMIN, Role.SUBMIT, Role.VIEW)
"""The roles that tokens have."""

RANK = {Role.VIEW: 0, Role.SUBMIT: 1, Role.ADMIN: 2}


def allows(role: Role, needed: Role) -> bool:
    """Tell whether a role is enough for what needs another."""
    return RANK[role] >= RANK[needed]
