"""The process: start, workers, listeners, certificates, its own metrics."""
