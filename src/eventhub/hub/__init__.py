"""The channels of this node: publishing, subscriptions, and the other nodes."""
