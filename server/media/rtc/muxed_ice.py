"""ICE without a socket of its own: aioice's agent on the shared port of `udpmux`.

aioice opens a socket per session and address; here a session's `MuxConnection` takes its packets
from the mux. An address is learned only when a request from it has passed the integrity check with
the session's password, so nobody can divert another's packets by naming his username. Nothing of
aioice is replaced for others: these are subclasses, and `MuxGatherer` hands one to aiortc.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Final, cast

from aioice import Candidate, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, Connection, StunProtocol
from aiortc import RTCIceGatherer

from server.media.rtc.udpmux import Address, UdpMux

# A client changes its address when it moves between networks. More than these at a time is play.
ADDRESSES_PER_SESSION: Final = 16

# Handshake packets waiting for the session's task; it needs a handful.
HANDSHAKE_QUEUE_MAX: Final = 64

# Media that outruns the handshake's last step, kept until the keys are there.
EARLY_MEDIA_MAX: Final = 64

# A silent peer is noticed within this (RFC 7675 says at most 30 s; a streamer's viewers should
# not stare at a frozen picture for half a minute).
CONSENT_LOST_S: Final = 5.0
CONSENT_INTERVAL_S: Final = 1.5

_RTP_FIRST, _RTP_LAST = 128, 191
_DTLS_FIRST, _DTLS_LAST = 20, 63


class _SharedTransport:
    """What aioice takes for a socket of its own."""

    def __init__(self, mux: UdpMux, protocol: "MuxProtocol") -> None:
        self._mux = mux
        self._protocol = protocol
        self._closed = False

    def sendto(self, data: bytes, addr: Address) -> None:
        if not self._closed:
            self._mux.send(data, addr)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._protocol.detach()
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("0.0.0.0", self._mux.port) if name == "sockname" else default


class MuxProtocol(StunProtocol):
    """The STUN of one session."""

    receiver: "MuxConnection"

    def __init__(self, connection: "MuxConnection", mux: UdpMux) -> None:
        super().__init__(connection)
        self._mux = mux
        self.transport = cast("asyncio.DatagramTransport", _SharedTransport(mux, self))
        mux.join(connection.local_username, self)

    def detach(self) -> None:
        """The mux forgets this session."""
        self._mux.leave(self.receiver.local_username)
        self.receiver.forget_addresses()

    async def request(
        self,
        request: stun.Message,
        addr: Address,
        integrity_key: bytes | None = None,
        retransmissions: int | None = None,
    ) -> tuple[stun.Message, Address]:
        self._mux.begin_transaction(request.transaction_id, self)
        try:
            return await super().request(request, addr, integrity_key, retransmissions)
        finally:
            self._mux.end_transaction(request.transaction_id)


class MuxConnection(Connection):
    """The ICE agent of one session.

    Attributes:
        on_media: Called with each SRTP or SRTCP packet; None until the keys are there.
        on_consent_lost: Called once, when the peer has been silent for too long.
    """

    def __init__(self, mux: UdpMux, *, hosts: list[str]) -> None:
        # aioice's own names are four letters, of which two sessions of many may have the same.
        name = secrets.token_hex(8)
        super().__init__(ice_controlling=False, use_ipv6=False, local_username=name)
        self.on_media: Callable[[bytes], None] | None = None
        self.on_consent_lost: Callable[[], None] | None = None
        self._mux = mux
        self._hosts = hosts
        self._learned: dict[Address, None] = {}
        self._early: list[bytes] = []

    @property
    def peer(self) -> Address | None:
        """Where to send media; changes when the client moves to another path."""
        pair = self._nominated.get(1)
        return None if pair is None else pair.remote_addr

    async def gather_candidates(self) -> None:
        if self._local_candidates_start:
            return
        self._local_candidates_start = True
        protocol = MuxProtocol(self, self._mux)
        self._local_candidates = [
            Candidate(
                foundation=candidate_foundation("host", "udp", host),
                component=1,
                transport="udp",
                priority=candidate_priority(1, "host", 65535 - place),
                host=host,
                port=self._mux.port,
                type="host",
            )
            for place, host in enumerate(self._hosts)
        ]
        # One socket serves them all: which of its addresses a packet came to does not show.
        protocol.local_candidate = self._local_candidates[0]
        self._protocols.append(protocol)
        self._local_candidates_end = True

    def request_received(
        self, message: stun.Message, addr: Address, protocol: StunProtocol
    ) -> None:
        if (
            message.message_method != stun.Method.BINDING
            or "PRIORITY" not in message.attributes
            or not self._valid_username(str(message.attributes.get("USERNAME", "")))
            or not message.check_message_integrity(self.local_password.encode())
        ):
            # Unanswered: an error would make us a mirror for forged addresses.
            self._mux.strays += 1
            return
        if not self._closing:
            self._learn(addr)
        super().request_received(message, addr, protocol)

    def data_received(self, data: bytes, component: int) -> None:
        first = data[0]
        if _RTP_FIRST <= first <= _RTP_LAST:
            if self.on_media is not None:
                self.on_media(data)
            elif len(self._early) < EARLY_MEDIA_MAX:
                self._early.append(data)
        elif _DTLS_FIRST <= first <= _DTLS_LAST and self._queue.qsize() < HANDSHAKE_QUEUE_MAX:
            self._queue.put_nowait((data, component))

    def open_media(self, on_media: Callable[[bytes], None]) -> None:
        """Media goes to `on_media` from now on, first of all what came too early."""
        self.on_media = on_media
        early, self._early = self._early, []
        for data in early:
            on_media(data)

    def send_now(self, data: bytes, address: Address) -> None:
        """Sends without a detour through a task; `address` is `peer`'s."""
        self._mux.send(data, address)

    async def query_consent(self) -> None:
        """Asks the peer now and then whether it is still there (RFC 7675)."""
        assert self.remote_password is not None
        key = self.remote_password.encode()
        loop = asyncio.get_running_loop()
        answered_at = loop.time()
        while loop.time() - answered_at < CONSENT_LOST_S:
            await asyncio.sleep(CONSENT_INTERVAL_S)
            pair = self._nominated.get(1)
            if pair is not None and await self._answers(pair, key):
                answered_at = loop.time()
        if self.on_consent_lost is not None:
            self.on_consent_lost()

    def forget_addresses(self) -> None:
        for address in self._learned:
            self._mux.forget(address, self)
        self._learned.clear()
        self._early.clear()

    async def _answers(self, pair: CandidatePair, key: bytes) -> bool:
        request = self.build_request(pair, nominate=False)
        try:
            await pair.protocol.request(
                request, pair.remote_addr, integrity_key=key, retransmissions=1
            )
        except stun.TransactionError:
            return False
        return True

    def _learn(self, address: Address) -> None:
        if address in self._learned:
            return
        if len(self._learned) >= ADDRESSES_PER_SESSION:
            oldest = next(iter(self._learned))
            del self._learned[oldest]
            self._mux.forget(oldest, self)
        self._learned[address] = None
        self._mux.learn(address, self)


class MuxGatherer(RTCIceGatherer):
    """Lets aiortc's ICE transport run on a `MuxConnection`."""

    def __init__(self, connection: MuxConnection) -> None:
        super().__init__(iceServers=[])
        self._connection = connection
