"""The chart: with every switch, what it renders is valid, restricted and consistent."""

import json
import math
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from eventhub.auth.keys import hash_key
from eventhub.config.auth_settings import KeySettings
from eventhub.config.sections import ShutdownSettings
from tests import SETTINGS
from tests.deploy import crds
from tests.deploy.chart import (
    CHART,
    CI,
    CURRENT,
    OLDEST,
    Object,
    _render,
    ci,
    helm,
    merged,
    one,
    pods,
    render,
    render_all,
)
from tests.deploy.pod import rendered_secrets
from tests.deploy.switches import ALL
from tests.harness import yaml_text

EVERY = [f"1.{minor}" for minor in range(int(OLDEST[2:]), int(CURRENT[2:]) + 1)]
VERSIONS = EVERY if SETTINGS.get("EVENTHUB_TEST_KUBERNETES") == "all" else [OLDEST, CURRENT]
SHARED = ("redis", "nats")
DRAIN = {"spread": 10, "grace": 5}
"""Seconds, where the values say nothing else."""


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[Object]]:
    return render_all(ALL)


def leaves(values: Object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each key of values.yaml whose value is no mapping, or an empty one."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def at(values: Object, path: tuple[str, ...]) -> Any:
    for key in path:
        values = values.get(key, {})
    return values


@pytest.mark.parametrize("values", [{}, *map(ci, CI)], ids=["none", *CI])
def test_lint_finds_nothing_in_it(values: Object) -> None:
    done = helm("lint", "--strict", str(CHART), values=values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_some_switch_changes_every_value_and_sets_every_boolean_both_ways() -> None:
    defaults = yaml_text.read((CHART / "values.yaml").read_text())
    for path, default in leaves(defaults):
        seen = [at(merged(defaults, values), path) for values in ALL.values()]
        assert any(value != default for value in seen), ".".join(path)
        assert not isinstance(default, bool) or (True in seen and False in seen), ".".join(path)


@pytest.fixture(scope="module")
def kubernetes() -> ModuleType:
    """Imports the client here: it takes seconds, which each process that only collects tests would
    spend.
    """
    import kubernetes_validate.utils  # type: ignore[import-untyped]  # has no types

    utils: ModuleType = kubernetes_validate.utils
    utils.__dict__["schema_contents"] = cache(
        utils.schema_contents
    )  # it reads two megabytes for each object otherwise
    return utils


@pytest.mark.parametrize("version", VERSIONS)
def test_objects_are_those_that_kubernetes_knows(
    rendered: dict[str, list[Object]], kubernetes: ModuleType, version: str
) -> None:
    seen: list[Object] = []
    for name, objects in rendered.items():
        for each in objects:
            if each in seen or each["apiVersion"].startswith(("monitoring.", "gateway.")):
                continue
            seen.append(each)
            try:
                kubernetes.validate(each, version, strict=True)
            except kubernetes.ValidationError as error:
                pytest.fail(
                    f"{name}: {each['kind']}: {error.message} at {list(error.absolute_path)}"
                )


def test_custom_resources_are_those_that_their_projects_define(
    rendered: dict[str, list[Object]],
) -> None:
    kinds = set()
    for name, objects in rendered.items():
        for each in objects:
            if each["apiVersion"].startswith(("monitoring.", "gateway.")):
                kinds.add(each["kind"])
                assert not [
                    (name, str(fault)) for fault in crds.validator(each["kind"]).iter_errors(each)
                ]
    assert kinds == {"ServiceMonitor", "PrometheusRule", "HTTPRoute"}


def test_an_older_kubernetes_is_refused() -> None:
    done = helm(
        "template", str(CHART), "--kube-version", "1.29.9", "--generate-name", values=ci("memory")
    )
    assert "requires kubeVersion: >=1.30.0-0 which is incompatible" in done.stderr


def test_every_pod_is_restricted(rendered: dict[str, list[Object]]) -> None:
    """As https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted says, with
    a read-only root and without an API token.
    """
    for pod in (pod for objects in rendered.values() for pod in pods(objects)):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec)
        assert {kind for volume in spec.get("volumes", []) for kind in volume} <= {
            "name",
            "configMap",
            "secret",
            "persistentVolumeClaim",
        }
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]["requests"]) >= {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            assert not any("hostPort" in port for port in container.get("ports", []))


def test_selectors_match_the_pods_that_serve_and_not_the_pod_of_the_test(
    rendered: dict[str, list[Object]],
) -> None:
    for objects in rendered.values():
        labels = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
        selectors = [
            one(objects, "Deployment")["spec"]["selector"]["matchLabels"],
            one(objects, "Service")["spec"]["selector"],
        ]
        kinds = {each["kind"]: each["spec"] for each in objects if "spec" in each}
        selectors += [
            kinds[kind]["selector"]["matchLabels"]
            for kind in ("PodDisruptionBudget",)
            if kind in kinds
        ]
        selectors += (
            [kinds["NetworkPolicy"]["podSelector"]["matchLabels"]]
            if "NetworkPolicy" in kinds
            else []
        )
        for selector in selectors:
            assert selector.items() <= labels.items()
            assert not any(
                selector.items() <= each["metadata"]["labels"].items()
                for each in objects
                if each["kind"] == "Pod"
            )


def test_names_in_the_compose_file_refer_to_existing_things(
    rendered: dict[str, list[Object]],
) -> None:
    for objects in rendered.values():
        service, deployment = one(objects, "Service"), one(objects, "Deployment")
        names = {
            port["name"]
            for port in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
        }
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
        for each in objects:
            assert len(each["metadata"]["name"]) <= 63
            assert each["metadata"]["namespace"] == "events"
            for backend in re.findall(r"'service': \{'name': '([^']*)'", str(each)):
                assert backend == service["metadata"]["name"]
        accounts = [
            each["metadata"]["name"] for each in objects if each["kind"] == "ServiceAccount"
        ]
        assert not accounts or accounts == [
            deployment["spec"]["template"]["spec"]["serviceAccountName"]
        ]


def test_no_object_holds_a_secret(rendered: dict[str, list[Object]]) -> None:
    for name, objects in rendered.items():
        assert ("Secret" in {each["kind"] for each in objects}) == (name == "keys that are made")
        assert not re.search(
            r"ehk_|secret: [^/]|://[^/\s]*@", one(objects, "ConfigMap")["data"]["eventhub.yaml"]
        )
        for container in (
            container for pod in pods(objects) for container in pod["spec"]["containers"]
        ):
            by_value = {variable["name"] for variable in container["env"] if "value" in variable}
            assert by_value <= {
                "EVENTHUB_CONFIG",
                "URL",
                "CHANNEL",
                "EVENT",
                "CERTIFICATE",
                "OTEL_EXPORTER_OTLP_CERTIFICATE",
            }


def keys(chart: Path = CHART) -> Object:
    """The Secret of an installation without values."""
    return one(render({}, chart=chart), "Secret")


def test_without_values_it_installs_one_node_whose_keys_are_made_into_a_secret_that_stays() -> None:
    secret = keys()
    assert secret["immutable"] is True
    assert secret["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    found = rendered_secrets([secret])[secret["metadata"]["name"]]
    operator, producer = (KeySettings.model_validate(each) for each in json.loads(found["keys"]))
    assert (operator.hash, producer.hash) == (
        hash_key(found["operator"]),
        hash_key(found["producer"]),
    )
    assert operator.hash != producer.hash
    assert (operator.operator, operator.subscribe, operator.publish) == (True, [">"], [">"])
    assert (producer.operator, producer.subscribe, producer.publish) == (False, [], [">"])
    assert all(
        re.fullmatch(r"ehk_[A-Za-z0-9]{43}", found[name]) for name in ("operator", "producer")
    )
    [container] = one(render({}), "Deployment")["spec"]["template"]["spec"]["containers"]
    reference = {"secretKeyRef": {"name": secret["metadata"]["name"], "key": "keys"}}
    assert {"name": "EVENTHUB_AUTH__KEYS", "valueFrom": reference} in container["env"]


def test_an_upgrade_keeps_the_keys_and_another_release_has_others(tmp_path: Path) -> None:
    """`helm template` asks no cluster.

    A copy of the chart has the answer that a cluster would give: the Secret of the first
    installation.
    """
    first = keys()["data"]
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    assert keys(chart)["data"].keys() == first.keys()
    assert not set(keys(chart)["data"].values()) & set(first.values())
    file = chart / "templates/secret.yaml"
    asked = 'lookup "v1" "Secret" $.Release.Namespace .'
    assert file.read_text().count(asked) == 1
    file.write_text(
        file.read_text().replace(asked, f'(dict "data" (fromJson `{json.dumps(first)}`))')
    )
    _render.cache_clear()
    assert keys(chart)["data"] == first


def test_variables_of_the_collector_come_as_values_and_as_secrets(
    rendered: dict[str, list[Object]],
) -> None:
    [container] = one(rendered["variables"], "Deployment")["spec"]["template"]["spec"]["containers"]
    certificate, headers = container["env"][-2:]
    assert certificate == {
        "name": "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "value": "/run/secrets/eventhub/ca.example/ca.crt",
    }
    assert headers == {
        "name": "OTEL_EXPORTER_OTLP_HEADERS",
        "valueFrom": {"secretKeyRef": {"name": "eventhub-otel", "key": "headers"}},
    }


def test_a_pod_is_killed_only_after_it_has_drained(rendered: dict[str, list[Object]]) -> None:
    for name, objects in rendered.items():
        spec = one(objects, "Deployment")["spec"]["template"]["spec"]
        before = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        shutdown = DRAIN | yaml_text.read(one(objects, "ConfigMap")["data"]["eventhub.yaml"]).get(
            "shutdown", {}
        )
        assert spec["terminationGracePeriodSeconds"] == math.ceil(
            before + shutdown["spread"] + shutdown["grace"] + 10
        ), name


def test_the_drain_of_the_chart_is_that_of_the_settings() -> None:
    assert ShutdownSettings().model_dump().items() >= DRAIN.items()


def test_pods_on_a_shared_broker_overlap_in_a_roll_out_and_others_do_not(
    rendered: dict[str, list[Object]],
) -> None:
    for name in CI:
        spec = one(rendered[name], "Deployment")["spec"]
        assert spec["minReadySeconds"] == 30
        if name in SHARED:
            assert spec["strategy"] == {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            }
        else:
            assert spec["strategy"] == {"type": "Recreate"}


def test_a_changed_configuration_replaces_the_pods() -> None:
    def checksum(values: Object) -> str:
        annotations = one(render(values), "Deployment")["spec"]["template"]["metadata"][
            "annotations"
        ]
        return str(annotations["checksum/config"])

    base = ci("memory")
    assert checksum(base) == checksum(merged(base, {"service": {"port": 81}}))
    assert (
        len(
            {
                checksum(merged(base, change))
                for change in ({}, {"config": {"heartbeat": 20}}, {"schemas": {"a.json": "{}"}})
            }
        )
        == 3
    )


def test_probes_include_the_broker_until_the_pod_was_ready_once(
    rendered: dict[str, list[Object]],
) -> None:
    for objects in rendered.values():
        container = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
        asked = {
            kind: container[f"{kind}Probe"]["httpGet"]["path"]
            for kind in ("startup", "liveness", "readiness")
        }
        assert asked == {
            "startup": "/readyz",
            "liveness": "/livez",
            "readiness": "/readyz?exclude=broker",
        }
        secure = "tls:" in one(objects, "ConfigMap")["data"]["eventhub.yaml"]
        schemes = {container[f"{kind}Probe"]["httpGet"]["scheme"] for kind in asked}
        assert schemes == {"HTTPS" if secure else "HTTP"}


def test_the_deployment_has_a_number_of_pods_only_without_autoscaling(
    rendered: dict[str, list[Object]],
) -> None:
    for objects in rendered.values():
        scaled = "HorizontalPodAutoscaler" in {each["kind"] for each in objects}
        assert ("replicas" in one(objects, "Deployment")["spec"]) != scaled


@pytest.mark.parametrize(("running", "kept"), [(1, 3), (3, 3), (7, 7)])
def test_an_upgrade_with_autoscaling_keeps_the_present_number_of_pods(
    tmp_path: Path, running: int, kept: int
) -> None:
    """`helm template` asks no cluster.

    A copy of the chart has the answer that a cluster would give. tests.deploy.__main__ asks an API
    server.
    """
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    file = chart / "templates/_pod.tpl"
    asked = 'lookup "apps/v1" "Deployment" .Release.Namespace (include "eventhub.fullname" .)'
    assert file.read_text().count(asked) == 1
    file.write_text(file.read_text().replace(asked, f'(dict "spec" (dict "replicas" {running}))'))
    assert one(render(ci("redis"), chart=chart), "Deployment")["spec"]["replicas"] == kept


def test_it_scales_by_connections_and_by_cpu(rendered: dict[str, list[Object]]) -> None:
    spec = one(rendered["by both"], "HorizontalPodAutoscaler")["spec"]
    pod, resource = spec["metrics"]
    assert pod["pods"] == {
        "metric": {"name": "eventhub_connections"},
        "target": {"type": "AverageValue", "averageValue": "10000"},
    }
    assert resource["resource"] == {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 80},
    }
    assert spec["behavior"]["scaleDown"]["policies"] == [
        {"type": "Pods", "value": 1, "periodSeconds": 600}
    ]


def test_it_scales_by_connections_alone_by_default(
    rendered: dict[str, list[Object]],
) -> None:
    """A node with hardly any load would already use a large share of the little CPU that is
    requested by default.
    """
    assert [
        metric["type"]
        for metric in one(rendered["redis"], "HorizontalPodAutoscaler")["spec"]["metrics"]
    ] == ["Pods"]


def test_streams_are_neither_buffered_nor_cut_by_nginx(rendered: dict[str, list[Object]]) -> None:
    annotations = one(rendered["redis"], "Ingress")["metadata"]["annotations"]
    told = {
        name.removeprefix("nginx.ingress.kubernetes.io/"): value
        for name, value in annotations.items()
    }
    assert told["proxy-buffering"] == told["proxy-request-buffering"] == "off"
    assert told["proxy-body-size"] == "0"
    assert int(told["proxy-read-timeout"]) > 25 < int(told["proxy-send-timeout"])


def test_nginx_gives_a_publish_to_one_node_only(rendered: dict[str, list[Object]]) -> None:
    assert (
        one(rendered["redis"], "Ingress")["metadata"]["annotations"][
            "nginx.ingress.kubernetes.io/proxy-next-upstream"
        ]
        == "off"
    )


def test_the_user_s_annotations_replace_those_of_the_controller(
    rendered: dict[str, list[Object]],
) -> None:
    annotations = one(rendered["alb"], "Ingress")["metadata"]["annotations"]
    assert annotations["alb.ingress.kubernetes.io/target-type"] == "instance"
    assert annotations["alb.ingress.kubernetes.io/healthcheck-path"] == "/readyz"


def test_a_load_balancer_shows_the_addresses_of_clients_unless_told_otherwise(
    rendered: dict[str, list[Object]],
) -> None:
    assert one(rendered["sqlite"], "Service")["spec"]["externalTrafficPolicy"] == "Local"
    assert one(rendered["a node port"], "Service")["spec"]["externalTrafficPolicy"] == "Local"
    assert (
        one(rendered["a proxy before it"], "Service")["spec"]["externalTrafficPolicy"] == "Cluster"
    )
    assert "externalTrafficPolicy" not in one(rendered["memory"], "Service")["spec"]


def test_a_route_has_no_time_limit(rendered: dict[str, list[Object]]) -> None:
    [rule] = one(rendered["nats"], "HTTPRoute")["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}


def test_alerts_and_dashboards_of_the_chart_are_embedded_whole(
    rendered: dict[str, list[Object]],
) -> None:
    rules = yaml_text.read((CHART / "files/alerts.yaml").read_text())
    assert one(rendered["redis"], "PrometheusRule")["spec"] == rules
    assert rules["groups"]
    [dashboards] = [
        each for each in rendered["redis"] if each["metadata"]["name"] == "hub-eventhub-dashboards"
    ]
    files = {
        f"eventhub-{path.name}": path.read_text()
        for path in (CHART / "files/dashboards").glob("*.json")
    }
    assert files
    assert {name: text.strip() for name, text in dashboards["data"].items()} == {
        name: text.strip() for name, text in files.items()
    }
    assert dashboards["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert sum(map(len, dashboards["data"].values())) < 1024 * 1024, "a ConfigMap holds no more"


def test_the_sqlite_file_is_on_a_claim_that_outlives_the_release(
    rendered: dict[str, list[Object]],
) -> None:
    claim, spec = (
        one(rendered["sqlite"], "PersistentVolumeClaim"),
        one(rendered["sqlite"], "Deployment")["spec"]["template"]["spec"],
    )
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    [volume] = [volume for volume in spec["volumes"] if volume["name"] == "data"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert {"name": "data", "mountPath": "/var/lib/eventhub"} in spec["containers"][0][
        "volumeMounts"
    ]
    assert "PersistentVolumeClaim" not in {each["kind"] for each in rendered["a claim that exists"]}
