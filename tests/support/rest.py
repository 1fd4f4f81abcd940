"""A client of the gateway's REST interface that knows HTTP and JSON, and nothing of ctrl-hub's."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ctrlhub import Client
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile, state_dir

TIMEOUT = 60.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Rest:
    """The interface at a URL, with a token."""

    url: str
    token: str

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask, and return the answer, whatever its status. A body that is no bytes is sent as JSON."""
        where = urlsplit(self.url)
        assert where.hostname is not None
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=TIMEOUT)
        try:
            connection.request(method, f"{where.path}/api/v1/{path}", body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """Return the JSON at a path, which is there."""
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.json

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        """Have something done, and return the JSON of the answer."""
        answer = self.ask("POST", path, body)
        assert answer.status == status, answer
        return answer.json


def tokens_of(client: Client) -> dict[str, str]:
    """Return the tokens that the gateway of a client's hub has made at its first start, by role."""
    profile = Profile.named(client.profile, state_dir() / "clusters")
    if not profile.directory.is_dir():
        profile = Profile.named(client.profile, state_dir() / "profiles")
    return {each.role.value: each.secret for each in TokenFile(profile.tokens).now().tokens}


def rest_of(client: Client, role: str = "admin") -> Rest:
    """Return the interface of a client's hub, for a role."""
    url = client.gateway()
    return Rest(url, tokens_of(client)[role])
