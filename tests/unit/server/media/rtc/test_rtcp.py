import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    unpack_remb_fci,
)
from hypothesis import given
from hypothesis import strategies as st

from server.media.rtc import rtcp

BLOCK = rtcp.ReportBlock(5, 25, 1234, 70_000, 90, 0xAABBCCDD, 65_536)


def test_our_reports_say_to_others_what_we_meant() -> None:
    sender = rtcp.sender_report(7, ntp=1 << 40, timestamp=99, packets=3, octets=4, cname="abc")
    receiver = rtcp.receiver_report(8, [BLOCK])
    report, names, block = RtcpPacket.parse(sender + receiver)
    assert isinstance(report, RtcpSrPacket)
    assert (report.ssrc, report.sender_info.rtp_timestamp) == (7, 99)
    assert isinstance(names, RtcpSdesPacket)
    assert names.chunks[0].items == [(1, b"abc")]
    assert isinstance(block, RtcpRrPacket)
    assert block.reports[0].packets_lost == 1234
    assert block.reports[0].fraction_lost == 25


def test_what_others_report_is_understood() -> None:
    info = RtcpReceiverInfo(5, 25, -3, 70_000, 90, 1, 2)
    data = bytes(RtcpSrPacket(7, RtcpSenderInfo(1 << 40, 99, 3, 4), [info]))
    report, block = rtcp.parse(data + bytes(RtcpByePacket([7])))[:2]
    assert report == rtcp.SenderReport(7, 1 << 40, 99)
    assert isinstance(block, rtcp.ReportBlock)
    assert (block.ssrc, block.lost, block.highest_sequence) == (5, -3, 70_000)
    assert rtcp.parse(bytes(RtcpByePacket([7, 8]))) == [rtcp.Goodbye((7, 8))]


def test_requests_for_lost_packets_survive_the_way_also_across_the_wrap() -> None:
    lost = (65_530, 65_535, 0, 3, 500)
    (theirs,) = RtcpPacket.parse(rtcp.nack(1, 2, lost))
    assert isinstance(theirs, RtcpRtpfbPacket)
    assert [sequence & 0xFFFF for sequence in theirs.lost] == list(lost)
    assert rtcp.parse(rtcp.nack(1, 2, lost)) == [rtcp.Nack(2, lost)]


def test_both_ways_to_ask_for_a_keyframe_are_understood() -> None:
    full_intra_request = bytes(RtcpPsfbPacket(4, 1, 0, bytes((0, 0, 0, 9, 1, 0, 0, 0))))
    assert rtcp.parse(rtcp.keyframe_request(1, 9)) == [rtcp.KeyframeRequest(9)]
    assert rtcp.parse(full_intra_request) == [rtcp.KeyframeRequest(9)]


@pytest.mark.parametrize("bits_per_s", [150_000, 2_500_000, 12_000_000, 1 << 30])
def test_a_bitrate_limit_arrives_as_it_was_set(bits_per_s: int) -> None:
    (packet,) = RtcpPacket.parse(rtcp.bitrate_limit(1, bits_per_s, [7]))
    assert isinstance(packet, RtcpPsfbPacket)
    limit, ssrcs = unpack_remb_fci(packet.fci)
    assert ssrcs == [7]
    assert 0 <= bits_per_s - limit <= bits_per_s / 100_000


def test_what_comes_before_nonsense_is_heard() -> None:
    assert rtcp.parse(rtcp.keyframe_request(1, 9) + b"\x81\xc9\xff\xff") == [
        rtcp.KeyframeRequest(9)
    ]


@given(data=st.binary(max_size=200))
def test_any_bytes_are_survived(data: bytes) -> None:
    rtcp.parse(data)


@given(kind=st.sampled_from([200, 201, 203, 205, 206]), count=st.integers(0, 31),
       body=st.binary(max_size=64))  # fmt: skip
def test_any_body_of_a_known_kind_is_survived(kind: int, count: int, body: bytes) -> None:
    body = body[: len(body) // 4 * 4]
    rtcp.parse(bytes((0x80 | count, kind, 0, len(body) // 4)) + body)
