"""Who is in a channel, and who is told of changes."""
