"""The live runner: one stream of video in over trickle, transformed, and out again.

    trickle ─► inlet (decode) ─► turnstile (pacing, ring) ═► model process
                                                               ║
    trickle ◄─ outlet (encode, mux) ◄══════════ ring ══════════╝

`session` is one stream, `model` the model process with its supervision, `runner` both together,
`api` the HTTP contract, `process` what runs in the model process.
"""
