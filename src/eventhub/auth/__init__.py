"""Who a client is and what it may do: grants, principals, API keys and tokens.

No I/O; the clock is an argument.
"""
