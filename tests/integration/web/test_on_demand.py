"""The gateway is a child of the hub, started when somebody asks for it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from ctrlhub import Client
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile, state_dir


def get(url: str, token: str = "") -> Any:
    """Return the JSON at a URL."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_a_client_asks_for_the_gateway_and_gets_its_url(client: Client) -> None:
    """It is started once, answers, and the hub's status tells of it."""
    url = client.gateway()

    assert client.dashboard_link == url
    assert get(f"{url}/healthz")["status"] == "ok"
    http = client.status()["hub"]["http"]
    assert (http["state"], http["url"], http["deaths"]) == ("serving", url, 0)


def test_each_token_has_its_role(client: Client) -> None:
    """Three tokens are made at the first start, in a private file; without one nobody is told anything."""
    url = client.gateway()
    path: Path = Profile.named(client.profile, state_dir() / "clusters").tokens

    assert path.stat().st_mode & 0o777 == 0o600
    for token in TokenFile(path).now().tokens:
        assert get(f"{url}/api/v1/session", token.secret)["role"] == token.role
    with pytest.raises(urllib.error.HTTPError, match="401"):
        get(f"{url}/api/v1/session")
