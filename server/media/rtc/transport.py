"""One peer's secure transport: ICE finds the way, DTLS makes the keys, SRTP carries the media.

aiortc and aioice do the first two, as they stand. Media goes around their queues and objects:
each packet is decrypted in place and handed on within the call that the socket makes. Owned by a
session, which calls `connect`, then sends, then `close`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from aioice import Candidate
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceTransport
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcicetransport import RTCIceParameters
from pylibsrtp import Error as SrtpError
from pylibsrtp import Session as SrtpSession
from pylibsrtp._binding import ffi, lib

from server.media.rtc import rtcp, rtp
from server.media.rtc.muxed_ice import MuxConnection, MuxGatherer
from server.media.rtc.negotiation import Offer
from server.media.rtc.udpmux import UdpMux

# Candidates in an offer and trickled together. Each costs checks to an address of their choosing.
REMOTE_CANDIDATES_MAX: Final = 32

# libsrtp works in a buffer of this size; no path that WebRTC uses carries more.
_PACKET_MAX_BYTES: Final = 1500
_RTCP_FIRST, _RTCP_LAST = 192, 223


class NotConnected(ConnectionError):
    """The transport did not come up. Its text says how far it got."""


class _Dtls(RTCDtlsTransport):
    """aiortc's DTLS, with a last flight that leaves at once."""

    async def _do_handshake(self) -> None:
        await super()._do_handshake()
        if self.encrypted:
            # As a server our last flight is written by the step that completes the handshake;
            # left where it is, the client would wait for a retransmission.
            await self._write_ssl()


