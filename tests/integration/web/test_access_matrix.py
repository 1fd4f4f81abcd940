"""The access matrix, route by route, made from the table: who is let in with what, and who is not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ctrlhub.controller.http_config import HttpConfig
from ctrlhub.gateway.access.cookies import Login, read
from ctrlhub.gateway.access.identity import Identity
from ctrlhub.gateway.access.roles import ROLES, Role
from ctrlhub.gateway.api.who import WHO
from ctrlhub.gateway.guard import CSRF_HEADER
from ctrlhub.gateway.route import SAFE, Face, Route
from ctrlhub.gateway.routes import ROUTES
from tests.support.front_door import FrontDoor, front_door, path_to

LET_IN = frozenset({200, 204, 303})
REFUSED = frozenset({401, 403})
EVIL = "https://evil.example"


def every_method() -> Iterator[tuple[Route, str, Role | None]]:
    """Yield each route with each of its methods, and the role that it needs."""
    for route in ROUTES:
        for method, needed in route.methods.items():
            yield route, method, needed


def body_for(method: str) -> bytes | None:
    """Return a body, where one has to be."""
    return None if method in SAFE else b"{}"


async def status(door: FrontDoor, route: Route, method: str, **headers: str) -> int:
    """Return how a request is answered."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    if method not in SAFE:
        said["Content-Type"] = "application/json"
    answer = await door.ask(method, path_to(route), said, body_for(method))
    assert "Traceback" not in answer.body.decode("utf-8", "replace")
    assert "Server" not in answer.headers
    return answer.code


def is_sent_to_login(route: Route, method: str) -> bool:
    """Tell whether browsers are sent to the login instead of being refused."""
    return route.face is Face.PAGE and method in SAFE


async def bearers(door: FrontDoor) -> None:
    """Try each token on each route."""
    tokens = door.gateway.tokens
    expired = tokens.create("expired", Role.ADMIN, time.time() - 1)
    revoked = tokens.create("revoked", Role.ADMIN, None)
    tokens.revoke("revoked")
    for route, method, needed in every_method():
        where = f"{method} {route.path}"
        for role in ROLES:
            code = await status(door, route, method, Authorization=f"Bearer {door.secrets[role]}")
            if needed is None or role.allows(needed):
                assert code in LET_IN or (route.path == "/login" and code == 401), (where, role, code)
            else:
                assert code == 403, (where, role, code)
        for wrong in ("", "Bearer", "Bearer x", f"Bearer {expired}", f"Bearer {revoked}", "Basic YTpi",
                      f"Bearer {door.secrets[Role.ADMIN]}x"):  # fmt: skip
            code = await status(door, route, method, **({"Authorization": wrong} if wrong else {}))
            if needed is None:
                assert code not in REFUSED or route.path == "/login", (where, wrong, code)
            else:
                # Who has tried too often is told so, which is no way in either.
                good = {302} if is_sent_to_login(route, method) else {401, 429}
                assert code in good | {429}, (where, wrong, code)


async def cookies(door: FrontDoor) -> None:
    """Try each login on each route: what changes something needs the word of a page of ours as well."""
    for role in ROLES:
        cookie = await door.cookie(door.secrets[role])
        csrf = await door.csrf(cookie)
        for route, method, needed in every_method():
            if needed is None:
                continue
            where, allowed = f"{method} {route.path}", role.allows(needed)
            with_word = {"Cookie": cookie, CSRF_HEADER: csrf}
            assert (await status(door, route, method, **with_word) in LET_IN) is allowed, (where, role)
            without = [{}, {CSRF_HEADER: "x"}, {CSRF_HEADER: csrf, "Sec-Fetch-Site": "cross-site"},
                       {CSRF_HEADER: csrf, "Sec-Fetch-Site": "same-site"}]  # fmt: skip
            if method not in SAFE:
                for more in without:
                    assert await status(door, route, method, Cookie=cookie, **more) == 403, (where, role, more)
        broken = cookie[:-1] + ("0" if cookie[-1] != "0" else "1")
        for route, method, needed in every_method():
            if needed is not None:
                code = await status(door, route, method, Cookie=broken, **{CSRF_HEADER: csrf})
                assert code == (302 if is_sent_to_login(route, method) else 401), (route.path, method)


async def strangers(door: FrontDoor) -> None:
    """Try each route from another site, and under another name, with the best of tokens."""
    good = f"Bearer {door.secrets[Role.ADMIN]}"
    cookie = await door.cookie(door.secrets[Role.ADMIN])
    for route, method, _ in every_method():
        for origin in (EVIL, "null", "http://127.0.0.1:1", "http://localhost.evil.example", "garbage"):
            for who in ({"Authorization": good}, {"Cookie": cookie}, {}):
                assert await status(door, route, method, Origin=origin, **who) == 403, (route.path, method, origin)
        for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
            code = await status(door, route, method, Host=host, Authorization=good)
            assert code in (400, 421), (route.path, method, host, code)
        own = await status(door, route, method, Origin=door.url, Authorization=good)
        assert own in LET_IN or route.path == "/login", (route.path, method, own)


