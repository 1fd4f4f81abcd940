"""What the door says itself: which clusters there are, or why it cannot go on. Plain pages that fetch nothing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from http import HTTPStatus

from ctrlhub.cluster.listing import Listed, State

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ctrl-hub</title>{more}<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
main {{ max-width: 40rem; margin: 10vh auto; padding: 0 1rem; }}
</style></head><body><main><h1>ctrl-hub</h1>{body}</main></body></html>
"""

AGAIN = 3
"""Seconds until a page that waits for a cluster looks again."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"


def answer(status: int, body: str, *, again: bool = False, location: str = "") -> bytes:
    """Return an answer with a page.

    Parameters
    ----------
    status
        Its status.
    body
        HTML.
    again
        Have the browser ask again after a while.
    location
        Where to go instead.
    """
    more = f'<meta http-equiv="refresh" content="{AGAIN}">' if again else ""
    page = _PAGE.format(body=body, more=more).encode()
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(page)}",
        f"Content-Security-Policy: {_POLICY}",
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if location:
        lines.append(f"Location: {location}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + page


def refusal(status: int, why: str) -> bytes:
    """Return the answer to what goes no further."""
    return answer(status, f'<p role="alert">{escape(why)}</p>')


def choice(found: Sequence[Listed], why: str) -> bytes:
    """Return the answer where the default profile has no cluster: which others there are."""
    running = [each for each in found if each.state is State.RUNNING]
    text = f"<p>{escape(why)}</p>"
    if running:
        links = "".join(
            f'<li><a href="@{escape(each.profile)}/">{escape(each.profile)}</a> ({escape(each.kind)})</li>'
            for each in running
        )
        text += f"<p>These clusters are running:</p><ul>{links}</ul>"
    else:
        text += "<p>No other cluster is running either. This page looks again by itself.</p>"
    return answer(503, text, again=True)
