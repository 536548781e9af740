"""The members of channels, and the subscribers that get their changes."""
