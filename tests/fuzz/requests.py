"""Requests to a trickle server, from proper to absurd, as bytes. A seed always makes the same."""

import random

CHANNELS = [b"a", b"b", b"c", b"a", b"_changes", b"absent%2F", b"%00", b"%zz", b"\xff", b""]
INDICES = [
    *(b"0", b"1", b"2", b"3", b"-1", b"-2", b"next", b"next", b"0", b"1"),
    *(b"-3", b"+1", b"99", b"x", b"", b"9" * 19, b"9" * 40, b"0/0", b"%31", b"1?wait=1", b".."),
]
METHODS = [
    *(b"GET", b"GET", b"GET", b"POST", b"POST", b"POST", b"POST", b"DELETE", b"HEAD"),
    *(b"OPTIONS", b"PUT", b"BREW", b"CONNECT", b"", b"get"),
]
VERSIONS = [b"1.1", b"1.1", b"1.1", b"1.1", b"1.1", b"1.0", b"0.9", b"2.0", b"1."]
LINES = [
    *(b"Lp-Trickle-Reset: 1", b"Expect-Content: a/b", b"Content-Type: video/MP2T"),
    *(b"Connection: close", b"Connection: keep-alive", b"Expect: 100-continue"),
    *(b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: -1", b"Content-Length: 5x"),
    *(b"Content-Length: 99999999999", b"Content-Length: 99999999999999999999999"),
    *(b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity"),
    *(b"Connection: Upgrade\r\nUpgrade: websocket", b"Accept: text/event-stream", b"Upgrade: h2c"),
    *(b"Origin: http://x", b"Authorization: Bearer x", b"Range: bytes=1-", b"Range: bytes=9-2"),
    *(b"Cookie: " + b"x" * 4000, b"no colon", b": no name", b"Folded: a\r\n b", b"Nul: \0"),
    *(b"X: " + b"y" * 40_000, b"Host: other", b"Trailer: X"),
]
CHUNKS = [
    *(b"5\r\nhello\r\n", b"1\r\nx\r\n", b"5;ext=1\r\nhello\r\n", b"a\r\n0123456789\r\n"),
    *(b"4000\r\n" + b"z" * 0x4000 + b"\r\n", b"5\r\nhello\r\n"),
]
BAD_CHUNKS = [
    *(
        b"5\r\nhelloo\r\n",
        b"g\r\n",
        b"-5\r\nhello\r\n",
        b"f" * 17 + b"\r\n",
        b"\r\n",
        b"5\nhello\n",
    ),
    *(b"1" * 300, b"0x5\r\nhello\r\n"),
]
ENDS = [b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"0\r\n", b""]


def request(dice: random.Random, base: bytes) -> bytes:
    """A request: four times of five one that a client could mean, else anything."""
    if dice.random() < 0.8:
        return _sensible(dice, base)
    lines = [dice.choice(METHODS) + b" " + _target(dice, base) + b" HTTP/" + dice.choice(VERSIONS)]
    lines += [b"Host: fuzz", *dice.sample(LINES, dice.randrange(4))]
    raw = bytearray(dice.choice([b"\r\n", b"\r\n", b"\n"]).join([*lines, b"", b""]))
    raw += _chunked(dice) if dice.random() < 0.5 else dice.choice(CHUNKS + BAD_CHUNKS)
    for _ in range(dice.choice([0, 0, 1, 3, 20])):
        _mutate(dice, raw)
    return bytes(raw)


def _sensible(dice: random.Random, base: bytes) -> bytes:
    name, index = dice.choice(CHANNELS[:3]), dice.choice(INDICES[:8])
    head = b" " + base + name + b"/" + index + b" HTTP/1.1\r\nHost: fuzz\r\n"
    kind = dice.randrange(10)
    if kind < 4:
        return b"GET" + head + b"\r\n"
    if kind < 6:
        return b"POST" + head + b"Content-Length: 5\r\n\r\nhello"
    if kind < 9:
        reset = b"Lp-Trickle-Reset: 1\r\n" if dice.random() < 0.1 else b""
        return b"POST" + head + reset + b"Transfer-Encoding: chunked\r\n\r\n" + _chunked(dice)
    verb = dice.choice([b"DELETE", b"POST"])
    return verb + b" " + base + name + b" HTTP/1.1\r\nHost: fuzz\r\nContent-Length: 0\r\n\r\n"


def _target(dice: random.Random, base: bytes) -> bytes:
    path = base + dice.choice(CHANNELS) + dice.choice([b"/", b"/", b"", b"//"])
    path += dice.choice(INDICES)
    wrap = dice.randrange(12)
    if wrap == 0:
        return b"http://host" + path
    return b"/elsewhere" if wrap == 1 else path


def _chunked(dice: random.Random) -> bytes:
    pieces = [dice.choice(CHUNKS) for _ in range(dice.choice([0, 1, 1, 2, 5]))]
    if dice.random() < 0.05:
        pieces.append(dice.choice(BAD_CHUNKS))
    return b"".join(pieces) + dice.choice(ENDS)


def _mutate(dice: random.Random, raw: bytearray) -> None:
    at = dice.randrange(len(raw))
    match dice.randrange(4):
        case 0:
            raw[at] = dice.randrange(256)
        case 1:
            raw.insert(at, dice.choice(b"\r\n \0:%/"))
        case 2:
            del raw[at : at + dice.randrange(1, 9)]
            raw += b"\r\n"
        case _:
            raw[at:at] = raw[at : at + dice.randrange(1, 99)]
