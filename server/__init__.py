"""The node: gateway, orchestrator and the edges between them and the people who stream."""
