"""Values that turn each block of the chart on and off, in addition to those in ci/."""

from tests.deploy.chart import CI, Object, ci, merged

FIRST = ci("memory")["config"]["auth"]
NETWORK = {"proxies": ["10.0.0.0/8"]}
CHANGES: dict[str, tuple[str, Object]] = {
    "a trusted network": (
        "memory",
        {"config": {"auth": None, "insecure": True}, "test": {"key": {"name": ""}}},
    ),
    "keys that are made": ("memory", {"config": {"auth": None}, "test": {"key": {"name": ""}}}),
    "no keys are made": ("memory", {"keysSecret": {"create": False}}),
    "keys in a Secret": (
        "memory",
        {"config": {"auth": None}, "keysSecret": {"name": "eventhub-keys", "key": "auth.json"}},
    ),
    "no test": ("memory", {"test": {"key": {"name": ""}}}),
    "another test": (
        "memory",
        {
            "test": {
                "channel": "orders.test",
                "event": '{"id": 1}',
                "key": {"name": "orders", "key": "producer"},
            }
        },
    ),
    "names": ("memory", {"nameOverride": "events", "replicas": 0}),
    "a long name": (
        "redis",
        {
            "fullnameOverride": "a" + "-long" * 10,
            "dashboards": {"annotations": {"grafana_folder": "EventHub"}},
        },
    ),
    "another image": (
        "memory",
        {"image": {"repository": "registry.example/hub", "tag": "1.2.3-x", "pullPolicy": "Always"}},
    ),
    "its own account": (
        "memory",
        {"serviceAccount": {"name": "hub", "annotations": {"iam.example/role": "hub"}}},
    ),
    "another's account": ("memory", {"serviceAccount": {"create": False, "name": "theirs"}}),
    "no account": ("memory", {"serviceAccount": {"create": False}}),
    "a claim that exists": (
        "sqlite",
        {"persistence": {"existingClaim": "events", "accessMode": "ReadWriteOnce"}},
    ),
    "several certificates": (
        "redis",
        {
            "tls": {"secret": "hub-tls"},
            "secretFiles": ["eventhub-tokens", "ca.example"],
            "serviceMonitor": {"tls": {"serverName": "hub.example", "ca": "ca.crt"}},
        },
    ),
    "no autoscaling": ("redis", {"autoscaling": {"enabled": False}}),
    "by connections": ("redis", {"autoscaling": {"connections": 5000, "scaleDownSeconds": 120}}),
    "by CPU": (
        "redis",
        {"autoscaling": {"connections": None, "cpu": 60}, "resources": {"requests": {"cpu": 1}}},
    ),
    "by both": ("redis", {"autoscaling": {"cpu": 80}, "resources": {"requests": {"cpu": 1}}}),
    "one shared node": ("redis", {"autoscaling": {"enabled": False}, "replicas": 1}),
    "no budget": ("redis", {"podDisruptionBudget": {"enabled": False}}),
    "a broker without password": (
        "redis",
        {"brokerSecret": {"name": ""}, "config": {"broker": "redis://redis:6379"}},
    ),
    "a secret's other key": ("redis", {"brokerSecret": {"name": "hub", "key": "BROKER_URL"}}),
    "haproxy": (
        "redis",
        {"ingress": {"controller": "haproxy", "className": "haproxy", "tlsSecret": ""}},
    ),
    "alb": (
        "redis",
        {
            "ingress": {
                "controller": "alb",
                "annotations": {"alb.ingress.kubernetes.io/target-type": "instance"},
            }
        },
    ),
    "any controller": (
        "redis",
        {"ingress": {"controller": "", "className": "", "hosts": ["hub.example", "*.hub.example"]}},
    ),
    "no ingress": ("redis", {"ingress": {"enabled": False}}),
    "a route": (
        "memory",
        {
            "config": NETWORK,
            "httpRoute": {
                "enabled": True,
                "parentRefs": [{"name": "gw"}],
                "annotations": {"a": "b"},
            },
        },
    ),
    "open ports": ("redis", {"networkPolicy": {"from": []}}),
    "no policy": ("redis", {"networkPolicy": {"enabled": False}}),
    "public metrics": (
        "redis",
        {
            "config": {"auth": {"public_metrics": True}},
            "serviceMonitor": {"key": {"name": ""}, "interval": "1m"},
            "ingress": {"enabled": False},
        },
    ),
    "another key's name": ("redis", {"serviceMonitor": {"key": {"name": "ops", "key": "metrics"}}}),
    "no monitoring": (
        "redis",
        {
            "serviceMonitor": {"enabled": False},
            "prometheusRule": {"enabled": False},
            "dashboards": {"enabled": False},
        },
    ),
    "another sidecar": (
        "redis",
        {"dashboards": {"labels": {"grafana_dashboard": None, "dashboards": "yes"}}},
    ),
    "no spread": ("redis", {"topologySpread": {"host": "", "zone": ""}}),
    "faster": (
        "redis",
        {"rollout": {"maxSurge": "25%", "minReadySeconds": 5}, "preStopSeconds": 12},
    ),
    "a node port": ("memory", {"service": {"type": "NodePort", "annotations": {"a": "b"}}}),
    "a proxy before it": (
        "memory",
        {"config": NETWORK, "service": {"type": "NodePort", "externalTrafficPolicy": "Cluster"}},
    ),
    "as many as one machine has": (
        "memory",
        {
            "config": {"limits": {"connections_per_address": 20000}},
            "service": {"type": "LoadBalancer", "externalTrafficPolicy": "Cluster"},
        },
    ),
    "variables": (
        "memory",
        {
            "config": {"tracing": {"endpoint": "https://otel:4318"}},
            "secretFiles": ["ca.example"],
            "env": [
                {
                    "name": "OTEL_EXPORTER_OTLP_CERTIFICATE",
                    "value": "/run/secrets/eventhub/ca.example/ca.crt",
                },
                {
                    "name": "OTEL_EXPORTER_OTLP_HEADERS",
                    "secret": {"name": "eventhub-otel", "key": "headers"},
                },
            ],
        },
    ),
    "a long drain": ("memory", {"config": {"shutdown": {"grace": 30, "spread": 0}}}),
    "large bounds": (
        "memory",
        {"config": {"limits": {"history_bytes": 536870912, "connections": 1000000}}},
    ),
}
ALL = {name: ci(name) for name in CI} | {
    name: merged(ci(base), change) for name, (base, change) in CHANGES.items()
}
