"""Who someone is and what they may do: grants, principals, API keys and tokens. No I/O; the clock is an argument."""
