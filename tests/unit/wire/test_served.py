"""Where a gateway serves, and how that is linked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.wire.served import Served, check_link, linked

URL = "http://127.0.0.1:8001"


@pytest.mark.parametrize(
    ("template", "link"),
    [
        ("", URL),
        ("{url}/", f"{URL}/"),
        ("{prefix}/proxy/{port}/", "/user/ada/proxy/8001/"),
        ("{prefix}/ctrl-hub/@{profile}/", "/user/ada/ctrl-hub/@lab/"),
        ("https://{NODE}/{host}/{scheme}", "https://n7/127.0.0.1/http"),
        ("{UNKNOWN}/{port}", URL),
        ("{{{port}}}", "{8001}"),
    ],
)
def test_a_template_says_how_browsers_get_there(template: str, link: str) -> None:
    """Parts of the URL, the profile and the environment stand in it; without a variable it is the URL."""
    environ = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/", "NODE": "n7"}
    assert linked(template, URL, "lab", environ) == link


def test_outside_of_a_hub_there_is_no_prefix() -> None:
    """The same template serves where there is no JupyterHub."""
    assert linked("{prefix}/ctrl-hub/", URL, "lab", {}) == "/ctrl-hub/"


@pytest.mark.parametrize("template", ["{", "{}", "{port.x}", "{port!r}", "{port:>9999999}", "{lower}", "{0}", "}"])
def test_what_is_no_template(template: str) -> None:
    """A template can do nothing but name things."""
    with pytest.raises(ValueError, match="template of links"):
        check_link(template)


@given(st.text(max_size=80), st.integers(0, 1 << 22), st.text(max_size=30))
def test_what_is_written_is_read(host: str, pid: int, link: str) -> None:
    """A gateway's note is read as it was written."""
    served = Served(f"http://127.0.0.1:8001/{host.encode().hex()}", pid, link)
    assert Served.from_json(served.to_json()) == served


@given(st.binary(max_size=100) | st.sampled_from([b"[]", b"{}", b'{"url": 1, "pid": "x"}', b"null", b"[" * 10**5]))
def test_anything_else_is_refused(data: bytes) -> None:
    """What is no such note is a `ValueError`, and nothing worse."""
    with pytest.raises(ValueError):  # noqa: PT011 - also those of JSON and Unicode
        Served.from_json(data)
