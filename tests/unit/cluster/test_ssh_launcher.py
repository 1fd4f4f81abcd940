"""The ssh launcher's lists of hosts, its scripts, and what it makes of their answers; nobody is logged in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.cluster.launchers import far_scripts
from ctrlhub.cluster.launchers.base import Phase, SetState
from ctrlhub.cluster.launchers.far import FarAnswer, far_command, why_not_reached
from ctrlhub.cluster.launchers.hosts import Host, hosts_of, shared_out
from ctrlhub.cluster.launchers.ssh import _together
from ctrlhub.cluster.processes import KnownProcess


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("a", (Host("a"),)),
        ("a,me@b:4, c.example:2", (Host("a"), Host("me@b", 4), Host("c.example", 2))),
        ("[fe80::1%eth0]:2 10.0.0.1:3", (Host("fe80::1%eth0", 2), Host("10.0.0.1", 3))),
    ],
)
def test_hosts(text: str, hosts: tuple[Host, ...]) -> None:
    """As ssh calls them, with the number of their engines."""
    assert hosts_of(text) == hosts


@pytest.mark.parametrize("text", ["", " , ", "a:0", "a:x", "-oProxyCommand=x", "me@-x", "a,a:2", "fe80::1"])
def test_what_is_no_list_of_hosts(text: str) -> None:
    """Is refused; above all what ssh would take for an option."""
    with pytest.raises(ValueError, match="hosts"):
        hosts_of(text)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(1, 40))
def test_engines_are_shared_out(counts: list[int], n: int) -> None:
    """Those hosts that say so have theirs, the others the rest, as evenly as may be; all are `n`, or it is an error."""
    hosts = tuple(Host(f"h{number}", count) for number, count in enumerate(counts))
    left = n - sum(counts)
    if left < 0 or (left and 0 not in counts):
        with pytest.raises(ValueError, match="asked for"):
            shared_out(hosts, n)
        return
    given_ = {host.name: host.engines for host in shared_out(hosts, n)}
    assert sum(given_.values()) == n
    assert all(given_[host.name] == host.engines for host in hosts if host.engines)
    shares = [given_.get(host.name, 0) for host in hosts if not host.engines]
    assert max(shares, default=0) - min(shares, default=0) <= 1


def run_as_ssh_does(script: str, rest: str = "") -> subprocess.CompletedProcess[str]:
    """Run what the far login shell would be asked to run."""
    there = far_command("ssh", "host", len(script.encode()))[-1]
    return subprocess.run(
        ["/bin/sh", "-c", there], input=script + rest, capture_output=True, text=True, check=False
    )


def test_a_script_and_what_follows_it() -> None:
    """The script is read to its last byte, and not one further: what follows is its standard input."""
    script = "x='a \"quoted\" $value and ümlauts'\nread -r token\necho \"$x/$token\"\n"
    done = run_as_ssh_does(script, "the token\nand more\n")
    assert done.stdout == "a \"quoted\" $value and ümlauts/the token\n"


def test_the_command_line_says_nothing() -> None:
    """Neither what is run there nor where: each script looks the same, but for its length."""
    one, other = (far_command("ssh -p 22", "host", n) for n in (10, 11))
    assert one[:3] == ["ssh", "-p", "22"]
    assert one[-3:-1] == ["--", "host"]
    assert one[-1].replace("10", "11") == other[-1]


def far_of(process: subprocess.Popen[bytes], place: Path) -> dict[str, object]:
    """Describe a process of this host as one of a far one."""
    known = KnownProcess.find(process.pid)
    return {
        "pid": known.pid, "birth": known.birth, "node": "n", "logs": str(place), "log": str(place / "nanny n.log")
    }  # fmt: skip


def test_looking_signalling_and_ending(tmp_path: Path) -> None:
    """A process that runs is seen, signalled and ended; of one that has ended the note and the log are told."""
    process = subprocess.Popen(["/bin/sh", "-c", "trap 'exit 130' INT; while :; do sleep 0.01; done"])
    far = far_of(process, tmp_path)
    assert run_as_ssh_does(far_scripts.look(far)).stdout == "ctrl-hub-state running\n"
    assert run_as_ssh_does(far_scripts.signal(far, 0)).stdout == "ctrl-hub-state running\n"
    assert run_as_ssh_does(far_scripts.end(far, 5.0)).stdout == "ctrl-hub-state ended\n"
    assert process.wait() == 130
    (tmp_path / f"n-{process.pid}.exit").write_text("3\n")
    (tmp_path / "nanny n.log").write_text("its last words\n")
    assert run_as_ssh_does(far_scripts.look(far)).stdout == "ctrl-hub-state ended 3\nits last words\n"
    assert run_as_ssh_does(far_scripts.signal(far, 15)).stdout == "ctrl-hub-state ended\n"


def test_one_that_does_not_obey_is_killed(tmp_path: Path) -> None:
    """After the patience it was given."""
    process = subprocess.Popen(["/bin/sh", "-c", "trap '' INT; echo; while :; do sleep 0.01; done"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert run_as_ssh_does(far_scripts.end(far_of(process, tmp_path), 0.2)).stdout == "ctrl-hub-state ended\n"
    assert process.wait() == -9
    process.stdout.close()


def test_another_process_of_the_same_number_is_left_alone(tmp_path: Path) -> None:
    """Its birth was another."""
    process = subprocess.Popen(["/bin/sleep", "600"])
    far = {**far_of(process, tmp_path), "birth": "1"}
    for script in (far_scripts.end(far, 0.2), far_scripts.signal(far, 9)):
        assert run_as_ssh_does(script).stdout == "ctrl-hub-state ended\n"
    assert process.poll() is None
    process.kill()
    process.wait()


def test_finding_by_name() -> None:
    """Where it stands in a command line as a word of its own."""
    name = f"ctrlhub-test-{os.getpid()}@host"
    process = subprocess.Popen(["/bin/sh", "-c", "read -r x", "sh", name, "more"], stdin=subprocess.PIPE)
    found = [
        line.split()
        for line in run_as_ssh_does(far_scripts.find(name, "'/the logs'")).stdout.splitlines()
        if line.startswith(far_scripts.FOUND)
    ]
    other = run_as_ssh_does(far_scripts.find(name[:-1], "/logs")).stdout
    process.communicate(b"\n")
    assert [row[1] for row in found] == [str(process.pid)]
    assert found[0][5:] == ["/the", "logs"]
    assert other == ""


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("Host key verification failed.", "its key is not known here"),
        ("me@h: Permission denied (publickey).", "ssh-copy-id h"),
        ("ssh: Could not resolve hostname h: Name or service not known", "spelt right"),
        ("ssh: connect to host h port 22: Connection refused", "no ssh server answers"),
        ("ssh: connect to host h port 22: Connection timed out", "no firewall"),
        ("something new", "something new"),
        ("", "ssh does not say why"),
    ],
)
def test_why_a_host_was_not_reached(said: str, advice: str) -> None:
    """What ssh said, and what to do about it."""
    why = why_not_reached(FarAnswer("h", 255, "", said), "ssh")
    assert advice in why
    assert said.rstrip(".") in why


def test_a_set_is_as_its_hosts_are() -> None:
    """As long as one runs it runs; one that cannot be asked may run."""
    runs, ended = SetState(Phase.RUNNING), SetState(Phase.ENDED)
    silent, failed = SetState(Phase.UNKNOWN, "no route"), SetState(Phase.FAILED, "killed", "words")
    assert _together([("a", runs), ("b", failed)]) == SetState(Phase.RUNNING, "host b: killed")
    assert _together([("a", ended), ("b", silent)]).phase is Phase.UNKNOWN
    assert _together([("a", ended), ("b", failed)]) == SetState(
        Phase.FAILED, "host a: ended; host b: killed", "words"
    )
    assert _together([("a", ended), ("b", ended)]) == SetState(Phase.ENDED)
