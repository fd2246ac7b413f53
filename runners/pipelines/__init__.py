"""The pipelines that ship: effects that one CPU core runs at 720p30, with no weights to fetch.

`registry` finds them by name; each other module is one effect, or something two effects share.
"""
