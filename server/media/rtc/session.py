"""The life of one WebRTC session, whichever way its media flows.

`run` is all of it: connect, serve, close. It ends for exactly one reason, which is told to
whoever made the session, once everything has been given back.
"""

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

import structlog

from server.media.rtc import rtcp, rtp
from server.media.rtc.negotiation import Local, Offer, Sources, write_answer
from server.media.rtc.sdp import Fragment
from server.media.rtc.transport import NotConnected, SecureTransport

# Browsers give up after 15 to 30 s. Every session that never connects holds its place this long.
CONNECT_TIMEOUT_S: Final = 15.0

# How often a session looks after itself: reports, and whether there is still media.
UPKEEP_INTERVAL_S: Final = 1.0

_log = structlog.get_logger(__name__)


class Session(ABC):
    """One peer. Made by `RtcEndpoint`, which runs it.

    Attributes:
        id: Unguessable: whoever knows it may end the session.
        etag: Strong, and constant, since a session's ICE is never restarted.
        answer: The SDP answer; empty until `prepare`.
        connected: Media can flow.
    """

    def __init__(
        self, transport: SecureTransport, offer: Offer, on_end: Callable[[str], None]
    ) -> None:
        self.id = secrets.token_urlsafe(18)
        self.etag = f'"{secrets.token_urlsafe(9)}"'
        self.answer = ""
        self.connected = False
        self.offer = offer
        self._transport = transport
        self._on_end = on_end
        self._ended = asyncio.Event()
        self._reason = ""

    @property
    def over(self) -> bool:
        return self._ended.is_set()

    async def prepare(self, sources: dict[str, Sources] | None = None) -> None:
        """Takes a place on the port and writes the answer."""
        await self._transport.gather()
        candidates = self._transport.candidates
        local = Local(
            session_id=secrets.randbits(62),
            ice_ufrag=self._transport.ufrag,
            ice_pwd=self._transport.password,
            fingerprint=self._transport.fingerprint,
            candidates=candidates,
            port=int(candidates[0].split(" ")[5]),
        )
        self.answer = write_answer(self.offer, local, sources or {})

    async def run(self) -> None:
        """Runs until the session is over, for whatever reason."""
        self._transport.on_rtp = self._rtp
        self._transport.on_rtcp = self._rtcp
        self._transport.on_closed = self.end
        work = asyncio.create_task(self._work(), name=f"rtc.work.{self.id}")
        ended = asyncio.create_task(self._ended.wait(), name=f"rtc.ended.{self.id}")
        try:
            await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.connected = False
            ended.cancel()
            work.cancel()
            results = await asyncio.gather(work, ended, return_exceptions=True)
            failure = results[0]
            if isinstance(failure, Exception):
                _log.error("rtc.session_failed", session=self.id, exc_info=failure)
                self.end("internal")
            self._stopping()
            await self._transport.close()
            self.end("cancelled")
            self._on_end(self._reason)

    def end(self, reason: str) -> None:
        """Ends the session; the first reason given stands."""
        if not self._ended.is_set():
            self._reason = reason
            self._ended.set()

    async def trickle(self, fragment: Fragment) -> None:
        """Adds candidates that the client found after its offer."""
        await self._transport.add_candidates(
            tuple(fragment.candidates), complete=fragment.candidates_complete
        )

    async def _work(self) -> None:
        offer = self.offer
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._transport.add_candidates(
                    offer.candidates, complete=offer.candidates_complete
                )
                await self._transport.connect(offer)
        except TimeoutError:
            self.end("connect_timeout")
            return
        except NotConnected as error:
            _log.info("rtc.not_connected", session=self.id, problem=str(error))
            self.end("not_connected")
            return
        self.connected = True
        self._started()
        while True:
            await asyncio.sleep(UPKEEP_INTERVAL_S)
            self._upkeep()

    @abstractmethod
    def _started(self) -> None:
        """The transport is up."""

    @abstractmethod
    def _upkeep(self) -> None:
        """A second has passed."""

    @abstractmethod
    def _stopping(self) -> None:
        """The transport is about to close: last words, and no timer may be left."""

    @abstractmethod
    def _rtp(self, packet: bytes, header: rtp.Header, now: float) -> None: ...

    @abstractmethod
    def _rtcp(self, messages: list[rtcp.Message], now: float) -> None: ...
