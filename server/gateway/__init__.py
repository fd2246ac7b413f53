"""The gateway: takes streams in, has an orchestrator work on them, gives the results out."""
