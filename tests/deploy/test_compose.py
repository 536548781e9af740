"""compose.yaml and the files that it mounts are well formed and agree. test_stack.py runs what can
run without Docker.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from eventhub.config.settings import Settings
from tests.deploy.image import ROOT
from tests.harness import yaml_text
from tests.harness.programs import program

DCLINT = ROOT / "tests/conformance/node_modules/dclint"
COMPOSE = yaml_text.read((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NODES = [name for name, service in SERVICES.items() if "build" in service]


def mounts() -> Iterator[tuple[str, str, str]]:
    """Service, our file, place in the container."""
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source, target, *options = volume.split(":")
            if source.startswith("."):
                assert options == ["ro"], volume
                yield name, source, target


def place(service: str, source: str) -> str:
    """Where that service finds our file."""
    (target,) = [
        target for name, mounted, target in mounts() if name == service and mounted == source
    ]
    return target


def load(path: str) -> Any:
    return yaml_text.read((ROOT / path).read_text())


def test_it_is_a_compose_file_as_its_specification_says() -> None:
    schema = json.loads((DCLINT / "schemas/compose.schema.json").read_text())
    jsonschema_rs.validator_for(schema).validate(COMPOSE)


def test_dclint_finds_no_error() -> None:
    command = [program("node"), str(DCLINT / "bin/dclint.cjs"), "--quiet", "compose.yaml"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_two_nodes_and_what_is_mounted_exists() -> None:
    assert len(NODES) == 2
    assert {place(node, "./deploy/eventhub.yaml") for node in NODES} == {
        "/etc/eventhub/eventhub.yaml"
    }
    assert all((ROOT / source).exists() for _, source, _ in mounts())


def test_every_image_has_a_version() -> None:
    images = [service["image"] for name, service in SERVICES.items() if name not in NODES]
    assert all(
        re.fullmatch(r"docker\.io/[a-z/]+:v?\d+\.\d+\.\d+(-alpine)?", image) for image in images
    ), images


def test_without_authentication_only_this_machine_can_connect() -> None:
    assert load("deploy/eventhub.yaml")["insecure"] is True
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any(service.get("network_mode") for service in SERVICES.values())


def test_nothing_may_write_into_its_image_or_gain_privileges() -> None:
    for service in SERVICES.values():
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("node", NODES)
def test_the_grace_period_of_a_node_is_longer_than_its_drain(node: str) -> None:
    shutdown = Settings.model_fields["shutdown"].default
    assert (
        int(SERVICES[node]["stop_grace_period"].removesuffix("s"))
        >= shutdown.spread + shutdown.grace + 10
    )


def test_the_configuration_of_the_nodes_is_good() -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("EVENTHUB_")
    } | {"EVENTHUB_HOST": "0.0.0.0"}
    command = [sys.executable, "-m", "eventhub", "check", "--config", "deploy/eventhub.yaml"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_services_refer_to_each_other_by_existing_names() -> None:
    addresses = [f"{node}:8000" for node in NODES]
    assert (
        re.findall(r"server (eventhub\S+)", (ROOT / "deploy/nginx.conf").read_text()) == addresses
    )
    (scrape,) = load("deploy/prometheus.yml")["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": addresses}]
    assert load("deploy/eventhub.yaml")["broker"] == "redis://valkey:6379"
    (source,) = load("deploy/grafana/datasources/prometheus.yaml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert "valkey" in SERVICES
    assert SERVICES["nginx"]["ports"] == ["127.0.0.1:8000:8080"]
    assert "listen 8080 default_server;" in (ROOT / "deploy/nginx.conf").read_text()


def test_grafana_and_prometheus_are_given_the_mounted_files() -> None:
    (provider,) = load("deploy/grafana/dashboards/eventhub.yaml")["providers"]
    assert provider["options"]["path"] == place("grafana", "./helm/eventhub/files/dashboards")
    assert place("grafana", "./deploy/grafana/dashboards") == "/etc/grafana/provisioning/dashboards"
    assert (
        place("grafana", "./deploy/grafana/datasources") == "/etc/grafana/provisioning/datasources"
    )
    assert list((ROOT / "helm/eventhub/files/dashboards").glob("*.json"))
    alerts, (rules,) = (
        place("prometheus", "./helm/eventhub/files/alerts.yaml"),
        load("deploy/prometheus.yml")["rule_files"],
    )
    assert rules == alerts.replace("alerts", "*")
    assert (
        f"--config.file={place('prometheus', './deploy/prometheus.yml')}"
        in SERVICES["prometheus"]["command"]
    )
    interval = load("deploy/prometheus.yml")["global"]["scrape_interval"]
    assert (
        load("deploy/grafana/datasources/prometheus.yaml")["datasources"][0]["jsonData"][
            "timeInterval"
        ]
        == interval
    )
