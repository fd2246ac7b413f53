"""All WebRTC sessions of a node: one UDP port, one certificate, and who may still come in.

`server.edge.webrtc` asks it for answers; the sessions it makes run until they end by themselves,
are ended, or the endpoint closes.
"""

import asyncio
import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog
from aiortc import RTCCertificate

from server.errors import Overloaded
from server.media.rtc.feed import Feed
from server.media.rtc.negotiation import Offer
from server.media.rtc.playing import PlaySession
from server.media.rtc.publishing import PublishSession
from server.media.rtc.session import Session
from server.media.rtc.transport import SecureTransport
from server.media.rtc.udpmux import UdpMux
from server.media.stream import LiveStream
from trickle.media.packets import Packet

# Sessions that have an answer but are not connected. A flood of offers that nobody follows up
# must not keep real clients out for longer than their connect timeout.
CONNECTING_MAX: Final = 128

# Certificates last 30 days, a node runs for longer: a session begins with at least this much left.
CERTIFICATE_LEFT: Final = dt.timedelta(days=20)

# Closing a session takes a packet or two; one that hangs does not keep the node from stopping.
CLOSE_TIMEOUT_S: Final = 5.0

_log = structlog.get_logger(__name__)


class RtcEndpoint:
    """Where WebRTC clients connect.

    Attributes:
        host: The address the UDP port is bound to; "0.0.0.0" for all of the machine's.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        public_ips: list[str] | None = None,
        connecting_max: int = CONNECTING_MAX,
    ) -> None:
        """`public_ips`: addresses that a NAT in front maps, port for port, to this machine."""
        self.host = host
        self._wanted_port = port
        self._connecting_max = connecting_max
        self._mux = UdpMux(host, public_ips=public_ips or [])
        self._certificate: RTCCertificate | None = None
        self._sessions: dict[str, Session] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._feeds: dict[int, Feed] = {}
        self._closing = False

    @property
    def port(self) -> int:
        """The UDP port in use."""
        return self._mux.port

    @property
    def sessions(self) -> int:
        """Publishers and viewers, those that are still connecting included."""
        return len(self._sessions)

    @property
    def publishers(self) -> int:
        return sum(isinstance(session, PublishSession) for session in self._sessions.values())

    @property
    def viewers(self) -> int:
        return sum(isinstance(session, PlaySession) for session in self._sessions.values())

    @property
    def strays(self) -> int:
        """Packets that belonged to no session."""
        return self._mux.strays

    async def start(self) -> None:
        """Binds the port. Raises OSError where it is taken."""
        await self._mux.open(self._wanted_port)

    async def close(self) -> None:
        """Ends every session, waits for their ends, and gives the port back."""
        await self.end_sessions()
        self._mux.close()

    async def end_sessions(self) -> None:
        """Ends every session and waits for their ends. None is made from here on."""
        self._closing = True
        for session in list(self._sessions.values()):
            session.end("server_closed")
        tasks = list(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def answer_publish(
        self,
        offer: Offer,
        *,
        on_packet: Callable[[Packet], None],
        on_end: Callable[[str], None],
        loopback: bool = False,
    ) -> PublishSession:
        """Makes a session that receives what `offer` offers. Its `answer` goes to the client.

        Args:
            offer: As `negotiation.read_publish` has judged it.
            on_packet: Called with every packet, on the loop; must not block.
            on_end: Called once, when the session is over and everything is given back.
            loopback: The client is on this machine.

        Raises:
            Overloaded: Too many clients are connecting at this moment.
        """
        self.check_room()
        session = PublishSession(
            self._transport(loopback=loopback), offer, on_packet=on_packet, on_end=on_end
        )
        await session.prepare()
        self._run(session)
        return session

    async def answer_play(
        self,
        offer: Offer,
        stream: LiveStream,
        *,
        on_end: Callable[[str], None],
        loopback: bool = False,
    ) -> PlaySession:
        """Makes a session that sends `stream`, as soon and as long as there is something in it.

        Raises:
            Overloaded: Too many clients are connecting at this moment.
        """
        self.check_room()
        session = PlaySession(
            self._transport(loopback=loopback),
            offer,
            feed=partial(self._feed, stream),
            on_end=on_end,
        )
        await session.prepare(session.sources)
        self._run(session)
        return session

    def check_room(self) -> None:
        """Raises Overloaded where a new session would be refused."""
        if self._closing:
            raise Overloaded("the node is stopping")
        connecting = sum(not session.connected for session in self._sessions.values())
        if connecting >= self._connecting_max:
            raise Overloaded(f"{connecting} clients are connecting at this moment")

    def _transport(self, *, loopback: bool) -> SecureTransport:
        soon = dt.datetime.now(tz=dt.UTC) + CERTIFICATE_LEFT
        if self._certificate is None or self._certificate.expires < soon:
            self._certificate = RTCCertificate.generateCertificate()
        return SecureTransport(
            self._mux, self._certificate, hosts=self._mux.hosts(loopback=loopback)
        )

    def _feed(self, stream: LiveStream) -> Feed:
        key = id(stream)
        feed = self._feeds.get(key)
        if feed is None:
            feed = Feed(stream, on_empty=partial(self._feeds.__delitem__, key))
            self._feeds[key] = feed
        return feed

    def _run(self, session: Session) -> None:
        self._sessions[session.id] = session
        task = asyncio.create_task(session.run(), name=f"rtc.session.{session.id}")
        self._tasks[session.id] = task
        task.add_done_callback(lambda done: self._ended(session, done))

    def _ended(self, session: Session, task: asyncio.Task[None]) -> None:
        self._sessions.pop(session.id, None)
        self._tasks.pop(session.id, None)
        if not task.cancelled() and task.exception() is not None:
            _log.error("rtc.session_failed", session=session.id, exc_info=task.exception())
