"""The cluster's part for Helm's hooks: no pod runs, so each Job and each Pod is marked as complete, as controller and kubelet would."""

from __future__ import annotations

import contextlib
import datetime
import threading
from collections.abc import Iterator

from tests.kube.cluster import Cluster
from tests.kube.objects import Object, Objects

POLL_S = 0.2


@contextlib.contextmanager
def completed(cluster: Cluster, namespace: str) -> Iterator[list[str]]:
    """Complete every Job and Pod of a namespace within the block. Yields the list of their names, which grows. An error ends the block."""
    names: list[str] = []
    errors: list[Exception] = []
    stop = threading.Event()

    def work() -> None:
        with cluster.client() as client:
            objects = Objects(client)
            while not stop.wait(POLL_S):
                try:
                    names.extend(_complete(objects, namespace))
                except Exception as error:  # noqa: BLE001 - raised again in the block's own thread
                    errors.append(error)
                    return

    thread = threading.Thread(target=work, name="hooks", daemon=True)
    thread.start()
    try:
        yield names
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def _complete(objects: Objects, namespace: str) -> Iterator[str]:
    for job in objects.all("batch/v1", "Job", namespace):
        if not job.get("status", {}).get("conditions"):
            objects.patch_status(job, namespace, _succeeded())
            yield job["metadata"]["name"]
    for pod in objects.all("v1", "Pod", namespace):
        if pod["status"]["phase"] == "Pending":
            objects.patch_status(pod, namespace, {"phase": "Succeeded"})
            yield pod["metadata"]["name"]


def _succeeded() -> Object:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [
        {"type": name, "status": "True", "lastProbeTime": now, "lastTransitionTime": now}
        for name in ("SuccessCriteriaMet", "Complete")
    ]
    return {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}
