"""Who may publish on a channel, and who may read it: tokens, and where requests carry them.

Off unless asked for: by itself, knowing a channel's URL is knowing its secret, as with every other
trickle server. Two kinds exist and may be mixed. A channel may have a fixed token for either right.
Or the server has a secret, and whoever knows it signs tokens that say what they are good for, and
until when, so that the server need not be told of them. `trickle.routes` asks; nothing here, and
nothing that uses it, writes a token anywhere.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import unquote_plus

# Begins every signed token, so that another way of signing can be told from this one.
_VERSION: Final = "t1"

# The parts of a signed token are separated by this; none of them contains it.
_DOT: Final = "."


class Right(StrEnum):
    """What one may want to do."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    OPERATE = "operate"  # see the whole server: its status and metrics


class Denied(StrEnum):
    """Why a request was refused. The value is the code that clients get."""

    MISSING = "token_missing"
    WRONG = "token_wrong"
    EXPIRED = "token_expired"


@dataclass(frozen=True, slots=True)
class Keys:
    """The fixed tokens of one channel. None: that right needs none, unless the server says so."""

    publish: str | None = field(default=None, repr=False)
    subscribe: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What the whole server asks for.

    Attributes:
        secret: Signs tokens. With one, every channel needs a token.
        operator: A fixed token that opens everything.
    """

    secret: bytes | None = field(default=None, repr=False)
    operator: str | None = field(default=None, repr=False)

    def check(
        self, right: Right, channel: str, keys: Keys | None, token: str | None, *, now_s: float
    ) -> Denied | None:
        """Whether a token gives a right; None when it does, or when none is needed.

        Args:
            right: To do what.
            channel: On which channel; empty for the server as a whole.
            keys: Of that channel.
            token: As the client sent it.
            now_s: Seconds since 1970.
        """
        fixed = _fixed(right, keys)
        closed = self.operator is not None if right is Right.OPERATE else self.secret is not None
        if fixed is None and not closed:
            return None
        if not token:
            return Denied.MISSING
        # Each comparison takes as long whether the first character is wrong or the last.
        if self.operator is not None and _same(token, self.operator):
            return None
        if fixed is not None and _same(token, fixed):
            return None
        if self.secret is None or right is Right.OPERATE:
            return Denied.WRONG
        return _check_signed(self.secret, right, channel, token, now_s)


OPEN: Final = Access()


def sign(secret: bytes, right: Right, channel: str, *, expires_at_s: int) -> str:
    """Makes a token for one right on one channel, good until a moment (seconds since 1970)."""
    return _DOT.join(
        (
            _VERSION,
            right.value,
            str(expires_at_s),
            _signature(secret, right.value, channel, str(expires_at_s)),
        )
    )


def token_of(authorization: str, query: bytes) -> str | None:
    """The token in a request: in its Authorization header, or else as `token=` in its query.

    The query is for those who cannot set headers: EventSource, WebSocket, players.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    for pair in query.split(b"&"):
        if pair.startswith(b"token="):
            return unquote_plus(pair[6:].decode("latin-1"))
    return None


def _fixed(right: Right, keys: Keys | None) -> str | None:
    if keys is None:
        return None
    return {Right.PUBLISH: keys.publish, Right.SUBSCRIBE: keys.subscribe}.get(right)


def _check_signed(
    secret: bytes, right: Right, channel: str, token: str, now_s: float
) -> Denied | None:
    parts = token.split(_DOT)
    if len(parts) != 4 or parts[:2] != [_VERSION, right.value]:
        return Denied.WRONG
    if not _same(parts[3], _signature(secret, right.value, channel, parts[2])):
        return Denied.WRONG
    # Only now: a date that we did not sign is not worth an answer of its own.
    return Denied.EXPIRED if now_s >= int(parts[2]) else None


def _signature(secret: bytes, right: str, channel: str, expires: str) -> str:
    said = "\n".join((_VERSION, right, expires, channel)).encode("utf-8", "surrogateescape")
    digest = hmac.new(secret, said, hashlib.sha256).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())
