"""The Grafana dashboards, as code: what is in helm/eventhub/files/dashboards is made here, by `make docs`.

Grafana's own types (grafana-foundation-sdk) say which fields there are; what is asked of Prometheus stands in one file per dashboard.
"""
