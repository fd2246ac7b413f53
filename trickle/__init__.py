"""Trickle: live byte streams over plain HTTP, as a library that knows nothing of what it carries.

`trickle.media` is the one exception, and nothing else here imports it: it holds the container
that media channels carry, because both ends of a media channel must agree on it.
"""
