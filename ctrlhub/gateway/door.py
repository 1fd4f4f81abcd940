"""What is served to whoever comes: health, and login."""

from __future__ import annotations

import html
from urllib.parse import parse_qs

from ctrlhub import __version__
from ctrlhub.gateway.guard import Refusal
from ctrlhub.gateway.handlers import Handler
from ctrlhub.gateway.pages import OUTDATED, Page

MOST_FIELDS = 10
"""So many fields a form may have."""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>ctrl-hub</title>{more}
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
main {{ max-width: 28rem; margin: 15vh auto; padding: 0 1rem; }}
input {{ width: 100%; box-sizing: border-box; font: inherit; padding: .5rem; margin: .5rem 0; }}
button {{ font: inherit; padding: .5rem 1rem; }}
[role=alert] {{ color: #b00020; }} @media (prefers-color-scheme: dark) {{ [role=alert] {{ color: #ff8a80; }} }}
</style></head><body><main>{body}</main></body></html>
"""

FORM = """<h1>ctrl-hub</h1>{note}
<form method="post"><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" autofocus required>
<button>Log in</button></form>
<p><code>ctrl-hub dashboard</code> prints a URL with a token; <code>ctrl-hub token list</code> names them.</p>"""


REFRESH = '<meta http-equiv="refresh" content="0; url={next}">'
AGAIN = '<h1>ctrl-hub</h1><p><a href="{next}">Go on</a></p>'

NOTES = {OUTDATED: "The token of this link is not good (any more): it has expired, was revoked, or is another hub's."}
"""What is said to who was sent here, by the reason."""


class Health(Handler):
    """Says that the gateway serves."""

    def get(self) -> None:
        """Say so."""
        self.answer({"status": "ok", "version": __version__})


class LoginPage(Page):
    """Takes a token, and gives a cookie."""

    def get(self) -> None:
        """Show the form; who came by a link of another site, or by a file, asks once more from here.

        Browsers keep the cookie back as long as it was another site that led here, also through redirections:
        whoever has just logged in by such a link, or was logged in before, seems not to be.
        """
        why = self.get_query_argument("why", "")
        if not why and self.request.headers.get("Sec-Fetch-Site") == "cross-site":
            self._show_page(AGAIN.format(next=self._next()), REFRESH.format(next=self._next()))
            return
        self._show(NOTES.get(why, ""))

    def post(self) -> None:
        """Take the form."""
        secret = self._field("token")
        try:
            token = self.token_of(secret)
        except Refusal as error:
            self.set_status(error.status_code)
            for name, value in error.headers.items():
                self.set_header(name, value)
            self._show(error.message)
            return
        self.log_in(token)
        self.redirect(self._next(), status=303)

    def _field(self, name: str) -> str:
        try:
            fields = parse_qs(bytes(self.body).decode("utf-8", "replace"), max_num_fields=MOST_FIELDS)
        except ValueError:
            raise Refusal(400, "bad_form", f"a form has at most {MOST_FIELDS} fields here") from None
        return fields.get(name, [""])[0].strip()

    def _next(self) -> str:
        """Return where to go: a path below us, never another site."""
        wanted = self.get_query_argument("next", "")
        parts = wanted.split("/")
        if all(part and part.isascii() and part.replace("-", "").replace("_", "").isalnum() for part in parts):
            return wanted
        return "./"

    def _show(self, note: str) -> None:
        said = f'<p role="alert">{html.escape(note)}</p>' if note else ""
        self._show_page(FORM.format(note=said))

    def _show_page(self, body: str, more: str = "") -> None:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(PAGE.format(body=body, more=more))


class Logout(Page):
    """Takes the cookie back, and ends what was opened with it."""

    def post(self) -> None:
        """Do so."""
        self.log_out()
        if self.identity.login is not None:
            self.gateway.close_login(self.identity.login)
        self.redirect("login", status=303)
