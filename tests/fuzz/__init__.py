"""Nonsense thrown at what faces the network. `make fuzz` runs it for longer than the tests do."""
