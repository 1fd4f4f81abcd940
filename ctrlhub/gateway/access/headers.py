"""The headers that every answer has. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from ctrlhub.controller.http_config import HttpConfig

HTTPS = 443
"""The port of TLS that goes without saying: who has it speaks for the whole host."""

PAGE_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; object-src 'none'; frame-ancestors {frames}"
)
API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def headers_of(config: HttpConfig, *, page: bool) -> Mapping[str, str]:
    """Return the headers of a page, or of what programs read."""
    frames = " ".join(("'self'", *config.frames)) if config.frames else "'none'"
    headers = {
        "Content-Security-Policy": PAGE_POLICY.format(frames=frames) if page else API_POLICY,
        "X-Content-Type-Options": "nosniff",
        # Not "no-referrer": with that, browsers send our own forms with an Origin that is "null".
        "Referrer-Policy": "same-origin" if page else "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "cross-origin" if config.frames else "same-origin",
        "Cache-Control": "no-store",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
    if not config.frames:
        headers["X-Frame-Options"] = "DENY"
    if config.has_tls and config.port == HTTPS:
        # Browsers hold all ports of a host to it: at another port it would shut out other servers of this host.
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers
