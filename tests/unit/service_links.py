"""Variables that Kubernetes sets for a Service."""

LINKS = {
    "EVENTHUB_SERVICE_HOST": "10.0.0.1",
    "EVENTHUB_SERVICE_PORT": "80",
    "EVENTHUB_SERVICE_PORT_HTTP_ALT": "80",
    "EVENTHUB_PORT": "tcp://10.0.0.1:80",
    "EVENTHUB_PORT_80_TCP": "tcp://10.0.0.1:80",
    "EVENTHUB_PORT_80_TCP_PROTO": "tcp",
    "EVENTHUB_PORT_80_TCP_PORT": "80",
    "EVENTHUB_PORT_80_TCP_ADDR": "10.0.0.1",
}
"""What a pod of Kubernetes has for a Service named eventhub
(https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables)."""
