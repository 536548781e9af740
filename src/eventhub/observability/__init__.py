"""Metrics, traces and the set-up of logs."""
