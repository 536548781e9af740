"""Values that the chart refuses, and the messages."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from eventhub.events.builtin_payloads import BUILT_IN
from tests.deploy.chart import CHART, CI, Object, ci, merged, refusal, render
from tests.deploy.switches import ALL
from tests.deploy.values_page import documented, values_page
from tests.deploy.values_schema import FILE, values_schema
from tests.harness import yaml_text

DEFAULTS: Object = yaml_text.read((CHART / "values.yaml").read_text())
SCHEMA: Object = json.loads(FILE.read_text())
UNWORKABLE: dict[str, tuple[str, Object, str]] = {
    "nobody is named": (
        "memory",
        {"config": {"auth": None}, "keysSecret": {"create": False}},
        "key new first --publish '>' --subscribe '>' --operator",
    ),
    "an empty auth": (
        "memory",
        {"config": {"auth": {"keys": []}}, "keysSecret": {"create": False}},
        "expected config.auth",
    ),
    "keys here and there": (
        "memory",
        {"keysSecret": {"name": "eventhub-keys"}},
        "there are config.auth.keys and keysSecret.name",
    ),
    "two on memory": ("memory", {"replicas": 2}, "replicas is 2 on the memory broker"),
    "two on sqlite": ("sqlite", {"replicas": 2}, "replicas is 2 on the sqlite broker"),
    "scaled on memory": (
        "memory",
        {"autoscaling": {"enabled": True}},
        "autoscaling is enabled on the memory broker",
    ),
    "scaled on sqlite": (
        "sqlite",
        {"autoscaling": {"enabled": True}},
        "autoscaling is enabled on the sqlite broker",
    ),
    "workers on memory": (
        "memory",
        {"config": {"workers": 4}},
        "config.workers is 4 on the memory broker",
    ),
    "a file elsewhere": (
        "memory",
        {"config": {"broker": "sqlite:///events.db"}},
        "expected sqlite:////var/lib/eventhub/events.db",
    ),
    "a way out": (
        "sqlite",
        {"config": {"broker": "sqlite:////var/lib/eventhub/../../tmp/x"}},
        "which is not on the volume",
    ),
    "a password": (
        "nats",
        {"config": {"broker": "nats://hub:s3cret@nats:4222"}},
        "expected a Secret with the address",
    ),
    "a password among the options": (
        "nats",
        {"config": {"broker": "redis+sentinel://sentinel/hub?sentinel_password=s3cret"}},
        "expected a Secret with the address",
    ),
    "metrics for everybody": (
        "redis",
        {"config": {"auth": {"public_metrics": True}}},
        "everybody who reaches the service from outside",
    ),
    "a key in a variable": (
        "memory",
        {"env": [{"name": "OTEL_EXPORTER_OTLP_HEADERS", "value": "api-key=s3cret"}]},
        (
            "env has the value of OTEL_EXPORTER_OTLP_HEADERS, where everybody reads it; "
            "expected secret: {name, key}"
        ),
    ),
    "a password in a variable": (
        "memory",
        {"env": [{"name": "HTTPS_PROXY", "value": "http://a:s3cret@proxy"}]},
        "of HTTPS_PROXY, where",
    ),
    "two brokers": (
        "redis",
        {"config": {"broker": "redis://redis"}},
        "there are config.broker and brokerSecret",
    ),
    "fewer than the least": (
        "redis",
        {"autoscaling": {"maxReplicas": 2}},
        "maxReplicas is 2; expected at least minReplicas, 3",
    ),
    "scaled by nothing": (
        "redis",
        {"autoscaling": {"connections": None, "cpu": None}},
        "neither connections nor cpu",
    ),
    "an ingress for no name": ("redis", {"ingress": {"hosts": []}}, "ingress.hosts is empty"),
    "a route to no gateway": (
        "nats",
        {"httpRoute": {"parentRefs": []}},
        "httpRoute.parentRefs is empty",
    ),
    "clients behind one address": (
        "redis",
        {"config": {"proxies": []}},
        "config.proxies is empty behind a proxy",
    ),
    "the same behind a gateway": (
        "nats",
        {"config": {"proxies": []}},
        "config.proxies is empty behind a proxy",
    ),
    "clients as one machine": (
        "sqlite",
        {"service": {"externalTrafficPolicy": "Cluster"}},
        (
            "service.externalTrafficPolicy is Cluster, so clients would come from addresses of "
            "machines"
        ),
    ),
    "metrics behind a door": (
        "redis",
        {"serviceMonitor": {"key": {"name": ""}}},
        "expected serviceMonitor.key.name",
    ),
    "metrics of a stranger": (
        "sqlite",
        {"serviceMonitor": {"tls": {"serverName": ""}}},
        "expected serviceMonitor.tls.serverName",
    ),
    "no way to the broker": (
        "redis",
        {"networkPolicy": {"to": []}},
        "pods could not reach the broker; expected rules",
    ),
    "no way to the issuer": (
        "nats",
        {"networkPolicy": {"enabled": True}},
        "pods could not reach the broker, config.auth.tokens.jwks",
    ),
    "a schema that is not there": (
        "memory",
        {"schemas": None},
        "config.channels.orders.payload is order.json, and schemas has no such file",
    ),
    "a model that is none": (
        "memory",
        {"config": {"channels": {"chat": {"payload": "chatt"}}}},
        "payload is chatt; expected one of alertmanager, chat",
    ),
    "no room for the history": (
        "memory",
        {"resources": {"requests": {"memory": "128Mi"}, "limits": {"memory": "128Mi"}}},
        "resources.limits.memory is 128Mi; expected at least 384Mi",
    ),
    "no room for a larger one": (
        "memory",
        {"config": {"limits": {"history_bytes": 2**30}}},
        "memory is 1Gi; expected at least 1152Mi",
    ),
    "no room at all": (
        "redis",
        {"resources": {"limits": {"memory": 1e8}}},
        "memory is 100000000; expected at least 128Mi",
    ),
    "a test nowhere": (
        "memory",
        {"test": {"channel": "iot.test"}},
        "config.channels has no iot; expected a channel of chat, orders",
    ),
}
MISTAKES: dict[str, tuple[Object, str]] = {
    "an unknown value": ({"replicaCount": 3}, "replicaCount"),
    "an unknown one below": ({"service": {"portt": 80}}, "portt"),
    "an unknown setting": ({"config": {"limits": {"depht": 3}}}, "depht"),
    "a setting of the chart": ({"config": {"host": "::"}}, "host"),
    "a certificate by its path": ({"config": {"tls": {"certificate": "/x"}}}, "tls"),
    "a secret itself": (
        {"config": {"auth": {"tokens": {"keys": [{"algorithm": "HS256", "secret": "x" * 32}]}}}},
        "secret",
    ),
    "a key itself": (
        {"config": {"auth": {"keys": [{"name": "a", "hash": "ehk_" + "x" * 40}]}}},
        "hash",
    ),
    "a bound out of bounds": ({"config": {"limits": {"depth": 0}}}, "depth"),
    "another broker": ({"config": {"broker": "kafka://kafka"}}, "broker"),
    "a setting as a variable": (
        {"env": [{"name": "EVENTHUB_INSECURE", "value": "true"}]},
        "env.0.name",
    ),
    "a variable without a value": ({"env": [{"name": "OTEL_SERVICE_NAME"}]}, "env.0"),
    "a number in words": ({"replicas": "three"}, "replicas"),
    "a name that is none": ({"brokerSecret": {"name": "My Secret"}}, "name"),
}


@pytest.mark.parametrize("name", UNWORKABLE)
def test_a_configuration_that_cannot_work_is_refused_with_one_that_would(name: str) -> None:
    base, change, told = UNWORKABLE[name]
    assert told in refusal(merged(ci(base), change))


def test_the_refusal_of_an_installation_without_keys_says_how_to_make_one() -> None:
    assert "docker run --rm ghcr.io/eventhub/eventhub:0.1.0 key new first" in refusal(
        {"keysSecret": {"create": False}}
    )


@pytest.mark.parametrize(
    "values", [{"replicas": 2}, {"config": {"workers": 2}}, {"autoscaling": {"enabled": True}}]
)
def test_with_keys_made_by_the_chart_nodes_still_cannot_share_the_memory_broker(
    values: Object,
) -> None:
    assert "on the memory broker, which" in refusal(values)


def test_a_service_monitor_needs_the_name_of_a_key_even_if_the_chart_makes_keys() -> None:
    assert "expected serviceMonitor.key.name" in refusal({"serviceMonitor": {"enabled": True}})


@pytest.mark.parametrize(
    "payload", [*BUILT_IN, "json", "hub.models:Order", "/run/secrets/eventhub/schemas/order.json"]
)
def test_payloads_that_the_image_may_have_are_taken(payload: str) -> None:
    assert render(merged(ci("memory"), {"config": {"channels": {"chat": {"payload": payload}}}}))


@pytest.mark.parametrize("memory", ["384Mi", "0.375Gi", 402653184, "402653184000m", "403M"])
def test_the_memory_limit_may_be_given_in_any_unit(memory: str | int) -> None:
    assert render(merged(ci("memory"), {"resources": {"limits": {"memory": memory}}}))


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_refused_by_the_schema(name: str) -> None:
    change, told = MISTAKES[name]
    refused = refusal(merged(ci("memory"), change))
    assert "values don't meet the specifications of the schema" in refused
    assert told in refused


@pytest.mark.parametrize(
    "name",
    [
        "a password",
        "a password among the options",
        "a key in a variable",
        "a password in a variable",
    ],
)
def test_a_refusal_shows_no_password(name: str) -> None:
    base, change, _ = UNWORKABLE[name]
    assert "s3cret" in str(change)
    assert "s3cret" not in refusal(merged(ci(base), change))


def test_the_schema_of_config_is_that_of_the_code() -> None:
    assert FILE.read_text() == values_schema(), "run `make docs`"


def test_the_schema_takes_what_the_chart_has_and_what_its_tests_use() -> None:
    validator = jsonschema_rs.Draft7Validator(SCHEMA)
    for values in [DEFAULTS, *map(ci, CI), *(merged(DEFAULTS, values) for values in ALL.values())]:
        assert not [str(fault) for fault in validator.iter_errors(values)]


def schemas(node: Any, path: str = "") -> Iterator[tuple[str, Object]]:
    """Every schema in it that describes an object."""
    if isinstance(node, list):
        for number, item in enumerate(node):
            yield from schemas(item, f"{path}/{number}")
    elif isinstance(node, dict):
        if node.get("type") == "object":
            yield path, node
        for key, value in node.items():
            yield from schemas(value, f"{path}/{key}")


def test_no_object_takes_any_key_but_labels_and_the_like() -> None:
    anything = {
        path for path, schema in schemas(SCHEMA) if schema.get("additionalProperties") is not False
    }
    assert anything == {
        "/properties/global",
        "/properties/schemas",
        "/definitions/strings",
        "/properties/config/properties/channels",
    }
    assert SCHEMA["definitions"]["strings"]["additionalProperties"] == {"type": "string"}


def test_every_value_has_a_schema_and_every_schema_a_value() -> None:
    def keys(values: Object, schema: Object, path: str) -> Iterator[str]:
        if "$ref" in schema:
            schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
        if schema.get("type") != "object" or not values:
            return
        if "properties" in schema:
            yield from (f"{path}.{key}" for key in set(values) ^ set(schema["properties"]))
            for key in set(values) & set(schema["properties"]):
                yield from keys(values[key], schema["properties"][key], f"{path}.{key}")

    assert sorted(keys(DEFAULTS, SCHEMA, "")) == [
        ".global",
        ".resources.limits.cpu",
        ".resources.limits.ephemeral-storage",
        ".resources.requests.ephemeral-storage",
    ]


def test_the_page_of_values_is_that_of_their_comments() -> None:
    assert (CHART / "README.md").read_text() == values_page(), "run `make docs`"


def test_every_value_is_explained() -> None:
    assert not [
        value.path
        for value in documented()
        if not value.meaning and not isinstance(value.default, dict)
    ]
