"""A stand-in for the API server of Kubernetes: Jobs, Secrets and pods, as its documentation describes them.

A pod is a process of this host that runs its container's command; where that names the directory of a
Secret's volume, it gets one with the Secret's data. Deleting a pod sends SIGTERM and, after its time of grace, SIGKILL.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_COLLECTION = re.compile(r"/(?:api/v1|apis/batch/v1)/namespaces/([^/]+)/(secrets|jobs|pods)")
_OBJECT = re.compile(_COLLECTION.pattern + r"/([^/]+)(/log)?")
TOKEN = "a-user's-token"


@dataclass
class Pod:
    """A pod, and the process that stands for its container."""

    manifest: dict[str, Any]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    waits: str = ""
    deleted: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        name: str = self.manifest["metadata"]["name"]
        return name

    @property
    def phase(self) -> str:
        """How it is, in Kubernetes' words."""
        if self.process is None:
            return "Pending"
        code = self.process.poll()
        return "Running" if code is None else "Failed" if code else "Succeeded"

    def to_dict(self) -> dict[str, Any]:
        """Describe it as the API does."""
        status: dict[str, Any] = {"phase": self.phase}
        if self.waits:
            waiting = {"reason": self.waits, "message": "of a test"}
            status["containerStatuses"] = [
                {"name": "engines", "image": "i", "imageID": "", "ready": False, "restartCount": 0,
                 "state": {"waiting": waiting}}
            ]  # fmt: skip
        return {**self.manifest, "status": status}


