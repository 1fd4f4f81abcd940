"""Options of the Kubernetes launcher."""

from __future__ import annotations

from dataclasses import dataclass

from ctrlhub.cluster.launchers.array import seconds_of
from ctrlhub.cluster.launchers.options import LauncherOptions, option


@dataclass(frozen=True, kw_only=True)
class KubernetesOptions(LauncherOptions):
    """What the launcher for Kubernetes can be told."""

    image: str = option("The image of the engines: one with Python and ctrl-hub, as here.")
    namespace: str = option("The namespace.  [default: the context's]")
    context: str = option("The context of the kubeconfig.  [default: the current one]")
    engines_per_pod: int = option("How many engines each pod has, with one nanny.", 1)
    cpu: str = option("Cores of each pod, such as 4 or 500m.")
    memory: str = option("Memory of each pod, such as 8Gi.")
    gpus: int = option("GPUs of each pod, shared out among its engines.", 0)
    gpu_resource: str = option("What GPUs are called there.", "nvidia.com/gpu")
    time: str = option("The wall time after which Kubernetes ends the set: 2:00:00, or seconds.  [default: none]")
    grace: int = option("Seconds that pods have to end, once they are told to.", 30)
    ttl: int = option("Seconds after which a set that has ended is removed.", 600)
    retries: int = option("How often a pod that failed is started again.", 0)
    service_account: str = option("The service account of the pods.")
    pull_secret: str = option("The secret to pull the image with.")
    pull_policy: str = option("Always, IfNotPresent or Never.  [default: as Kubernetes sees fit]")
    node_selector: tuple[str, ...] = option("LABEL=VALUE of nodes that will do.", ())

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.image:
            raise ValueError("image: say which image has ctrl-hub: -o image=registry/name:tag")
        for name in ("engines_per_pod", "gpus", "grace", "ttl", "retries"):
            if getattr(self, name) < (name == "engines_per_pod"):
                raise ValueError(f"{name} must not be so small: {getattr(self, name)}")
        self.seconds()
        for each in self.node_selector:
            if "=" not in each:
                raise ValueError(f"node_selector: {each!r} is not LABEL=VALUE")

    def seconds(self) -> int:
        """Return the wall time in seconds; 0 for none."""
        return seconds_of(self.time) if self.time else 0
