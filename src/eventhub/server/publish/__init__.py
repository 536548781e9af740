"""POST and PUT to a channel."""
