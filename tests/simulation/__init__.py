"""Many nodes in one process, on a clock of the simulation's own (RESULTS.md)."""
