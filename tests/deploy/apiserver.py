"""Kubernetes' own API server on loopback, with an etcd of its own. It accepts what a cluster
accepts, but runs nothing, because there is no kubelet.
"""

import json
import secrets
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.deploy.chart import ROOT, Object
from tests.harness.eventually import eventually
from tests.harness.ports import free_port

PROGRAMS = ROOT / ".apiserver"
START_SECONDS = 120


class Refused(Exception):
    """The server refused an object; the message is the server's."""


class ApiServer:
    """A server of this version of the API (`1.37`; none: its own).

    All admission plugins are on except that of service accounts, which needs a controller.
    """

    def __init__(self, directory: Path, version: str = "") -> None:
        self._directory, self._version = directory, version
        self._token = secrets.token_hex(16)
        self.url = f"https://127.0.0.1:{free_port()}"
        self._client = httpx.Client(
            base_url=self.url,
            verify=False,
            timeout=60,
            headers={"Authorization": f"Bearer {self._token}"},
        )
        self._processes: list[subprocess.Popen[bytes]] = []
        self._plural = cache(self._discover)

    @property
    def version(self) -> str:
        """The version that it reports."""
        told: Object = self._client.get("/version").json()
        return f"{told['gitVersion']}, as {told['emulationMajor']}.{told['emulationMinor']}"

    @property
    def kubeconfig(self) -> str:
        """A kubeconfig for other clients."""
        named: Object = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
            "clusters": [
                {"name": "here", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}
            ],
            "users": [{"name": "here", "user": {"token": self._token}}],
        }
        return json.dumps(named)

    def apply(self, given: Object, *, dry_run: bool = False) -> list[str]:
        """Server-side apply with strict validation.

        Returns the server's warnings. Raises Refused.
        """
        path = f"{self._path(given)}/{given['metadata']['name']}"
        answer = self._client.patch(
            path,
            params={"fieldManager": "proof", "force": "true", "fieldValidation": "Strict"}
            | ({"dryRun": "All"} if dry_run else {}),
            content=json.dumps(given),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        return _warnings(answer)

    def create(self, given: Object) -> list[str]:
        """Create it as a controller would, as a dry run.

        Returns the server's warnings. Raises Refused.
        """
        return _warnings(
            self._client.post(
                self._path(given), params={"dryRun": "All", "fieldValidation": "Strict"}, json=given
            )
        )

    def names(self, path: str) -> list[str]:
        """Of the objects at a path."""
        return [each["metadata"]["name"] for each in self._client.get(path).json()["items"]]

    def read(self, path: str) -> Object:
        """The object at a path."""
        found: Object = self._client.get(path).raise_for_status().json()
        return found

    def merge(self, path: str, change: Object) -> None:
        """Change the object at a path."""
        merged = {"Content-Type": "application/merge-patch+json"}
        self._client.patch(path, content=json.dumps(change), headers=merged).raise_for_status()

    def delete(self, path: str) -> None:
        """All objects at a path."""
        self._client.delete(path, params={"propagationPolicy": "Background"}).raise_for_status()
        for name in self.names(path):  # a claim would wait for a controller, and there is none
            self._client.patch(
                f"{path}/{name}",
                content='{"metadata":{"finalizers":null}}',
                headers={"Content-Type": "application/merge-patch+json"},
            )

    def define(self, definition: Object) -> None:
        """Install a CustomResourceDefinition, and wait until its resources can be used."""
        self.apply(definition)
        name = definition["metadata"]["name"]
        self._until(
            f"{name} to be established",
            lambda: (
                "Established"
                in str(
                    self._client.get(
                        f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
                    ).json()
                )
            ),
        )

    def _path(self, given: Object) -> str:
        group = given["apiVersion"]
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        namespace = given["metadata"].get("namespace")
        within = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{within}/{self._plural(root, given['kind'])}"

    def _discover(self, root: str, kind: str) -> str:
        known = self._client.get(root).raise_for_status().json()["resources"]
        return next(
            str(each["name"]) for each in known if each["kind"] == kind and "/" not in each["name"]
        )

    def _start(self, program: str, options: Mapping[str, str | Path]) -> None:
        command = [
            str(PROGRAMS / program),
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        with (self._directory / f"{program}.log").open("wb") as output:
            self._processes.append(
                subprocess.Popen(command, stdout=output, stderr=output, cwd=self._directory)
            )

    def _until(self, what: str, look: Callable[[], object]) -> None:
        """Poll until it holds: the server does not announce that it is ready."""

        def looked() -> object:
            for process in self._processes:
                assert process.poll() is None, f"{process.args!r} has ended"
            return look()

        try:
            eventually(what, looked, seconds=START_SECONDS)
        except AssertionError as failure:
            failure.add_note((self._directory / "kube-apiserver.log").read_text()[-3000:])
            raise

    def _ready(self) -> bool:
        try:
            return (
                self._client.get("/readyz").status_code == 200
                and self._client.get("/api/v1/namespaces/default").status_code == 200
            )
        except httpx.TransportError:
            return False

    def __enter__(self) -> Self:
        key = self._directory / "accounts.key"
        subprocess.run(
            ["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True
        )
        (self._directory / "tokens.csv").write_text(f"{self._token},proof,proof,system:masters\n")
        store = f"http://127.0.0.1:{free_port()}"
        peers = f"http://127.0.0.1:{free_port()}"
        named = {
            "listen-client-urls": store,
            "advertise-client-urls": store,
            "listen-peer-urls": peers,
        }
        self._start("etcd", {"data-dir": self._directory / "etcd", **named})
        emulated = {"emulated-version": f"kube={self._version}"} if self._version else {}
        self._start(
            "kube-apiserver",
            {
                "etcd-servers": store,
                "bind-address": "127.0.0.1",
                "secure-port": self.url.rpartition(":")[2],
                "endpoint-reconciler-type": "none",  # it would not accept an address of loopback
                "cert-dir": self._directory / "certificates",
                "service-account-issuer": "https://kubernetes.default.svc",
                "service-account-key-file": key,
                "service-account-signing-key-file": key,
                "token-auth-file": self._directory / "tokens.csv",
                "authorization-mode": "RBAC",
                "service-cluster-ip-range": "10.0.0.0/24",
                "disable-admission-plugins": "ServiceAccount",
                **emulated,
            },
        )
        self._until("kube-apiserver to be ready", self._ready)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait()
        self._client.close()


def _warnings(answer: httpx.Response) -> list[str]:
    if answer.is_error:
        raise Refused(answer.json()["message"])
    return answer.headers.get_list("warning")
