"""The orchestrator: sells work. Takes live jobs, keeps their channels, lends them runners."""
