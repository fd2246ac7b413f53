"""All sessions on one UDP port.

One `UdpMux` has the socket and tells sessions apart: a STUN request by the username in it, a STUN
answer by the transaction that a session began, everything else by an address that has earned it.
What belongs to nobody costs a dictionary look-up and leaves nothing behind. What a session makes
of its packets, and when it learns an address, is `muxed_ice`'s to say.
"""

import asyncio
import socket
import time
from typing import Any, Final, Protocol, cast

import ifaddr

Address = tuple[str, int]

# A keyframe of each of some hundred streams; the kernel grants what it is allowed to.
SOCKET_BUFFER_BYTES: Final = 4 << 20

# What the kernel has not taken yet. Beyond this, packets would be late when they leave.
UNSENT_MAX_BYTES: Final = 2 << 20

# Network interfaces come and go seldom; listing them costs a millisecond.
INTERFACES_KEPT_S: Final = 15.0

_BINDING_REQUEST: Final = b"\x00\x01"
_STUN_HEADER_BYTES: Final = 20
_USERNAME: Final = 0x0006
_STUN_LAST = 3


class Checks(Protocol):
    """Takes a session's STUN packets."""

    def datagram_received(self, data: bytes, addr: Address) -> None: ...


class Packets(Protocol):
    """Takes everything else of a session."""

    def data_received(self, data: bytes, component: int) -> None: ...


class _UdpTransport(Protocol):
    """What asyncio's and uvloop's datagram transports both have."""

    def sendto(self, data: bytes, addr: Address) -> None: ...

    def get_write_buffer_size(self) -> int: ...

    def get_extra_info(self, name: str) -> Any: ...

    def close(self) -> None: ...


class UdpMux(asyncio.DatagramProtocol):
    """The socket, and who its packets are for.

    Attributes:
        strays: Packets that belonged to nobody.
        unsent: Packets dropped because the kernel would not take them in time.
    """

    def __init__(self, host: str, *, public_ips: list[str]) -> None:
        self.strays = 0
        self.unsent = 0
        self._host = host
        self._public_ips = public_ips
        self._transport: _UdpTransport | None = None
        self._by_username: dict[str, Checks] = {}
        self._by_transaction: dict[bytes, Checks] = {}
        self._by_address: dict[Address, Packets] = {}
        self._interfaces: tuple[float, list[str]] | None = None

    async def open(self, port: int) -> None:
        """Binds the socket. Raises OSError where the port is taken."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(self._host, port))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    @property
    def port(self) -> int:
        assert self._transport is not None, "the socket is not open"
        return int(self._transport.get_extra_info("sockname")[1])

    @property
    def addresses(self) -> int:
        """How many learned addresses are held."""
        return len(self._by_address)

    @property
    def sessions(self) -> int:
        return len(self._by_username)

    def hosts(self, *, loopback: bool) -> list[str]:
        """The addresses at which a client may reach the socket, best first."""
        if self._host not in ("0.0.0.0", ""):
            return [*self._public_ips, self._host]
        own = self._own_addresses()
        # A browser on this machine may have no other way when the network is off.
        if loopback or not (own or self._public_ips):
            own = [*own, "127.0.0.1"]
        return list(dict.fromkeys([*self._public_ips, *own]))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("_UdpTransport", transport)
        udp = transport.get_extra_info("socket")
        if udp is not None:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if not data:
            return
        if data[0] > _STUN_LAST:
            packets = self._by_address.get(addr)
            if packets is None:
                self.strays += 1
            else:
                packets.data_received(data, 1)
            return
        checks = self._stun_target(data)
        if checks is None:
            self.strays += 1
        else:
            checks.datagram_received(data, addr)

    def error_received(self, exc: Exception) -> None:
        """The network refused an earlier packet; consent notices if that lasts."""

    def send(self, data: bytes, address: Address) -> None:
        transport = self._transport
        if transport is None:
            return
        if transport.get_write_buffer_size() > UNSENT_MAX_BYTES:
            self.unsent += 1
            return
        transport.sendto(data, address)

    def join(self, username: str, checks: Checks) -> None:
        self._by_username[username] = checks

    def leave(self, username: str) -> None:
        self._by_username.pop(username, None)

    def begin_transaction(self, transaction: bytes, checks: Checks) -> None:
        self._by_transaction[transaction] = checks

    def end_transaction(self, transaction: bytes) -> None:
        self._by_transaction.pop(transaction, None)

    def learn(self, address: Address, packets: Packets) -> None:
        """Media from `address` is `packets`' from now on. Only for proven addresses."""
        self._by_address[address] = packets

    def forget(self, address: Address, packets: Packets) -> None:
        if self._by_address.get(address) is packets:
            del self._by_address[address]

    def _stun_target(self, data: bytes) -> Checks | None:
        if len(data) < _STUN_HEADER_BYTES:
            return None
        if data[:2] == _BINDING_REQUEST:
            return self._by_username.get(_local_username(data))
        return self._by_transaction.get(bytes(data[8:20]))

    def _own_addresses(self) -> list[str]:
        now = time.monotonic()
        if self._interfaces is None or now - self._interfaces[0] > INTERFACES_KEPT_S:
            found = [
                ip.ip
                for adapter in ifaddr.get_adapters()
                for ip in adapter.ips
                if isinstance(ip.ip, str) and not ip.ip.startswith("127.")
            ]
            self._interfaces = (now, found)
        return self._interfaces[1]


def _local_username(data: bytes) -> str:
    """Our half of the USERNAME in a STUN request; empty when it has none."""
    at = _STUN_HEADER_BYTES
    while at + 4 <= len(data):
        kind = (data[at] << 8) | data[at + 1]
        size = (data[at + 2] << 8) | data[at + 3]
        if kind == _USERNAME:
            return data[at + 4 : at + 4 + size].split(b":")[0].decode("ascii", "replace")
        at += 4 + size + (-size % 4)
    return ""
