"""Engines in pods of Kubernetes: an Indexed Job for a set, and a Secret with its token.

The Secret belongs to the Job, and goes with it also where nobody stops the set: when Kubernetes removes
the Job some time after its end. What was not recorded is found by a label that nothing else has.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ctrlhub.cluster.errors import LauncherError, StartFailed, StopFailed
from ctrlhub.cluster.launchers import kube_manifest as manifest
from ctrlhub.cluster.launchers.base import Launcher, Phase, SetState
from ctrlhub.cluster.launchers.kube_options import KubernetesOptions
from ctrlhub.wire.private import make_private_dir, write_private

T = TypeVar("T")

ASK = 10.0
"""Seconds that the API server has for an answer."""
LOOK = 0.2
STOP_GRACE = 5
"""Seconds that pods have when the set is stopped: SIGTERM would let them finish for longer."""
KILL_PATIENCE = 10.0
"""Seconds that pods have to go once they are removed by force."""
LOG_BYTES = 256 * 1024
_TAIL = 20
_NOT_FOUND = 404
_ADVICE = {
    401: "your credentials are not accepted: log in again (`kubectl get pods` should work)",
    403: "you may not do that in this namespace: a role with create, get, list, delete of jobs and secrets, and get, "
    "list, delete of pods and pods/log is needed",
    404: "there is no such namespace or kind: see `kubectl api-resources` and --option namespace=...",
}
_HOPELESS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError"})
"""Why a container waits that will not begin by itself."""


class KubernetesLauncher(Launcher):
    """Runs a Job."""

    name = "kubernetes"
    options_type = KubernetesOptions
    handle_types: ClassVar[Mapping[str, type]] = {"job": str, "namespace": str}

    options: KubernetesOptions

    def plan(self) -> str:
        """Return the manifests, with a word in the place of the token."""
        return manifest.as_text([
            manifest.secret(self.spec, self.profile.name, "(the token)"),
            manifest.job(self.spec, self.profile.name, self.options),
        ])  # fmt: skip

    def described(self) -> str:
        """Name the Job."""
        if not self.handle:
            return super().described()
        return f"job {self.handle['namespace']}/{self.handle['job']}"

    def launch(self) -> Mapping[str, Any]:
        """Create Secret and Job."""
        api = self._api(StartFailed)
        token = self.token_file.read_text().strip()
        secret = manifest.secret(self.spec, self.profile.name, token)
        job = manifest.job(self.spec, self.profile.name, self.options)
        namespace = api.namespace
        api.ask(lambda: api.core.create_namespaced_secret(namespace, secret, _request_timeout=ASK), StartFailed)
        try:
            made = api.ask(lambda: api.batch.create_namespaced_job(namespace, job, _request_timeout=ASK), StartFailed)
        except StartFailed:
            api.gone(lambda: api.core.delete_namespaced_secret(secret["metadata"]["name"], namespace))
            raise
        owner = {
            "apiVersion": "batch/v1", "kind": "Job", "name": made.metadata.name, "uid": made.metadata.uid,
        }  # fmt: skip
        api.ask(
            lambda: api.core.patch_namespaced_secret(
                secret["metadata"]["name"], namespace, {"metadata": {"ownerReferences": [owner]}},
                _request_timeout=ASK,
            )
        )  # fmt: skip
        return {"job": made.metadata.name, "namespace": namespace}

    def recover(self) -> Mapping[str, Any]:
        """Find the Job by its label; where there is only the Secret, remove that."""
        api = self._api()
        found = api.ask(
            lambda: api.batch.list_namespaced_job(
                api.namespace, label_selector=self._selector(), _request_timeout=ASK
            )
        )
        if found.items:
            return {"job": found.items[0].metadata.name, "namespace": api.namespace}
        api.gone(lambda: api.core.delete_namespaced_secret(manifest.resource_name(self.spec), api.namespace))
        return {}

    def state(self) -> SetState:
        """Ask for Job and pods."""
        try:
            self.take_up()
            if not self.handle:
                return SetState(Phase.FAILED, "it was not started")
            api = self._api()
            job = api.gone(lambda: api.batch.read_namespaced_job(self._job, self._namespace, _request_timeout=ASK))
            pods = self._pods(api)
        except LauncherError as error:
            return SetState(Phase.UNKNOWN, str(error))
        if job is None:
            return SetState(Phase.FAILED, f"{self.described()} is gone: somebody, or a limit of time, has removed it")
        return self._state_of(api, job, pods)

    def signal(self, number: int) -> None:
        """Refuse: Kubernetes sends no signals but with the end of a pod."""
        raise LauncherError(
            "Kubernetes sends pods no signals: `ctrl-hub drain` lets engines finish, `ctrl-hub engines stop` ends them"
        )

    def end(self, patience: float) -> None:
        """Delete the Job with its pods, and the Secret; wait until the pods are gone."""
        api = self._api(StopFailed)
        deadline = time.monotonic() + patience
        name, namespace = self._job, self._namespace
        api.gone(
            lambda: api.batch.delete_namespaced_job(
                name, namespace, propagation_policy="Background", _request_timeout=ASK
            ), StopFailed,
        )  # fmt: skip
        api.gone(
            lambda: api.core.delete_namespaced_secret(
                manifest.resource_name(self.spec), namespace, _request_timeout=ASK
            ), StopFailed,
        )  # fmt: skip
        self._remove(api, self._pods(api, StopFailed), STOP_GRACE)
        while pods := self._pods(api, StopFailed):
            if time.monotonic() >= deadline + KILL_PATIENCE:
                listed = ", ".join(pod.metadata.name for pod in pods)
                raise StopFailed(f"pods {listed} in namespace {namespace} do not end: is their node lost?")
            if time.monotonic() >= deadline:
                self._remove(api, pods, 0)
            time.sleep(LOOK)

    def _remove(self, api: Api, pods: Sequence[Any], grace: int) -> None:
        """Delete pods, which have so many seconds to end."""
        for pod in pods:
            api.gone(
                lambda pod=pod: api.core.delete_namespaced_pod(  # type: ignore[misc]
                    pod.metadata.name, self._namespace, grace_period_seconds=grace, _request_timeout=ASK
                ), StopFailed,
            )  # fmt: skip

    def logs(self) -> list[Path]:
        """Fetch the logs of the pods, and return where they are."""
        api = self._api()
        for pod in self._pods(api):
            make_private_dir(self.log_dir)
            text = self._log_of(api, pod, limit_bytes=LOG_BYTES)
            write_private(self.log_dir / f"{pod.metadata.name}.log", text.encode())
        return super().logs()

    # ------------------------------------------------------------ what the cluster says

    @property
    def _job(self) -> str:
        return str(self.handle["job"])

    @property
    def _namespace(self) -> str:
        return str(self.handle["namespace"])

    def _selector(self) -> str:
        return f"{manifest.COOKIE_LABEL}={self.spec.cookie}"

    def _api(self, error: type[Exception] = LauncherError) -> Api:
        return Api(self.options, error)

    def _pods(self, api: Api, error: type[Exception] = LauncherError) -> list[Any]:
        found = api.ask(
            lambda: api.core.list_namespaced_pod(
                self._namespace, label_selector=self._selector(), _request_timeout=ASK
            ), error,
        )  # fmt: skip
        return list(found.items)

    def _state_of(self, api: Api, job: Any, pods: list[Any]) -> SetState:
        conditions = {each.type: each for each in job.status.conditions or () if each.status == "True"}
        if "Complete" in conditions:
            return SetState(Phase.ENDED)
        failed = [pod for pod in pods if pod.status.phase == "Failed"]
        if "Failed" in conditions:
            why = conditions["Failed"]
            log = self._log_of(api, failed[0], tail_lines=_TAIL) if failed else ""
            return SetState(Phase.FAILED, f"{why.reason}: {why.message}", log)
        hopeless = [text for pod in pods if (text := _hopeless(pod))]
        running = sum(1 for pod in pods if pod.status.phase == "Running")
        told = [f"{pod.metadata.name}: {_why_pending(pod)}" for pod in pods if pod.status.phase == "Pending"]
        told += [f"{pod.metadata.name}: failed" for pod in failed]
        if running:
            return SetState(Phase.RUNNING, "; ".join(told))
        if hopeless and len(hopeless) == len(pods):
            return SetState(Phase.FAILED, hopeless[0])
        return SetState(Phase.PENDING, "; ".join(told))

    def _log_of(self, api: Api, pod: Any, **limits: int) -> str:
        text = api.gone(
            lambda: api.core.read_namespaced_pod_log(
                pod.metadata.name, self._namespace, _request_timeout=ASK, **limits
            )
        )
        return text or ""


class Api:
    """The API server, as the official client reaches it.

    Parameters
    ----------
    options
        Which context and namespace.
    error
        What to raise where there is no way.
    """

    def __init__(self, options: KubernetesOptions, error: type[Exception]) -> None:
        try:
            from kubernetes import client, config
        except ImportError as problem:
            raise error(f"Kubernetes needs its client: pip install 'ctrl-hub[kubernetes]' ({problem})") from problem
        self._client = client
        try:
            if options.context or not _is_inside():
                # The client has looked at the variable once, when it was imported.
                file = os.environ.get("KUBECONFIG") or "~/.kube/config"
                made = config.new_client_from_config(file, context=options.context or None)
                contexts, current = config.list_kube_config_contexts(file)
                named = {each["name"]: each["context"] for each in contexts}
                default = named[options.context or current["name"]].get("namespace", "default")
            else:
                config.load_incluster_config()
                made, default = client.ApiClient(), _namespace_inside()
        except (config.ConfigException, OSError) as problem:
            raise error(f"there is no way to a cluster: {problem}; `kubectl get pods` should work here") from problem
        made.configuration.retries = False
        self.namespace = options.namespace or default
        self.core, self.batch = client.CoreV1Api(made), client.BatchV1Api(made)

    def ask(self, question: Callable[[], T], error: type[Exception] = LauncherError) -> T:
        """Ask the API server, and say in words what went wrong."""
        found = self._ask(question, error, ())
        assert found is not None
        return found

    def gone(self, question: Callable[[], T], error: type[Exception] = LauncherError) -> T | None:
        """Do the same of what may not be there: None then."""
        return self._ask(question, error, (_NOT_FOUND,))

    def _ask(self, question: Callable[[], T], error: type[Exception], calm: tuple[int, ...]) -> T | None:
        from urllib3.exceptions import HTTPError

        try:
            return question()
        except self._client.ApiException as problem:
            if problem.status in calm:
                return None
            advice = _ADVICE.get(problem.status or 0, "")
            said = _message(problem)
            raise error(f"Kubernetes refuses: {said}{f' ({advice})' if advice else ''}") from problem
        except HTTPError as problem:
            raise error(f"the API server of Kubernetes does not answer: {problem}") from problem


def _message(problem: Any) -> str:
    import json

    try:
        return str(json.loads(problem.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{problem.status} {problem.reason}"


def _is_inside() -> bool:
    """Say whether this runs in a pod, with nothing said of another way."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ


def _namespace_inside() -> str:
    return Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text().strip()


def _why_pending(pod: Any) -> str:
    for status in pod.status.container_statuses or ():
        waiting = status.state.waiting if status.state else None
        if waiting is not None and waiting.reason:
            return f"{waiting.reason}{f': {waiting.message}' if waiting.message else ''}"
    for condition in pod.status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return f"{condition.reason}: {condition.message}"
    return "pending"


def _hopeless(pod: Any) -> str:
    why = _why_pending(pod) if pod.status.phase == "Pending" else ""
    return f"{pod.metadata.name}: {why}" if why.partition(":")[0] in _HOPELESS else ""
