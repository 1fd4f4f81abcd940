"""The Kubernetes launcher: its manifests are what the official client's models take, and a stand-in for
the API server, which behaves as the documentation says, is asked by that client.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctrlhub.cluster.errors import StartFailed, StopFailed
from ctrlhub.cluster.launchers import kube_manifest as manifest
from ctrlhub.cluster.launchers.base import Phase
from ctrlhub.cluster.launchers.kubernetes import KubernetesLauncher
from ctrlhub.cluster.launchers.spec import EngineSet
from ctrlhub.wire.places import Profile
from tests.support.kube import KubeServer
from tests.support.processes import until

IMAGE = "registry.example/engines:1"
FULL = {
    "image": IMAGE, "engines_per_pod": 4, "cpu": "4", "memory": "8Gi", "gpus": 2, "time": 3600,
    "service_account": "engines", "pull_secret": "registry", "pull_policy": "IfNotPresent",
    "node_selector": ["disk=ssd"], "prologue": ["module load python"], "environment": ["A=b c"],
}  # fmt: skip


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeServer]:
    """The stand-in, and a kubeconfig that leads there."""
    (tmp_path / "kube").mkdir()
    with KubeServer(tmp_path / "kube") as server:
        monkeypatch.setenv("KUBECONFIG", str(server.config))
        yield server


def launcher(tmp_path: Path, n: int = 2, **options: Any) -> KubernetesLauncher:
    """Make a set whose pods need no ctrl-hub."""
    place = tmp_path / "state"
    place.mkdir(exist_ok=True)
    profile = Profile.named("p", place)
    profile.make()
    given = {"image": IMAGE, "python": "echo no-engines-here; sleep 600; :", **options}
    return KubernetesLauncher(profile, EngineSet("My_set", "kubernetes", n, given))


def idle(made: KubernetesLauncher, monkeypatch: pytest.MonkeyPatch, script: str = "exec sleep 600") -> KubernetesLauncher:
    """Let pods run something that is no engine."""
    monkeypatch.setattr(manifest, "script", lambda *_: script)
    return made


@pytest.mark.parametrize(("n", "options"), [(2, {"image": IMAGE}), (10, FULL)])
def test_manifests_are_what_the_official_models_take(n: int, options: dict[str, Any]) -> None:
    """Each field has its place there, of its type; nothing is left over."""
    from kubernetes import client

    from ctrlhub.cluster.launchers.kube_options import KubernetesOptions
    from ctrlhub.cluster.launchers.options import options_from

    spec = EngineSet("My_set", "kubernetes", n, options)
    made = options_from(KubernetesOptions, options, "kubernetes")
    api = client.ApiClient()

    class Answer:
        def __init__(self, data: Any) -> None:
            import json

            self.data = json.dumps(data)

    for kind, found in (
        ("V1Job", manifest.job(spec, "p", made)),
        ("V1Secret", manifest.secret(spec, "p", "token")),
    ):
        read = api.deserialize(Answer(found).data, kind, "application/json")
        assert type(read).__name__ == kind
        assert _without_empty(api.sanitize_for_serialization(read)) == _without_empty(found)


def _without_empty(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: value for name, each in found.items() if (value := _without_empty(each)) not in ({}, None)}
    return [_without_empty(each) for each in found] if isinstance(found, list) else found


def test_what_a_pod_runs(tmp_path: Path) -> None:
    """A script that shells take; the last pod has the engines that are left, and nobody sees the token."""
    made = launcher(tmp_path, 10, engines_per_pod=4, python="python3", environment=["ODD=a 'b' $c"])
    job = manifest.job(made.spec, "p", made.options)
    script = job["spec"]["template"]["spec"]["containers"][0]["command"][2]
    assert job["spec"]["completions"] == 3
    assert subprocess.run(["bash", "-n", "-c", script], check=False).returncode == 0
    assert "(the token)" in made.plan()
    counts = []
    for index in range(3):
        shown = script.replace("exec python3", "echo").replace("< /run/ctrl-hub/token", "")
        done = subprocess.run(
            ["/bin/sh", "-c", shown], env={"JOB_COMPLETION_INDEX": str(index)}, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        counts.append(done.stdout.partition("-n ")[2].split()[0])
    assert counts == ["4", "4", "2"]


@pytest.mark.parametrize(("time", "seconds"), [("4:00:00", 14400), (3600, 3600), ("90", 90), ("", None), (0, None)])
def test_a_wall_time_is_written_as_for_batch_systems(tmp_path: Path, time: Any, seconds: int | None) -> None:
    """So that one configuration is good for all; seconds will do, and a number of them from a program."""
    made = launcher(tmp_path, time=time)
    assert manifest.job(made.spec, "p", made.options)["spec"].get("activeDeadlineSeconds") == seconds


@pytest.mark.parametrize("name", ["a", "A" * 32, "x_y-Z" * 6])
def test_names_are_those_of_hosts(name: str) -> None:
    """Whatever a set is called."""
    import re

    spec = EngineSet(name, "kubernetes", 1, {"image": IMAGE})
    found = manifest.resource_name(spec)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?", found)
    assert found.endswith(spec.cookie)


def test_a_set_from_start_to_stop(server: KubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Secret belongs to the Job; logs are fetched; nothing is left."""
    made = idle(launcher(tmp_path), monkeypatch, "echo hello from a pod; exec sleep 600")
    made.start("the token")
    cluster = server.cluster
    [secret] = cluster.secrets.values()
    [job] = cluster.jobs.values()
    assert secret["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    assert {namespace for namespace, _ in cluster.jobs} == {"lab"}
    until(lambda: made.state().phase is Phase.RUNNING, "it runs")
    until(lambda: any("hello from a pod" in path.read_text() for path in made.logs()), "its log is fetched")
    made.stop()
    assert not cluster.jobs
    assert not cluster.secrets
    assert not cluster.pods
    made.stop()  # twice is harmless


def test_pods_that_do_not_obey_are_removed_by_force(
    server: KubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the patience that `stop` was given."""
    made = idle(launcher(tmp_path, 1, grace=600), monkeypatch, "trap '' TERM; while :; do sleep 0.05; done")
    made.start("the token")
    until(lambda: made.state().phase is Phase.RUNNING, "it runs")
    made.stop(0.2)
    assert not server.cluster.pods


def test_an_image_that_there_is_not(server: KubeServer, tmp_path: Path) -> None:
    """Is told as soon as Kubernetes knows, and not after a time-out."""
    made = launcher(tmp_path, image="no/such:image")
    made.start("the token")
    state = made.state()
    assert state.phase is Phase.FAILED
    assert "ImagePullBackOff" in state.reason
    made.stop()


def test_a_pod_that_fails(server: KubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the end of its log."""
    made = idle(launcher(tmp_path, 1), monkeypatch, "echo out of luck >&2; exit 3")
    made.start("the token")
    state = until(lambda: found if (found := made.state()).phase.is_over else None, "it is over")
    assert state.phase is Phase.FAILED
    assert "FailedIndexes" in state.reason
    assert "out of luck" in state.log
    made.stop()


def test_who_may_not(server: KubeServer, tmp_path: Path) -> None:
    """Nothing is started, and it is said what is lacking."""
    server.cluster.refuses = 403
    made = launcher(tmp_path)
    with pytest.raises(StartFailed, match=r"jobs is forbidden .*a role with create"):
        made.start("the token")
    assert not made.record_file.exists()
    server.cluster.refuses = 0
    assert not server.cluster.secrets


def test_a_server_that_does_not_answer(
    server: KubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`state` says so, `stop` fails and the set stays on record."""
    made = idle(launcher(tmp_path), monkeypatch)
    made.start("the token")
    config = server.config.read_text()
    address = config.partition('"server": "')[2].partition('"')[0]
    server.config.write_text(config.replace(address, "http://127.0.0.1:9"))
    assert made.state().phase is Phase.UNKNOWN
    with pytest.raises(StopFailed, match="does not answer"):
        made.stop(1.0)
    assert made.record_file.exists()
    server.config.write_text(config)
    made.stop()
    assert not server.cluster.pods


def test_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would have to work is named."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    made = launcher(tmp_path)
    with pytest.raises(StartFailed, match="kubectl get pods"):
        made.start("the token")
    assert not made.record_file.exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"image": ""}, "say which image"),
        ({"engines_per_pod": 0}, "must not be so small"),
        ({"time": "two hours"}, "is not a wall time such as 2:00:00"),
        ({"node_selector": ["ssd"]}, "is not LABEL=VALUE"),
        ({"colour": "red"}, "has no option 'colour'"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    """Are named before anything is asked."""
    with pytest.raises(ValueError, match=text):
        launcher(tmp_path, **options)
