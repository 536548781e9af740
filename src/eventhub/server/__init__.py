"""Everything that talks to the network. `app` wires it together."""
