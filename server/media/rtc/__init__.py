"""WebRTC for the node: many sessions on one UDP port, media in and out without decoding it.

ICE, DTLS and SRTP are aiortc's and aioice's; what carries each media packet is ours, because that
is where their time goes. Pure: `sdp`, `negotiation`, `rtp`, `rtcp`, `h264`, `order`, `reception`,
`clock`, `twcc`, `estimate`, `receiver`, `sender`, `feed` (one stream's packets, packed once for
all its viewers). Around them: `udpmux` (the socket), `muxed_ice` (ICE on it), `transport` (one
peer's ICE, DTLS and SRTP), `session`, `publishing` and `playing` (the life of a session and its
two kinds), `endpoint` (all sessions together).

It knows nothing of HTTP; `server.edge.webrtc` does, and is its only caller.
"""
