"""Subscribing over HTTP: streams of Server-Sent Events and of NDJSON lines."""
