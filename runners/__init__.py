"""Runners: processes that compute. They speak HTTP and trickle outwards, link and ring inwards.

The light half (`spec`, `messages`, `health`, `pacing`, `link`, `host`, `pool`) may be imported by
a node; the heavy half (codecs, pipelines, anything with pixels) loads in child processes only.
"""
