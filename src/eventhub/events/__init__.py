"""What is published: events, channel types, payload schemas."""