class SecureTransport:
    """The way to one peer.

    Attributes:
        on_rtp: Called with each decrypted packet, its header, and the time.
        on_rtcp: Called with what a decrypted RTCP packet says, and the time.
        on_closed: Called with the reason when the peer closes or goes silent.
        undecryptable: Packets that failed authentication or were replayed.
    """

    def __init__(self, mux: UdpMux, certificate: RTCCertificate, *, hosts: list[str]) -> None:
        self.on_rtp: Callable[[bytes, rtp.Header, float], None] | None = None
        self.on_rtcp: Callable[[list[rtcp.Message], float], None] | None = None
        self.on_closed: Callable[[str], None] | None = None
        self.undecryptable = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self._connection = MuxConnection(mux, hosts=hosts)
        self._connection.on_consent_lost = lambda: self._closed("connection_lost")
        self._gatherer = MuxGatherer(self._connection)
        self._ice = RTCIceTransport(self._gatherer)
        self._dtls = _Dtls(self._ice, [certificate])
        self._inbound: _Cipher | None = None
        self._outbound: _Cipher | None = None
        self._candidates = 0
        self._remote_end = False

    @property
    def ufrag(self) -> str:
        return self._connection.local_username

    @property
    def password(self) -> str:
        return self._connection.local_password

    @property
    def candidates(self) -> tuple[str, ...]:
        return tuple(each.to_sdp() for each in self._connection.local_candidates)

    @property
    def fingerprint(self) -> str:
        parameters = self._dtls.getLocalParameters()
        return next(f.value for f in parameters.fingerprints if f.algorithm == "sha-256")

    @property
    def ready(self) -> bool:
        return self._outbound is not None

    async def gather(self) -> None:
        await self._gatherer.gather()

    async def add_candidates(self, lines: tuple[str, ...], *, complete: bool) -> None:
        """Adds the peer's candidates. What we cannot use is ignored, as RFC 9725 asks.

        A name (mDNS) is such: the peer's own checks tell us the address behind it.
        """
        for line in lines:
            candidate = _candidate(line)
            if candidate is None or self._remote_end or self._candidates >= REMOTE_CANDIDATES_MAX:
                continue
            self._candidates += 1
            await self._connection.add_remote_candidate(candidate)
        # With nothing usable named, the peer must be found by its checks: that is no end.
        if complete and self._candidates and not self._remote_end:
            self._remote_end = True
            await self._connection.add_remote_candidate(None)

    async def connect(self, offer: Offer) -> None:
        """Finds a path and agrees on keys.

        Raises:
            NotConnected: It did not work out. There is no deadline here; the caller has one.
        """
        parameters = RTCIceParameters(
            usernameFragment=offer.ice_ufrag, password=offer.ice_pwd, iceLite=offer.ice_lite
        )
        self._connection.ice_controlling = offer.ice_lite
        await self._ice.start(parameters)
        if self._ice.state != "completed":
            raise NotConnected("no network path to the client was found")
        self._dtls._set_role(offer.dtls_role)
        fingerprints = [RTCDtlsFingerprint(*each) for each in offer.fingerprints]
        await self._dtls.start(RTCDtlsParameters(fingerprints=fingerprints))
        if self._dtls.state != "connected":
            raise NotConnected("the DTLS handshake failed")
        self._dtls.on("statechange", self._dtls_changed)
        self._inbound = _Cipher(self._dtls._rx_srtp)
        self._outbound = _Cipher(self._dtls._tx_srtp)
        self._connection.open_media(self._received)

    async def close(self) -> None:
        """Says goodbye to the peer and gives everything back. Safe in any state."""
        self._connection.on_media = None
        self._inbound = self._outbound = None
        self.on_rtp = self.on_rtcp = self.on_closed = None
        self._dtls.remove_all_listeners()
        reading = self._dtls._task
        await self._dtls.stop()
        if reading is not None:
            await asyncio.gather(reading, return_exceptions=True)
        await self._ice.stop()

    def send_rtp(self, header: bytes, payload: bytes) -> None:
        """Encrypts and sends one packet, at once; silently nothing before `ready`."""
        cipher, peer = self._outbound, self._connection.peer
        if cipher is not None and peer is not None:
            data = cipher.protect(header, payload)
            if data:
                self.bytes_out += len(data)
                self._connection.send_now(data, peer)

    def send_rtcp(self, packet: bytes) -> None:
        peer = self._connection.peer
        if self._outbound is None or peer is None:
            return
        try:
            data = self._dtls._tx_srtp.protect_rtcp(packet)
        except SrtpError:
            return
        self._connection.send_now(data, peer)

    def _received(self, data: bytes) -> None:
        cipher = self._inbound
        size = len(data)
        if cipher is None or size > _PACKET_MAX_BYTES or size < rtp.HEADER_BYTES:
            return
        self.bytes_in += size
        now = time.monotonic()
        if _RTCP_FIRST <= data[1] <= _RTCP_LAST:
            try:
                plain = self._dtls._rx_srtp.unprotect_rtcp(data)
            except SrtpError:
                self.undecryptable += 1
                return
            if self.on_rtcp is not None:
                self.on_rtcp(rtcp.parse(plain), now)
            return
        packet = cipher.unprotect(data, size)
        if packet is None:
            self.undecryptable += 1
            return
        header = rtp.parse(packet)
        if header is not None and self.on_rtp is not None:
            self.on_rtp(packet, header, now)

    def _dtls_changed(self) -> None:
        if self._dtls.state in ("closed", "failed"):
            self._closed("client_closed")

    def _closed(self, reason: str) -> None:
        on_closed, self.on_closed = self.on_closed, None
        if on_closed is not None:
            on_closed(reason)


class _Cipher:
    """One direction of SRTP without pylibsrtp's per-packet allocations."""

    def __init__(self, session: SrtpSession) -> None:
        self._session = session  # keeps what the pointers below point into
        self._context = session._srtp[0]
        self._data = session._cdata
        self._buffer = session._buffer
        self._size = ffi.new("int *")

    def unprotect(self, data: bytes, size: int) -> bytes | None:
        self._buffer[0:size] = data
        self._size[0] = size
        if lib.srtp_unprotect(self._context, self._data, self._size):
            return None
        plain: bytes = self._buffer[0 : self._size[0]]
        return plain

    def protect(self, header: bytes, payload: bytes) -> bytes | None:
        start = len(header)
        size = start + len(payload)
        self._buffer[0:start] = header
        self._buffer[start:size] = payload
        self._size[0] = size
        if lib.srtp_protect(self._context, self._data, self._size):
            return None
        packet: bytes = self._buffer[0 : self._size[0]]
        return packet


def _candidate(line: str) -> Candidate | None:
    try:
        candidate = Candidate.from_sdp(line)
    except ValueError:
        return None
    usable = (
        candidate.transport.lower() == "udp"
        and candidate.component == 1
        and 0 < candidate.port < 1 << 16
        and _is_ipv4(candidate.host)
    )
    return candidate if usable else None


def _is_ipv4(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and all(p.isdigit() and int(p) < 256 for p in parts)
