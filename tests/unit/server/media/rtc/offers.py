"""Offers as real clients make them, shortened to what matters, and ways to spoil them."""

FINGERPRINT = ":".join(["AB"] * 32)

_TRANSPORT = f"""a=ice-ufrag:9xKp
a=ice-pwd:7Rq9s0M2bVtY4wZ1xC3vB5nM
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
"""

VIDEO = f"""m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 104 105
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1 1 udp 2113937151 192.168.1.7 50123 typ host generation 0
{_TRANSPORT}a=mid:1
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=DIRECTION
a=msid:s0 v0
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:102 H264/90000
a=rtcp-fb:102 goog-remb
a=rtcp-fb:102 transport-cc
a=rtcp-fb:102 ccm fir
a=rtcp-fb:102 nack
a=rtcp-fb:102 nack pli
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=rtpmap:104 H264/90000
a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f
a=rtpmap:105 rtx/90000
a=fmtp:105 apt=104
a=ssrc:1111 cname:c
a=ssrc:2222 cname:c
"""

AUDIO = f"""m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9
c=IN IP4 0.0.0.0
{_TRANSPORT}a=mid:0
a=DIRECTION
a=msid:s0 a0
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=rtpmap:9 G722/8000
"""

HEAD = """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic: WMS s0
"""


def publish_offer() -> str:
    """Chromium's, with camera and microphone."""
    return crlf(HEAD + (AUDIO + VIDEO).replace("DIRECTION", "sendonly"))


def play_offer() -> str:
    """Chromium's, with two receiving transceivers."""
    text = HEAD + AUDIO + VIDEO
    return crlf(text.replace("DIRECTION", "recvonly").replace("a=msid:s0 a0\n", ""))


def crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def without(text: str, start: str) -> str:
    """`text` without the lines that begin with `start`."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(start))
