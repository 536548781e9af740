"""A pod's container as the kubelet would start it, on this machine: volumes as files in a
directory, with its variables and secrets.
"""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nkeys  # type: ignore[import-untyped]  # has no types

from eventhub.auth.keys import hash_key, new_key
from tests.deploy.chart import Object, Values, merged, one
from tests.harness.certificates import Authority

KEY = new_key()
FIRST = {
    "config": {
        "auth": {
            "keys": [
                {
                    "name": "first",
                    "hash": hash_key(KEY),
                    "publish": [">"],
                    "subscribe": [">"],
                    "operator": True,
                }
            ]
        }
    }
}
"""Values: the key above instead of that of ci/."""
Secrets = Mapping[str, Mapping[str, str]]


def first(values: Values) -> Object:
    """The values, with a key that is known here in place of configured keys."""
    return merged(values, FIRST) if "keys" in values["config"].get("auth", {}) else dict(values)


def cluster_secrets(directory: Path) -> Secrets:
    """The Secrets that the tests' values refer to."""
    authority = Authority(directory)
    pair = authority.issue("hub", hosts="DNS:hub.example")
    issuer = {"ca.crt": authority.file.read_text()}
    certificate = {
        "tls.crt": pair.certificate.read_text(),
        "tls.key": pair.key.read_text(),
        **issuer,
    }
    seed = nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER).decode()
    credentials = (
        "-----BEGIN NATS USER JWT-----\ney.ey.s-_\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
    return {
        "eventhub-first": {"key": KEY},
        "eventhub-keys": {"auth.json": json.dumps(FIRST["config"]["auth"]["keys"])},
        "orders": {"producer": KEY},
        "eventhub-otel": {"headers": "authorization=Bearer%20key"},
        "eventhub-tokens": {"secret": secrets.token_hex(32)},
        "eventhub-broker": {"url": "redis://:password@redis:6379"},
        "hub": {"BROKER_URL": "redis://:password@redis:6379"},
        "eventhub-nats": {"user.creds": credentials},
        "hub.example-tls": certificate,
        "hub-tls": certificate,
        "ca.example": issuer,
    }


def rendered_secrets(objects: list[Object]) -> dict[str, dict[str, str]]:
    """The Secrets that the chart makes."""
    return {
        each["metadata"]["name"]: {
            key: base64.b64decode(value).decode() for key, value in each["data"].items()
        }
        for each in objects
        if each["kind"] == "Secret"
    }


@dataclass(frozen=True, slots=True)
class Container:
    """The first container of a pod.

    `text` is its eventhub.yaml, with paths of this machine; `here` translates other paths.
    """

    spec: Object
    variables: dict[str, str]
    directory: Path

    @classmethod
    def of(cls, pod: Object, objects: list[Object], known: Secrets, directory: Path) -> "Container":
        """The container, with the files of its volumes below `directory`.

        Raises KeyError for an unknown Secret or key.
        """
        known = {**known, **rendered_secrets(objects)}
        spec = pod["spec"]["containers"][0]
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        for mount in spec.get("volumeMounts", []):
            place = directory / mount["mountPath"].strip("/")
            place.mkdir(parents=True)
            volume = volumes[mount["name"]]
            files = known[volume["secret"]["secretName"]] if "secret" in volume else {}
            if "configMap" in volume:
                files = one(objects, "ConfigMap")["data"]
            for item in volume.get("secret", {}).get(
                "items", [{"key": name, "path": name} for name in files]
            ):
                text = (
                    files[item["key"]]
                    .replace("/run/", f"{directory}/run/")
                    .replace("/var/", f"{directory}/var/")
                )
                (place / item["path"]).write_text(text)
        return cls(spec, dict(_variable(each, known, directory) for each in spec["env"]), directory)

    @property
    def config(self) -> Path:
        """Its eventhub.yaml."""
        return Path(self.variables["EVENTHUB_CONFIG"])


def _variable(declared: Object, known: Secrets, directory: Path) -> tuple[str, str]:
    if "value" in declared:
        value = declared["value"]
        return declared["name"], f"{directory}{value}" if value.startswith("/") else value
    reference = declared["valueFrom"]["secretKeyRef"]
    return declared["name"], known[reference["name"]][reference["key"]]
