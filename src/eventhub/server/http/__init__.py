"""HTTP connections, below the routes."""
