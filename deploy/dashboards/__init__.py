"""The Grafana dashboards, as code. `make docs` writes them into helm/eventhub/files/dashboards.

Grafana's own types (grafana-foundation-sdk) define the fields. The queries to Prometheus stand in
one file per dashboard.
"""
