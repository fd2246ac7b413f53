"""What we use of other people's insides. When one of these fails, they have changed theirs."""

import inspect
from typing import Any

import pytest
from aioice import stun
from aioice.ice import Connection, StunProtocol
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport
from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib


async def test_an_ice_connection_has_what_we_touch() -> None:
    connection = Connection(ice_controlling=False)
    for name in (
        "_closing",
        "_local_candidates",
        "_local_candidates_end",
        "_local_candidates_start",
        "_nominated",
        "_protocols",
        "_queue",
        "_valid_username",
        "ice_controlling",
    ):
        assert hasattr(connection, name), name
    await connection.close()


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (Connection.gather_candidates, []),
        (Connection.query_consent, []),
        (Connection.request_received, ["message", "addr", "protocol"]),
        (Connection.data_received, ["data", "component"]),
        (Connection.build_request, ["pair", "nominate"]),
        (StunProtocol.request, ["request", "addr", "integrity_key", "retransmissions"]),
        (RTCDtlsTransport._do_handshake, []),
        (RTCDtlsTransport._write_ssl, []),
        (RTCDtlsTransport._set_role, ["role"]),
        (stun.Message.check_message_integrity, ["key"]),
    ],
)
def test_what_we_call_or_replace_takes_the_same_arguments(
    method: Any, parameters: list[str]
) -> None:
    assert list(inspect.signature(method).parameters)[1:] == parameters


async def test_the_transports_have_what_we_touch() -> None:
    gatherer = RTCIceGatherer(iceServers=[])
    assert isinstance(gatherer._connection, Connection)
    ice = RTCIceTransport(gatherer)
    dtls = RTCDtlsTransport(ice, [RTCCertificate.generateCertificate()])
    assert ice._connection is gatherer._connection
    for name in ("_task", "_rx_srtp", "_tx_srtp", "encrypted"):
        assert hasattr(dtls, name), name
    await ice.stop()


def test_srtp_sessions_have_the_buffers_that_we_work_in() -> None:
    session = Session(Policy(key=bytes(30), ssrc_type=Policy.SSRC_ANY_OUTBOUND))
    assert len(session._buffer) == 1500
    assert ffi.typeof(session._cdata).cname == "char[]"
    assert session._srtp[0]
    assert lib.srtp_protect
    assert lib.srtp_unprotect
