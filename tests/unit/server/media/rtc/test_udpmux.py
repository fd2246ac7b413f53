import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aioice import stun

from server.media.rtc.muxed_ice import (
    ADDRESSES_PER_SESSION,
    EARLY_MEDIA_MAX,
    HANDSHAKE_QUEUE_MAX,
    MuxConnection,
)
from server.media.rtc.udpmux import Address, UdpMux

RTP = b"\x80\x66" + bytes(20)
DTLS = b"\x16\xfe" + bytes(20)
CLIENT = ("192.0.2.7", 40_000)
STRANGER = ("198.51.100.9", 41_000)


class Wire(asyncio.DatagramTransport):
    """A socket that keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[bytes, Address]] = []
        self.unsent_bytes = 0

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.sent.append((bytes(data), addr))

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("0.0.0.0", 7290) if name == "sockname" else default

    def close(self) -> None:
        pass


class Rig:
    def __init__(self) -> None:
        self.wire = Wire()
        self.mux = UdpMux("127.0.0.1", public_ips=[])
        self.mux.connection_made(self.wire)
        self.connections: list[MuxConnection] = []

    async def join(self) -> MuxConnection:
        connection = MuxConnection(self.mux, hosts=["127.0.0.1"])
        await connection.gather_candidates()
        connection.remote_username, connection.remote_password = "them", "p" * 22
        self.connections.append(connection)
        return connection

    def check(
        self, connection: MuxConnection, addr: Address, *, password: str | None = None
    ) -> None:
        """A client's connectivity check."""
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{connection.local_username}:them"
        request.attributes["PRIORITY"] = 1
        request.attributes["ICE-CONTROLLING"] = 1
        request.add_message_integrity((password or connection.local_password).encode())
        self.mux.datagram_received(bytes(request), addr)


@pytest.fixture
async def rig() -> AsyncGenerator[Rig, None]:
    rig = Rig()
    yield rig
    for connection in rig.connections:
        await connection.close()


async def test_media_reaches_the_session_whose_check_proved_the_address(rig: Rig) -> None:
    one, two = await rig.join(), await rig.join()
    got: dict[str, list[bytes]] = {"one": [], "two": []}
    one.open_media(got["one"].append)
    two.open_media(got["two"].append)
    rig.check(one, CLIENT)
    rig.check(two, STRANGER)
    rig.mux.datagram_received(RTP, CLIENT)
    rig.mux.datagram_received(RTP, STRANGER)
    rig.mux.datagram_received(RTP, CLIENT)
    assert [len(packets) for packets in got.values()] == [2, 1]


async def test_an_address_is_not_learned_without_the_password(rig: Rig) -> None:
    connection = await rig.join()
    rig.check(connection, STRANGER, password="w" * 22)
    rig.mux.datagram_received(RTP, STRANGER)
    assert rig.mux.addresses == 0
    assert rig.mux.strays == 2
    assert rig.wire.sent == []  # nor is anything sent to an address that may be forged


async def test_an_address_cannot_be_taken_over_without_the_password(rig: Rig) -> None:
    victim, thief = await rig.join(), await rig.join()
    got: list[bytes] = []
    victim.open_media(got.append)
    rig.check(victim, CLIENT)
    rig.check(thief, CLIENT, password="w" * 22)
    rig.mux.datagram_received(RTP, CLIENT)
    assert got == [RTP]


async def test_what_belongs_to_nobody_leaves_nothing_behind(rig: Rig) -> None:
    for data in (RTP, DTLS, b"\0", b"\0\1" + bytes(18), b"\1\1" + bytes(30), b"\xff", b""):
        for port in range(50):
            rig.mux.datagram_received(data, ("203.0.113.1", 1000 + port))
    assert (rig.mux.addresses, rig.mux.sessions) == (0, 0)
    assert rig.mux.strays == 300


async def test_a_session_holds_a_bounded_number_of_addresses(rig: Rig) -> None:
    connection = await rig.join()
    for port in range(5 * ADDRESSES_PER_SESSION):
        rig.check(connection, ("192.0.2.7", 1024 + port))
    assert rig.mux.addresses == ADDRESSES_PER_SESSION


async def test_a_closed_session_is_forgotten(rig: Rig) -> None:
    connection = await rig.join()
    rig.check(connection, CLIENT)
    await connection.close()
    assert (rig.mux.addresses, rig.mux.sessions) == (0, 0)


async def test_what_comes_before_the_keys_is_kept_within_bounds(rig: Rig) -> None:
    connection = await rig.join()
    rig.check(connection, CLIENT)
    for _ in range(1000):
        rig.mux.datagram_received(RTP, CLIENT)
        rig.mux.datagram_received(DTLS, CLIENT)
    assert connection._queue.qsize() == HANDSHAKE_QUEUE_MAX
    early: list[bytes] = []
    connection.open_media(early.append)
    assert len(early) == EARLY_MEDIA_MAX


async def test_packets_are_dropped_when_the_kernel_takes_no_more(rig: Rig) -> None:
    rig.wire.unsent_bytes = 1 << 30
    rig.mux.send(RTP, CLIENT)
    assert rig.wire.sent == []
    assert rig.mux.unsent == 1


async def test_a_check_is_answered_where_it_came_from(rig: Rig) -> None:
    connection = await rig.join()
    rig.check(connection, CLIENT)
    (data, addr), *_ = rig.wire.sent
    answer = stun.parse_message(data)
    assert addr == CLIENT
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == CLIENT


async def test_each_public_address_is_a_candidate_before_the_local_ones() -> None:
    mux = UdpMux("0.0.0.0", public_ips=["203.0.113.5"])
    mux._interfaces = (float("inf"), ["10.0.0.4"])
    assert mux.hosts(loopback=False) == ["203.0.113.5", "10.0.0.4"]
    assert mux.hosts(loopback=True) == ["203.0.113.5", "10.0.0.4", "127.0.0.1"]
    assert UdpMux("127.0.0.1", public_ips=[]).hosts(loopback=False) == ["127.0.0.1"]


async def test_a_machine_without_network_still_serves_itself() -> None:
    mux = UdpMux("0.0.0.0", public_ips=[])
    mux._interfaces = (float("inf"), [])
    assert mux.hosts(loopback=False) == ["127.0.0.1"]
