"""Programs as users of the Python client write them. They import nothing of the server."""
