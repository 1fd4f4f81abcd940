"""Live output while the hub is away: it goes on where it was broken off, and lacks nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ctrlhub import Client
from tests.support.hubs import end_hub
from tests.support.processes import Command, until

TALK = """
import pathlib, time
from ctrlhub.datapub import publish_data

def wait_for(name):
    while not pathlib.Path({directory!r}, name).exists():
        time.sleep(0.01)

print("before")
wait_for("hub is dead")
for number in range(1000):
    print("meanwhile", number)
publish_data({{"said": 1000}})
print("no end of line", end="")
pathlib.Path({directory!r}, "said").touch()
wait_for("over")
print(" until now")
"""

MEANWHILE = "".join(f"meanwhile {number}\n" for number in range(1000))

READER = """
import sys
from ctrlhub import Client
client = Client()
result = client[0].execute(sys.argv[1])
with result.stream_output():
    result.get()
"""


@pytest.mark.parametrize("store", ["sqlite", "memory"])
def test_output_of_the_time_without_a_hub_is_shown_afterwards(
    store: str, command: Command, tmp_path: Path
) -> None:
    """While the request runs still, by another hub; in order, and complete."""
    command.start("-n", "1", "--store", store)
    with Client() as client:
        code = TALK.format(directory=str(tmp_path))
        result = client[0].execute(code)
        until(lambda: result.stdout == "before\n", "it has begun")
        end_hub(client)
        (tmp_path / "hub is dead").touch()
        until((tmp_path / "said").exists, "it has gone on")

        expected = f"before\n{MEANWHILE}no end of line"
        until(lambda: result.stdout == expected, "all of it is shown")
        until(lambda: result.data == {"said": 1000}, "what was published is there")
        assert not result.done()
        (tmp_path / "over").touch()
        result.get(60)
        assert result.stdout == f"{expected} until now\n"
    assert command.run("stop").returncode == 0


def test_who_streams_it_sees_it_in_order_and_once(command: Command, tmp_path: Path) -> None:
    """What `stream_output` prints is what was printed."""
    command.start("-n", "1")
    code = TALK.format(directory=str(tmp_path))
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, code],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert reader.stdout is not None
    assert reader.stdout.readline() == "before\n"
    with Client() as client:
        end_hub(client)
    (tmp_path / "hub is dead").touch()
    until((tmp_path / "said").exists, "it has gone on")

    shown = "".join(reader.stdout.readline() for _ in range(1000))
    assert shown == MEANWHILE
    (tmp_path / "over").touch()
    assert reader.stdout.read() == "no end of line until now\n"
    reader.stdout.close()
    assert reader.wait(60) == 0
    assert command.run("stop").returncode == 0