async def methods(door: FrontDoor) -> None:
    """Try methods that are not in the table: whoever asks, they are not there."""
    good = f"Bearer {door.secrets[Role.ADMIN]}"
    for route in ROUTES:
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND"):
            if method in route.allowed:
                continue
            answer = await door.ask(method, path_to(route), {"Authorization": good})
            assert answer.code in (400, 405), (route.path, method, answer.code)
            if answer.code == 405:
                assert answer.headers["Allow"].split(", ") == list(route.allowed)
        answer = await door.ask("OPTIONS", path_to(route))
        assert (answer.code, answer.headers["Allow"].split(", ")) == (204, list(route.allowed))
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("trial", [bearers, cookies, strangers, methods])
def test_every_route(trial: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may not is refused, and whoever may is let in: by bearer, by cookie, from elsewhere, by any method."""

    async def run() -> None:
        async with front_door(tmp_path, monkeypatch) as door:
            await trial(door)  # type: ignore[operator]

    asyncio.run(run())


def test_an_allowed_site_is_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its scripts may ask, with a token, and are told so beforehand; others' are not."""

    async def run() -> None:
        config = HttpConfig(origins=("https://site.example",))
        async with front_door(tmp_path, monkeypatch, config) as door:
            asked = {"Origin": "https://site.example", "Access-Control-Request-Method": "GET"}
            answer = await door.ask("OPTIONS", "/api/v1/session", asked)
            assert answer.headers["Access-Control-Allow-Origin"] == "https://site.example"
            assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
            assert "Access-Control-Allow-Credentials" not in answer.headers
            answer = await door.ask("OPTIONS", "/api/v1/session", {**asked, "Origin": EVIL})
            assert answer.code == 403
            answer = await door.ask("GET", "/api/v1/session", {"Origin": "https://site.example"})
            assert answer.code == 401
            cookie = await door.cookie(door.secrets[Role.ADMIN])
            for path in ("/api/v1/session", "/api/v1/connect", "/dashboard/feed"):
                asked = {"Origin": "https://site.example", "Sec-Fetch-Site": "same-site", "Cookie": cookie}
                assert (await door.ask("GET", path, asked)).code == 401, "a browser's login is not the site's"
            good = {"Origin": "https://site.example", "Authorization": f"Bearer {door.secrets[Role.VIEW]}"}
            assert (await door.ask("GET", "/api/v1/session", good)).code == 200

    asyncio.run(run())


def test_behind_tls_of_a_proxy_the_cookie_is_for_tls_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy says so, or the browser does with its form's origin; with plain HTTP no browser would keep such a cookie."""

    async def run() -> None:
        async with front_door(tmp_path, monkeypatch) as door:
            link = f"/?token={door.secrets[Role.VIEW]}"
            host = door.url.partition("://")[2]
            for headers, is_secure in (
                ({}, False),
                ({"X-Forwarded-Proto": "http"}, False),
                ({"Origin": f"http://{host}"}, False),
                ({"X-Forwarded-Proto": "https"}, True),
                ({"Origin": f"https://{host}"}, True),
            ):
                cookie = (await door.ask("GET", link, headers)).headers["Set-Cookie"]
                assert ("; Secure" in cookie) is is_secure, headers

    asyncio.run(run())


def test_a_token_leaves_the_url_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is exchanged for a cookie that scripts and other sites do not get, and is in no answer."""

    async def run() -> None:
        async with front_door(tmp_path, monkeypatch) as door:
            secret = door.secrets[Role.VIEW]
            answer = await door.ask("GET", f"/?token={secret}&theme=dark&x=a%26b")
            assert (answer.code, answer.headers["Location"]) == (303, "./?theme=dark&x=a%26b")
            cookie = answer.headers["Set-Cookie"]
            assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Path=/", "Expires="))
            assert cookie.startswith(f"ctrlhub-{door.gateway.port}=")
            everything = str(answer.headers) + answer.body.decode()
            assert secret not in everything
            for wrong, status in (("/?token=wrong-but-secret", 302), ("/api/v1/events?token=wrong-but-secret", 401)):
                answer = await door.ask("GET", wrong)
                assert answer.code == status
                assert "wrong-but-secret" not in str(answer.headers) + answer.body.decode()
            answer = await door.ask("GET", f"/api/v1/session?token={secret}")
            assert answer.code == 401  # where a header can be given, a token has no place in the URL

    asyncio.run(run())


def test_an_old_link_leads_to_the_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which says what is wrong with it, and nothing that a link may say; programs are refused."""

    async def run() -> None:
        async with front_door(tmp_path, monkeypatch) as door:
            answer = await door.ask("GET", "/?token=stale")
            assert (answer.code, answer.headers["Location"]) == (302, "./login?next=&why=outdated")
            answer = await door.ask("GET", "/login?next=&why=outdated")
            assert answer.code == 200
            assert 'role="alert">The token of this link is not good' in answer.body.decode()
            answer = await door.ask("GET", "/login?why=send-me-money")
            assert "alert\">" not in answer.body.decode()
            assert "send-me-money" not in answer.body.decode()
            assert (await door.ask("GET", "/api/v1/session", {"Authorization": "Bearer stale"})).code == 401

    asyncio.run(run())


def test_where_a_login_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the page that was asked for, if that is one of ours."""

    async def run() -> None:
        async with front_door(tmp_path, monkeypatch) as door:
            form = f"token={door.secrets[Role.VIEW]}".encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": door.url}
            for wanted, leads in {
                "": "./", "metrics": "metrics", "a/b": "a/b", "//evil.example": "./", "https://evil.example": "./",
                "/evil": "./", "../x": "./", "\\evil": "./", "a%0d%0aX:y": "./", "javascript:alert(1)": "./",
            }.items():  # fmt: skip
                answer = await door.ask("POST", f"/login?next={wanted}", headers, form)
                assert (answer.code, answer.headers["Location"]) == (303, leads), wanted
            answer = await door.ask("POST", "/login", headers, b"token=<script>alert(1)</script>")
            assert answer.code == 401
            assert b"<script>" not in answer.body
            answer = await door.ask("POST", "/login", {**headers, "Origin": EVIL}, form)
            assert answer.code == 403

    asyncio.run(run())


def test_logins_that_fail_are_throttled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who guesses has to wait; who has a token is let in meanwhile, from the same address as well."""

    async def run() -> None:
        async with front_door(tmp_path, monkeypatch) as door:
            codes = [
                (await door.ask("GET", "/api/v1/session", {"Authorization": f"Bearer guess-{n}"})).code
                for n in range(30)
            ]
            assert codes[0] == 401
            assert codes[-1] == 429
            answer = await door.ask("GET", "/api/v1/session", {"Authorization": "Bearer guess"})
            assert int(answer.headers["Retry-After"]) >= 1
            good = {"Authorization": f"Bearer {door.secrets[Role.VIEW]}"}
            assert (await door.ask("GET", "/api/v1/session", good)).code == 200

    asyncio.run(run())


def test_requests_are_throttled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many of a token in a second; another token has its own."""

    async def run() -> None:
        async with front_door(tmp_path, monkeypatch, HttpConfig(rate=0.5)) as door:
            view = {"Authorization": f"Bearer {door.secrets[Role.VIEW]}"}
            codes = [(await door.ask("GET", "/api/v1/session", view)).code for _ in range(10)]
            assert (codes[0], codes[-1]) == (200, 429)
            admin = {"Authorization": f"Bearer {door.secrets[Role.ADMIN]}"}
            assert (await door.ask("GET", "/api/v1/session", admin)).code == 200

    asyncio.run(run())


@pytest.mark.parametrize("frames", [(), ("https://jupyter.example",)])
def test_headers(frames: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer has them, errors as well; who may frame a page is who was allowed to, or nobody."""

    async def run() -> None:
        async with front_door(tmp_path, monkeypatch, HttpConfig(frames=frames)) as door:
            for path in ("/healthz", "/login", "/", "/nowhere", "/api/v1/session", "/../x"):
                headers = (await door.ask("GET", path)).headers
                assert headers["X-Content-Type-Options"] == "nosniff"
                assert headers["Cache-Control"] == "no-store"
                assert headers["Referrer-Policy"] in ("no-referrer", "same-origin")
                assert "frame-ancestors" in headers["Content-Security-Policy"]
                assert "Server" not in headers
                assert "Etag" not in headers
            policy = (await door.ask("GET", "/login")).headers["Content-Security-Policy"]
            who = " ".join(("'self'", *frames)) if frames else "'none'"
            assert policy.endswith(f"frame-ancestors {who}")
            answer = await door.ask("GET", f"/?token={door.secrets[Role.VIEW]}")
            assert ("SameSite=None" in answer.headers["Set-Cookie"]) is bool(frames)
            assert ("Partitioned" in answer.headers["Set-Cookie"]) is bool(frames)

    asyncio.run(run())


@dataclass(eq=False)
class Open:
    """Something that somebody has open."""

    identity: Identity
    ended: list[tuple[Login | None, str]]

    def end(self, reason: str) -> None:
        """Take note that it is closed."""
        self.ended.append((self.identity.login, reason))


@pytest.mark.parametrize("frames", [(), ("https://jupyter.example",)])
def test_logging_out(frames: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cookie that is taken back is the one that was given, also in a frame; what that login has open is closed, and no other's."""

    async def run() -> None:
        async with front_door(tmp_path, monkeypatch, HttpConfig(frames=frames)) as door:
            given = (await door.ask("GET", f"/?token={door.secrets[Role.VIEW]}")).headers["Set-Cookie"].split("; ")
            cookie, key = given[0], door.gateway.tokens.now().cookie_key
            own = read(cookie.partition("=")[2], key, 0.0)
            other = read((await door.cookie(door.secrets[Role.VIEW])).partition("=")[2], key, 0.0)
            assert own is not None
            assert other is not None
            ended: list[tuple[Login | None, str]] = []
            for login in (own, other, None):
                door.gateway.sockets.add(Open(Identity(Role.VIEW, own.token, "view", login), ended))
            headers = {"Cookie": cookie, CSRF_HEADER: await door.csrf(cookie)}
            answer = await door.ask("POST", "/logout", headers, b"")
            assert answer.code == 303
            taken = answer.headers["Set-Cookie"].split("; ")
            assert taken[0] == f"{cookie.partition('=')[0]}="
            assert taken[1] == "Expires=Thu, 01 Jan 1970 00:00:00 GMT"
            assert taken[2:] == given[2:]
            assert ended == [(own, "logged out")]
            door.gateway.sockets.clear()

    asyncio.run(run())


def test_under_a_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All stands below it, and nothing beside it; where pages lead is relative, so a proxy may take it off as well."""

    async def run() -> None:
        async with front_door(tmp_path, monkeypatch, HttpConfig(prefix="/hub")) as door:
            assert json.loads((await door.ask("GET", "/hub/healthz")).body)["status"] == "ok"
            assert (await door.ask("GET", "/healthz")).code == 404
            answer = await door.ask("GET", "/hub/")
            assert (answer.code, answer.headers["Location"]) == (302, "./login?next=")

    asyncio.run(run())


def test_one_is_told_until_when_one_may_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ISO 8601: the token's end, or the login's, whichever comes first; null for a token without an end."""

    async def run() -> None:
        async with front_door(tmp_path, monkeypatch) as door:
            ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=600)
            short = door.gateway.tokens.create("short", Role.VIEW, ends.timestamp())
            long = door.gateway.tokens.create("long", Role.VIEW, ends.timestamp() + 1e8)

            async def until(**headers: str) -> datetime | None:
                known = json.loads((await door.ask("GET", "/api/v1/session", headers)).body)
                WHO.check(known)
                return None if known["expires"] is None else datetime.fromisoformat(known["expires"])

            assert await until(Authorization=f"Bearer {door.secrets[Role.VIEW]}") is None
            assert await until(Authorization=f"Bearer {short}") == ends
            assert await until(Cookie=await door.cookie(short)) == ends
            login = await until(Cookie=await door.cookie(long))
            assert login is not None
            assert ends < login < ends + timedelta(seconds=1e8)

    asyncio.run(run())


@pytest.mark.parametrize("damage", [b"{}", b"", b"\xff" * 100])
def test_a_damaged_file_of_tokens_lets_nobody_in(damage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks is told that it is no fault of theirs, the log says what to do; once it is gone, all tokens are."""

    async def run() -> None:
        async with front_door(tmp_path, monkeypatch) as door:
            good = {"Authorization": f"Bearer {door.secrets[Role.ADMIN]}"}
            cookie = {"Cookie": await door.cookie(door.secrets[Role.ADMIN])}
            door.gateway.tokens.path.write_bytes(damage)
            for headers in (good, cookie):
                answer = await door.ask("GET", "/api/v1/session", headers)
                assert (answer.code, json.loads(answer.body)["error"]["code"]) == (503, "tokens")
            assert (await door.ask("GET", "/healthz")).code == 200
            door.gateway.tokens.path.unlink()
            for headers in (good, cookie):
                assert (await door.ask("GET", "/api/v1/session", headers)).code == 401
            book = door.gateway.tokens.ensure()
            fresh = {"Authorization": f"Bearer {book.tokens[0].secret}"}
            assert (await door.ask("GET", "/api/v1/session", fresh)).code == 200
            assert (await door.ask("GET", "/api/v1/session", cookie)).code == 401

    asyncio.run(run())
