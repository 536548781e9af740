"""Applies the chart to Kubernetes' own API server (`make chart-apiserver`); prints figures for
RESULTS.md.

Every rendering is applied with strict validation, in a namespace that enforces the restricted
standard, and a pod is made of it. Then Helm installs, upgrades, rolls back and uninstalls the
values of ci/: the Helm of the tests, and the newest. Nothing runs, because there is no kubelet.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import yaml

from tests.deploy.apiserver import PROGRAMS, ApiServer, Refused
from tests.deploy.chart import CHART, CI, HELM, RELEASE, Object, merged, one, pods, render
from tests.deploy.switches import ALL
from tests.harness import yaml_text

NAMESPACE = "events"
RESTRICTED = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")
}


def prepare(server: ApiServer) -> None:
    """Create custom resources, the priority class that values name, and a namespace that accepts
    only restricted pods.
    """
    for file in sorted((PROGRAMS / "crds").glob("*.yaml")):
        server.define(yaml_text.read(file.read_text()))
    server.apply(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "high"},
            "value": 1000,
        }
    )
    server.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": RESTRICTED},
        }
    )


def pods_of(objects: list[Object]) -> list[Object]:
    """Pods as a controller makes them."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": pod["metadata"] | {"name": f"pod-{at}", "namespace": NAMESPACE},
            "spec": pod["spec"],
        }
        for at, pod in enumerate(pods(objects))
    ]


def refused(attempt: Callable[[], object], word: str) -> None:
    """Check that it is refused with this word: a server that accepts all would prove nothing."""
    try:
        attempt()
    except Refused as error:
        if word in str(error):
            return
        raise
    raise AssertionError(f"it was taken; expected a refusal with {word!r}")


def controls(server: ApiServer) -> int:
    """Objects that must be refused."""
    objects = render(ALL["redis"])
    pod, deployment, monitor = (
        pods_of(objects)[0],
        one(objects, "Deployment"),
        one(objects, "ServiceMonitor"),
    )
    root, writable, unknown, wrong = (deepcopy(each) for each in (pod, pod, deployment, monitor))
    del root["spec"]["securityContext"]["runAsNonRoot"]
    del writable["spec"]["containers"][0]["securityContext"]["capabilities"]
    unknown["spec"]["template"]["spec"]["graceperiod"] = 30
    wrong["spec"]["endpoints"][0]["interval"] = "often"
    refused(
        lambda: server.create(root),
        'violates PodSecurity "restricted:latest": runAsNonRoot != true',
    )
    refused(lambda: server.create(writable), "unrestricted capabilities")
    refused(lambda: server.apply(unknown, dry_run=True), "field not declared in schema")
    refused(
        lambda: server.apply(wrong, dry_run=True), "spec.endpoints[0].interval in body should match"
    )
    return 4


def prove_objects(server: ApiServer) -> tuple[int, int]:
    """Count the objects and pods that were accepted without a warning. Raises Refused."""
    applied = admitted = 0
    for name, values in ALL.items():
        objects = render(values)
        for each in objects:
            assert not (told := server.apply(each, dry_run=True)), (name, each["kind"], told)
        for pod in pods_of(objects):
            assert not (told := server.create(pod)), (name, told)
        applied, admitted = applied + len(objects), admitted + len(pods_of(objects))
    return applied, admitted


def call(helm: Path, kubeconfig: Path, *arguments: str, values: Object | None = None) -> str:
    """Call that Helm. Raises CalledProcessError."""
    given = [] if values is None else ["--values", "-"]
    command = [str(helm), *arguments, "--namespace", NAMESPACE, *given]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(kubeconfig.parent),
        "KUBECONFIG": str(kubeconfig),
    }
    return subprocess.run(
        command,
        input=yaml.safe_dump(values),
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    ).stdout


def prove_releases(server: ApiServer, directory: Path, helm: Path) -> int:
    """Install, upgrade, roll back and uninstall the values of ci/, and one release through all of
    them. Returns the number of releases.
    """
    file = directory / "kubeconfig"
    file.write_text(server.kubeconfig)
    file.chmod(0o600)
    claims = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"
    for name in CI:
        notes = call(helm, file, "install", RELEASE, str(CHART), values=ALL[name])
        assert f"rollout status deployment/{RELEASE}-eventhub" in notes
        call(
            helm,
            file,
            "upgrade",
            RELEASE,
            str(CHART),
            values=merged(ALL[name], {"config": {"heartbeat": 20}}),
        )
        call(helm, file, "rollback", RELEASE, "1")
        call(helm, file, "uninstall", RELEASE)
        assert server.names(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments") == []
        assert server.names(claims) == ([f"{RELEASE}-eventhub"] if name == "sqlite" else []), (
            "events outlive a release"
        )
        server.delete(claims)
    call(helm, file, "install", RELEASE, str(CHART), values=ALL["memory"])
    for name in (*CI, "memory"):  # no part of one strategy may stay in the other
        call(helm, file, "upgrade", RELEASE, str(CHART), values=ALL[name])
    call(helm, file, "uninstall", RELEASE)
    server.delete(claims)
    return len(CI) + 1


def prove_scaling(server: ApiServer, directory: Path, helm: Path) -> None:
    """Turning autoscaling on keeps the present number of pods, and so does the upgrade after the
    autoscaler has set one.
    """
    file = directory / "kubeconfig"
    call(
        helm,
        file,
        "install",
        RELEASE,
        str(CHART),
        values=merged(ALL["redis"], {"replicas": 4, "autoscaling": {"enabled": False}}),
    )
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{RELEASE}-eventhub"
    call(helm, file, "upgrade", RELEASE, str(CHART), values=ALL["redis"])
    assert server.read(path)["spec"]["replicas"] == 4
    server.merge(f"{path}/scale", {"spec": {"replicas": 7}})
    call(
        helm,
        file,
        "upgrade",
        RELEASE,
        str(CHART),
        values=merged(ALL["redis"], {"config": {"heartbeat": 20}}),
    )
    assert server.read(path)["spec"]["replicas"] == 7
    call(helm, file, "uninstall", RELEASE)


def say(*cells: object) -> None:
    """Print a row of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)  # noqa: T201  # a program's output


def main(versions: list[str]) -> None:
    """Run it for each version of the API. The first is the program's own version."""
    say(
        "API server",
        "objects applied",
        "pods admitted",
        "refused, as they must be",
        "releases",
        "seconds",
    )
    say(*6 * ["---"])
    for version in versions:
        with tempfile.TemporaryDirectory() as name:
            began = time.monotonic()
            with ApiServer(Path(name), version) as server:
                prepare(server)
                applied, admitted = prove_objects(server)
                releases = sum(
                    prove_releases(server, Path(name), helm) for helm in (HELM, PROGRAMS / "helm")
                )
                prove_scaling(server, Path(name), HELM)
                prove_scaling(server, Path(name), PROGRAMS / "helm")
                figures = (server.version, applied, admitted, controls(server), releases)
                say(*figures, round(time.monotonic() - began))


if __name__ == "__main__":
    main(sys.argv[1:] or [""])
