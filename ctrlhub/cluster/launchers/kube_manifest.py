"""What the Kubernetes launcher asks for: an Indexed Job and a Secret, as plain data. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ctrlhub.cluster.launchers.kube_options import KubernetesOptions
from ctrlhub.cluster.launchers.script import Shell, command_line, nanny_command, shell_lines
from ctrlhub.cluster.launchers.spec import EngineSet

TOKEN_DIR = "/run/ctrl-hub"
"""Where a pod finds the token; the Secret's volume is in the pod's memory."""
STATE_DIR = "/tmp/ctrl-hub"
COOKIE_LABEL = "ctrl-hub/cookie"
MARGIN = 5
"""Seconds that a nanny needs of a pod's time of grace for itself."""
MOST_NAME = 52
"""The longest name of a Job whose pods' names, with index and suffix, are still names of hosts."""


def resource_name(spec: EngineSet) -> str:
    """Return the name of a set's Job and Secret, which nothing else has."""
    name = re.sub(r"[^a-z0-9]+", "-", spec.key.lower()).strip("-")
    room = MOST_NAME - len(spec.cookie) - len("ctrl-hub--")
    return f"ctrl-hub-{name[:room].strip('-')}-{spec.cookie}"


def labels(spec: EngineSet, profile: str) -> dict[str, str]:
    """Return by what a set is found."""
    return {
        "app.kubernetes.io/name": "ctrl-hub",
        "app.kubernetes.io/component": "engine",
        "ctrl-hub/set": _label(spec.key),
        "ctrl-hub/profile": _label(profile),
        COOKIE_LABEL: spec.cookie,
    }


def secret(spec: EngineSet, profile: str, token: str) -> dict[str, Any]:
    """Return the Secret with the token."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": resource_name(spec), "labels": labels(spec, profile)},
        "type": "Opaque",
        "immutable": True,
        "stringData": {"token": token},
    }


def job(spec: EngineSet, profile: str, options: KubernetesOptions) -> dict[str, Any]:
    """Return the Job: a pod with a nanny for so many engines each."""
    pods = pods_of(spec.n, options.engines_per_pod)
    found: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": resource_name(spec), "labels": labels(spec, profile)},
        "spec": {
            "completionMode": "Indexed",
            "completions": pods,
            "parallelism": pods,
            "backoffLimitPerIndex": options.retries,
            "ttlSecondsAfterFinished": options.ttl,
            "template": {
                "metadata": {"labels": labels(spec, profile)},
                "spec": _pod(spec, profile, options),
            },
        },
    }
    if seconds := options.seconds():
        found["spec"]["activeDeadlineSeconds"] = seconds
    return found


def pods_of(engines: int, each: int) -> int:
    """Return how many pods have so many engines."""
    return -(-engines // each)


def _pod(spec: EngineSet, profile: str, options: KubernetesOptions) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": options.grace,
        "containers": [_container(spec, profile, options)],
        "volumes": [
            {"name": "token", "secret": {"secretName": resource_name(spec), "defaultMode": 0o444}}
        ],
    }
    if options.service_account:
        pod["serviceAccountName"] = options.service_account
    if options.pull_secret:
        pod["imagePullSecrets"] = [{"name": options.pull_secret}]
    if options.node_selector:
        pod["nodeSelector"] = dict(each.split("=", 1) for each in options.node_selector)
    return pod


def _container(spec: EngineSet, profile: str, options: KubernetesOptions) -> dict[str, Any]:
    wanted = {"cpu": options.cpu, "memory": options.memory, options.gpu_resource: options.gpus or ""}
    limits = {name: str(amount) for name, amount in wanted.items() if amount}
    container: dict[str, Any] = {
        "name": "engines",
        "image": options.image,
        "command": ["/bin/sh", "-c", script(spec, profile, options)],
        "env": [{"name": "CTRLHUB_STATE_DIR", "value": STATE_DIR}],
        "resources": {"requests": limits, "limits": limits} if limits else {},
        "securityContext": {"allowPrivilegeEscalation": False},
        "volumeMounts": [{"name": "token", "mountPath": TOKEN_DIR, "readOnly": True}],
    }
    if options.pull_policy:
        container["imagePullPolicy"] = options.pull_policy
    return container


def script(spec: EngineSet, profile: str, options: KubernetesOptions) -> str:
    """Return what a pod runs; the last one has the engines that are left."""
    each = options.engines_per_pod
    pods = pods_of(spec.n, each)
    last = spec.n - (pods - 1) * each
    count = [f"n={each}"]  # each index has its share; the last one what is left
    if last != each:
        count.append(f'[ "$JOB_COMPLETION_INDEX" = {pods - 1} ] && n={last}')
    grace = str(max(1, options.grace - MARGIN))
    command = nanny_command(
        options.python or "python3", spec, Shell('"$n"'), profile=profile, others=["--grace", grace]
    )
    return "\n".join([*shell_lines(spec, options), *count, f"exec {command_line(command)} < {TOKEN_DIR}/token", ""])


def as_text(objects: list[Mapping[str, Any]]) -> str:
    """Write manifests as ``kubectl apply`` reads them: YAML, or where nothing writes that JSON, which is YAML, too."""
    try:
        import yaml
    except ImportError:
        import json

        return "\n---\n".join(json.dumps(each, indent=2) for each in objects) + "\n"
    return str(yaml.safe_dump_all(objects, sort_keys=False))


def _label(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:63].strip("-_.")
