"""``ctrl-hub dashboard``: the way into the hub's HTTP gateway."""

from __future__ import annotations

import html
import json
from pathlib import Path

import click

from ctrlhub.cli.asking import connected
from ctrlhub.cli.options import find_profile, json_option, profile_option, state_dir_option

ROLES = ("view", "submit", "admin")

WAIT = 60.0
"""How long (seconds) to wait for a gateway that has to be started."""

_OPENER = """<!DOCTYPE html>
<meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={url}"><title>ctrl-hub</title>
<a href="{url}">The dashboard of profile {profile}</a>
"""


@click.command()
@profile_option
@json_option
@state_dir_option
@click.option(
    "--role", type=click.Choice(ROLES), default="admin", show_default=True,
    help="What whoever has the URL may do: look, run code, or all.",
)  # fmt: skip
@click.option("--no-browser", is_flag=True, help="Print the URL, and open nothing.")
@click.option("--url", "only_url", is_flag=True, help="Print the URL alone, for scripts, and open nothing.")
def dashboard(
    profile: str, as_json: bool, state_dir: Path | None, role: str, no_browser: bool, only_url: bool
) -> None:
    """Open the dashboard of a running cluster in a browser.

    Prints its URL, with a token: whoever has it may do what the role says. The hub starts its HTTP
    gateway, if it has none.
    """
    from ctrlhub.gateway.access.roles import Role
    from ctrlhub.gateway.token_file import TokenFile

    place = find_profile(profile, state_dir)
    with connected(profile, state_dir, WAIT) as client:
        base = client.gateway(WAIT)
    token = TokenFile(place.tokens).ensure().shown(Role(role))
    assert token is not None, "there is one of each role"
    url = f"{base}/?token={token.secret}"
    fingerprint = fingerprint_of(place.gateway_certificate) if base.startswith("https") else ""
    if as_json:
        said = {"url": url, "address": base, "token": token.secret, "role": role, "fingerprint": fingerprint}
        click.echo(json.dumps(said))
        return
    click.echo(url)
    if only_url:
        return
    if fingerprint:
        click.echo(f"its certificate is its own; SHA-256 fingerprint {fingerprint}", err=True)
    if not no_browser:
        _open(place.directory / "dashboard.html", url, profile)


def fingerprint_of(certificate: Path) -> str:
    """Return the fingerprint of a certificate that the gateway has made itself; empty if there is none."""
    if not certificate.exists():
        return ""
    from ctrlhub.gateway.certificate import fingerprint

    return fingerprint(certificate)


def _open(file: Path, url: str, profile: str) -> None:
    """Have a browser open a page that leads there: its arguments are everybody's to read, the file is not."""
    import webbrowser

    from ctrlhub.wire.private import write_private

    page = _OPENER.format(url=html.escape(url), profile=html.escape(profile))
    write_private(file, page.encode())
    if not webbrowser.open(file.as_uri()):
        click.echo("there is no browser here: open the URL in one", err=True)


COMMANDS = {"dashboard": dashboard}
