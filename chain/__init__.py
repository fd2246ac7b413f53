"""Tickets and money on Arbitrum. The node runs off-chain until this package holds them."""
