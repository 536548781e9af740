"""Filters of events: expressions in the Common Expression Language (CEL). No I/O."""
