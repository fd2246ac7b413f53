"""WebRTC for the node: many sessions on one UDP port, media in and out without decoding it.

ICE, DTLS and SRTP are aiortc's and aioice's; what carries each media packet is ours, because that
is where their time goes. Pure: `sdp`, `negotiation`, `rtp`, `rtcp`, `h264`, `order`, `reception`,
`clock`, `twcc`, `estimate`, `receiver`. Around them: `udpmux` (the socket), `transport` (one
peer's ICE, DTLS and SRTP), `publishing` and `playing` (the two kinds of session), `feed` (one
stream's packets, packed once for all its viewers), `endpoint` (all sessions together).

It knows nothing of HTTP; `server.edge.webrtc` does, and is its only caller.
"""
