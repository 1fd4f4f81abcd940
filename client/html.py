"""What notebooks show of clients, views, results and clusters: small tables, escaped, self-contained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

MAX_ROWS = 20
"""So many rows are shown; the rest are counted."""


def panel(title: str, subtitle: str = "", extra: str = "") -> str:
    """Return a heading, and below it what is HTML already.

    Parameters
    ----------
    title, subtitle
        Text.
    extra
        HTML.
    """
    note = f" <small>{escape(subtitle)}</small>" if subtitle else ""
    return f"<div><strong>{escape(title)}</strong>{note}{extra}</div>"


def table(names: Sequence[str], rows: Sequence[Iterable[object]]) -> str:
    """Return a table of texts; of a long one, its beginning."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row) + "</tr>"
        for row in rows[:MAX_ROWS]
    )
    more = len(rows) - MAX_ROWS
    if more > 0:
        body += f'<tr><td colspan="{len(names)}">… and {more} more</td></tr>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def link(address: str, text: str) -> str:
    """Return a link that opens a page of its own; of what is no address of a web page, the text alone."""
    if not address.startswith(("http://", "https://", "/")):
        return escape(text)
    return f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer">{escape(text)}</a>'


def bar(done: int, total: int) -> str:
    """Return a bar that shows how far something is."""
    return f'<progress value="{done}" max="{max(total, 1)}"></progress> {done}/{total}'
