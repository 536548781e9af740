"""What a subscriber, a channel, an event, a request and a node cost, and what a load takes."""
