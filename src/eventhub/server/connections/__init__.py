"""All open connections: identity, deadlines, drain, operators' view."""