@dataclass
class Cluster:
    """What the stand-in has, by namespace and name."""

    place: Path
    secrets: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    jobs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    pods: dict[tuple[str, str], Pod] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    uids: int = 0
    refuses: int = 0
    """A status with which everything is refused."""

    def create(self, namespace: str, kind: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Create an object."""
        with self.lock:
            where: dict[tuple[str, str], Any] = getattr(self, kind)
            key = namespace, body["metadata"]["name"]
            if key in where:
                return 409, status(409, "AlreadyExists", f"{kind} {key[1]!r} already exists")
            self.uids += 1
            body["metadata"] |= {"namespace": namespace, "uid": f"uid-{self.uids}"}
            if kind == "secrets":
                for name, text in body.pop("stringData", {}).items():
                    body.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()
            where[key] = body
            if kind == "jobs":
                for index in range(body["spec"]["parallelism"]):
                    self._start(namespace, body, index)
            return 201, self.shown(kind, body)

    def _start(self, namespace: str, job: dict[str, Any], index: int) -> None:
        template = job["spec"]["template"]
        name = f"{job['metadata']['name']}-{index}-x{self.uids}"
        manifest = {
            "metadata": {
                "name": name, "namespace": namespace,
                "labels": {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": job["metadata"]["name"]},
            },
            "spec": template["spec"],
        }  # fmt: skip
        pod = self.pods[namespace, name] = Pod(manifest, self.place / f"{name}.log")
        container = template["spec"]["containers"][0]
        if container["image"] == "no/such:image":
            pod.waits = "ImagePullBackOff"
            return
        script = container["command"][2]
        for volume in template["spec"]["volumes"]:
            secret = self.secrets.get((namespace, volume["secret"]["secretName"]))
            if secret is None:
                pod.waits = "CreateContainerConfigError"
                return
            there = self.place / name
            there.mkdir(mode=0o700)
            for key, data in secret["data"].items():
                (there / key).write_bytes(base64.b64decode(data))
            mount = next(each for each in container["volumeMounts"] if each["name"] == volume["name"])
            script = script.replace(mount["mountPath"], str(there))
        environment = {**os.environ, "JOB_COMPLETION_INDEX": str(index)}
        environment |= {each["name"]: each["value"] for each in container["env"] if each["name"] != "CTRLHUB_STATE_DIR"}
        with open(pod.log, "wb") as log:
            pod.process = subprocess.Popen(
                [*container["command"][:2], script], env=environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    def shown(self, kind: str, found: Any) -> dict[str, Any]:
        """Describe an object as the API does."""
        if kind == "pods":
            return dict(found.to_dict())
        if kind == "jobs":
            return {**found, "status": self._job_status(found)}
        return dict(found)

    def _job_status(self, job: dict[str, Any]) -> dict[str, Any]:
        phases = [pod.phase for pod in self.of_job(job) if not pod.deleted]
        succeeded, failed = phases.count("Succeeded"), phases.count("Failed")
        found: dict[str, Any] = {"active": len(phases) - succeeded - failed, "succeeded": succeeded, "failed": failed}
        if not found["active"]:  # no index is tried again: backoffLimitPerIndex is 0
            kind, reason = ("Failed", "FailedIndexes") if failed else ("Complete", "CompletionsReached")
            found["conditions"] = [
                {"type": kind, "status": "True", "reason": reason, "message": "Job has failed indexes" if failed else ""}
            ]
        return found

    def of_job(self, job: dict[str, Any]) -> list[Pod]:
        """Return the pods of a job."""
        name = job["metadata"]["name"]
        return [p for p in self.pods.values() if p.manifest["metadata"]["labels"]["batch.kubernetes.io/job-name"] == name]

    def delete(self, namespace: str, kind: str, name: str, grace: float | None = None) -> tuple[int, dict[str, Any]]:
        """Delete an object, and what belongs to it."""
        with self.lock:
            where: dict[tuple[str, str], Any] = getattr(self, kind)
            found = where.get((namespace, name))
            if found is None:
                return 404, status(404, "NotFound", f"{kind} {name!r} not found")
            if kind == "pods":
                self._end(namespace, found, grace)
                return 200, self.shown(kind, found)
            del where[namespace, name]
            if kind == "jobs":
                for pod in self.of_job(found):
                    self._end(namespace, pod, grace)
                uid = found["metadata"]["uid"]
                for key, secret in list(self.secrets.items()):
                    if any(o["uid"] == uid for o in secret["metadata"].get("ownerReferences", ())):
                        del self.secrets[key]
            return 200, status(200, "Success", "")

    def _end(self, namespace: str, pod: Pod, grace: float | None) -> None:
        limit = pod.manifest["spec"]["terminationGracePeriodSeconds"] if grace is None else grace
        pod.deleted = True
        threading.Thread(target=self._terminate, args=(namespace, pod, limit), daemon=True).start()

    def _terminate(self, namespace: str, pod: Pod, grace: float) -> None:
        if pod.process is not None:
            if pod.process.poll() is None and grace:
                pod.process.send_signal(signal.SIGTERM)
            try:
                pod.process.wait(grace)
            except subprocess.TimeoutExpired:
                os.killpg(pod.process.pid, signal.SIGKILL)
                pod.process.wait()
        with self.lock:
            self.pods.pop((namespace, pod.name), None)


def status(code: int, reason: str, message: str) -> dict[str, Any]:
    """Return a Status, which is how the API says what went wrong."""
    kind = "Success" if code < 300 else "Failure"
    return {"kind": "Status", "apiVersion": "v1", "status": kind, "reason": reason, "message": message, "code": code}


class KubeServer:
    """The running stand-in, and a kubeconfig for it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.cluster = Cluster(place)
        cluster = self.cluster

        class Handler(BaseHTTPRequestHandler):
            """Answers."""

            def _answer(self, code: int, body: dict[str, Any] | str) -> None:
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _handle(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    return self._answer(401, status(401, "Unauthorized", "Unauthorized"))
                if cluster.refuses:
                    return self._answer(cluster.refuses, status(cluster.refuses, "Refused", "jobs is forbidden"))
                url = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                return self._answer(*_route(cluster, self.command, url.path, query, body))

            do_GET = do_POST = do_DELETE = do_PATCH = _handle

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def config(self) -> Path:
        """A kubeconfig."""
        return self.place / "kubeconfig"

    def __enter__(self) -> Self:
        self._thread.start()
        address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.config.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "c", "cluster": {"server": address}}],
            "users": [{"name": "u", "user": {"token": TOKEN}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "lab"}}],
        }))  # fmt: skip
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for pod in list(self.cluster.pods.values()):
            if pod.process is not None and pod.process.poll() is None:
                os.killpg(pod.process.pid, signal.SIGKILL)
                pod.process.wait()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _route(
    cluster: Cluster, method: str, path: str, query: dict[str, str], body: dict[str, Any]
) -> tuple[int, dict[str, Any] | str]:
    if (found := _COLLECTION.fullmatch(path)) is not None:
        namespace, kind = found[1], found[2]
        if method == "POST":
            return cluster.create(namespace, kind, body)
        name, _, value = query.get("labelSelector", "=").partition("=")
        with cluster.lock:
            items = [
                cluster.shown(kind, each) for (where, _), each in getattr(cluster, kind).items() if where == namespace
            ]
        items = [each for each in items if not name or each["metadata"]["labels"].get(name) == value]
        return 200, {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}
    if (found := _OBJECT.fullmatch(path)) is None:
        return 404, status(404, "NotFound", f"no {path}")
    namespace, kind, name = found[1], found[2], found[3]
    if method == "DELETE":
        grace = query.get("gracePeriodSeconds")
        return cluster.delete(namespace, kind, name, None if grace is None else float(grace))
    with cluster.lock:
        there = getattr(cluster, kind).get((namespace, name))
        if there is None:
            return 404, status(404, "NotFound", f"{kind} {name!r} not found")
        if found[4]:
            return 200, there.log.read_text() if there.log.exists() else ""
        if method == "PATCH":
            there["metadata"] |= body["metadata"]
        return 200, cluster.shown(kind, there)
