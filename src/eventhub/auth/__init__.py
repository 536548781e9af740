"""Identity and rights of a client: grants, principals, API keys and tokens.

No I/O; the clock is an argument.
"""
