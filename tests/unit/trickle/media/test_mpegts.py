"""What goes into MPEG-TS comes out of it: whole, at once, and whatever happened to the bytes."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.trickle.media.samples import FRAME, aac, clip, opus, picture
from trickle.media.mpegts import PES_BYTES_MAX, TsDemuxer, TsMuxer
from trickle.media.packets import CLOCK_HZ, Codec, Packet
from trickle.media.ts_mux import LENGTH_MAGIC
from trickle.media.ts_tables import VIDEO_PID, crc32_mpeg

CLIP = clip()


def mux(packets: list[Packet], muxer: TsMuxer | None = None) -> bytes:
    muxer = muxer or TsMuxer(Codec.H264, Codec.AAC)
    return b"".join([muxer.mux(packet) for packet in packets])


def demux(*pieces: bytes, flush: bool = False) -> list[Packet]:
    demuxer = TsDemuxer()
    packets = [packet for piece in pieces for packet in demuxer.feed(piece)]
    return packets + demuxer.flush() if flush else packets


WIRE = mux(CLIP)


def foreign(packets: list[Packet]) -> bytes:
    """As muxers write it that leave out the length of every video PES, and do not mark it."""
    wire = bytearray(mux(packets).replace(LENGTH_MAGIC, b"X" * len(LENGTH_MAGIC)))
    for at in range(0, len(wire), 188):
        pid = ((wire[at + 1] & 31) << 8) | wire[at + 2]
        if pid == VIDEO_PID and wire[at + 1] & 0x40:
            pes = at + 4 + (1 + wire[at + 4] if wire[at + 3] & 0x20 else 0)
            wire[pes + 4 : pes + 6] = b"\0\0"
    return bytes(wire)


def test_what_goes_in_comes_out() -> None:
    assert demux(WIRE) == CLIP


@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC])
@pytest.mark.parametrize("audio", [Codec.AAC, Codec.OPUS, None])
def test_every_pair_of_codecs_survives_the_round_trip(codec: Codec, audio: Codec | None) -> None:
    packets = clip(codec=codec, audio=audio)
    assert demux(mux(packets, TsMuxer(codec, audio))) == packets


@pytest.mark.parametrize(
    "size", [1, 100, 150, 151, 152, 153, 154, 155, 334, 335, 336, 337, 338, 65_700]
)
def test_a_packet_of_any_size_comes_out_with_its_own_last_byte(size: int) -> None:
    demuxer = TsDemuxer()
    packets = [picture(CLOCK_HZ, key=True), *(picture(n * FRAME + CLOCK_HZ, size) for n in (1, 2))]
    muxer = TsMuxer(Codec.H264, None)
    assert [demuxer.feed(muxer.mux(packet)) for packet in packets] == [[each] for each in packets]


def test_a_picture_without_delimiter_gets_one() -> None:
    bare = Packet(Codec.H264, b"\0\0\0\1\x65abc", 900, 900, keyframe=True)
    (out,) = demux(mux([bare]))
    assert out == replace(bare, data=b"\0\0\0\1\x09\xf0" + bare.data)


def test_every_byte_is_in_whole_ts_packets() -> None:
    muxer = TsMuxer(Codec.H264, Codec.AAC)
    for packet in CLIP:
        written = muxer.mux(packet)
        assert len(written) % 188 == 0
        assert set(written[::188]) == {0x47}


def test_continuity_counters_count_packets_with_payload() -> None:
    counters: dict[int, int] = {}
    for at in range(0, len(WIRE), 188):
        pid = ((WIRE[at + 1] & 31) << 8) | WIRE[at + 2]
        assert WIRE[at + 3] & 0x10
        assert WIRE[at + 3] & 15 == counters.get(pid, 0)
        counters[pid] = (counters.get(pid, 0) + 1) & 15


def test_tables_are_in_front_of_every_keyframe() -> None:
    muxer = TsMuxer(Codec.H264, None)
    for packet in clip(audio=None):
        assert (muxer.mux(packet)[1:3] == b"\x40\x00") == packet.keyframe


def test_tables_end_in_a_sound_crc() -> None:
    pat = TsMuxer(Codec.H264, Codec.OPUS).tables()[5:188]
    assert crc32_mpeg(pat[: 3 + pat[2]]) == 0
    assert crc32_mpeg(b"123456789") == 0x0376E6E7  # the CRC-32/MPEG-2 check value


def test_tables_with_a_broken_crc_are_not_believed() -> None:
    broken = bytearray(WIRE)
    broken[188 + 20] ^= 1  # in the PMT
    later = WIRE[: WIRE.index(WIRE[188 : 188 + 3], 400)]
    assert demux(bytes(broken[: len(later)])) == []


def test_a_codec_that_the_program_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="not opus"):
        TsMuxer(Codec.H264, Codec.AAC).mux(opus(0))


def test_audio_that_joins_later_is_in_the_next_tables() -> None:
    muxer = TsMuxer(Codec.H264, None)
    first, sound, second = picture(0, key=True), aac(3000), picture(6000, key=True)
    wire = muxer.mux(first)
    muxer.carry(Codec.H264, Codec.AAC)
    wire += muxer.tables() + muxer.mux(sound) + muxer.mux(second)
    assert demux(wire) == [first, sound, second]


def test_sound_without_video_brings_its_tables_and_its_clock() -> None:
    packets = [opus(CLOCK_HZ + n * 1800) for n in range(60)]
    wire = mux(packets, TsMuxer(None, Codec.OPUS))
    assert demux(wire) == packets
    half = wire.index(b"\x47\x40\x00", 400)
    assert demux(wire[half:]) == packets[25:]


def test_the_number_of_opus_channels_is_in_the_tables() -> None:
    demuxer = TsDemuxer()
    demuxer.feed(TsMuxer(None, Codec.OPUS, opus_channels=1).tables())
    assert (demuxer.audio, demuxer.audio_channels) == (Codec.OPUS, 1)


def test_stamps_go_on_past_the_edge_of_33_bits() -> None:
    packets = clip(30, start=2**33 - 10 * FRAME, sizes=(300,))
    assert demux(mux(packets)) == packets


def test_audio_that_comes_in_just_behind_the_edge_stays_with_its_video() -> None:
    packets = [picture(2**33 + 10, key=True), aac(2**33 - 90)]
    first, second = demux(mux(packets))
    assert first.dts - second.dts == 100


@given(cuts=st.lists(st.integers(0, len(WIRE)), max_size=8))
def test_any_cut_gives_the_same_packets(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WIRE)]
    pieces = [WIRE[a:b] for a, b in pairwise(edges)]
    assert demux(*pieces) == CLIP


SHORT = mux(clip(6, sizes=(700, 10, 400)))


@settings(max_examples=40)
@given(
    at=st.integers(0, len(SHORT)),
    noise=st.binary(max_size=600),
    cuts=st.lists(st.integers(0, len(SHORT)), max_size=6),
)
def test_any_cut_of_noisy_bytes_gives_the_same_packets(
    at: int, noise: bytes, cuts: list[int]
) -> None:
    wire = SHORT[:at] + noise + SHORT[at:]
    edges = [0, *sorted(cuts), len(wire)]
    pieces = [wire[a:b] for a, b in pairwise(edges)]
    assert demux(*pieces) == demux(wire)


@given(noise=st.binary(max_size=2000))
def test_noise_is_passed_over(noise: bytes) -> None:
    demux(noise, flush=True)


@given(noise=st.lists(st.binary(min_size=187, max_size=187), max_size=12))
def test_noise_that_looks_like_packets_never_crashes(noise: list[bytes]) -> None:
    tables = TsMuxer(Codec.H264, Codec.OPUS).tables()
    video = [b"\x47\x41" + piece[1:] for piece in noise]
    demux(tables, *(b"\x47" + piece for piece in noise), *video, flush=True)


@given(at=st.integers(376, len(SHORT) - 1), flip=st.integers(1, 255))
@example(at=402, flip=10)  # half the clock's span, in the first stamp
@example(at=1329, flip=8)
def test_a_damaged_byte_costs_at_most_what_it_is_part_of(at: int, flip: int) -> None:
    wire = bytearray(SHORT)
    wire[at] ^= flip
    whole = demux(SHORT)
    survivors = [packet for packet in demux(bytes(wire), flush=True) if packet in whole]
    # A TS packet that goes to another stream's PID, or breaks step, can hurt two of each kind.
    assert len(survivors) >= len(whole) - 6


def test_it_finds_its_step_again_after_noise_and_counts_it() -> None:
    demuxer = TsDemuxer()
    packets = demuxer.feed(b"\x01" * 1000 + WIRE)
    assert packets == CLIP
    assert demuxer.counters.resyncs == 1


def test_a_lost_ts_packet_costs_one_access_unit() -> None:
    demuxer = TsDemuxer()
    hole = 188 * 6  # inside the first picture
    survivors = demuxer.feed(WIRE[:hole] + WIRE[hole + 188 :])
    assert survivors == CLIP[1:]
    assert demuxer.counters.discontinuities == 1
    assert demuxer.counters.units_dropped == 1


def test_a_ts_packet_sent_twice_counts_once() -> None:
    at = 188 * 4  # inside the first picture
    assert demux(WIRE[:at] + WIRE[at - 188 : at] + WIRE[at:]) == CLIP


def test_a_unit_without_length_is_over_when_the_next_begins() -> None:
    packets = clip(8, audio=None, sizes=(3000, 500))
    wire = foreign(packets)
    assert demux(wire) == packets[:-1]
    assert demux(wire, flush=True) == packets


def test_a_stream_that_stuffs_only_at_ends_is_no_longer_waited_for() -> None:
    demuxer = TsDemuxer()
    packets = clip(20, audio=None, sizes=(3000, 500))
    wire = foreign(packets)
    starts = [at for at in range(0, len(wire), 188) if wire[at + 1 : at + 3] == b"\x41\x00"]
    starts = [at - 376 if wire[at - 187 : at - 185] == b"\x50\x00" else at for at in starts]
    pieces = [wire[a:b] for a, b in zip(starts, [*starts[1:], len(wire)], strict=True)]
    counts = [len(demuxer.feed(piece)) for piece in pieces]
    assert counts[-8:] == [1] * 8
    assert sum(counts) == 20


def test_a_stream_that_stuffs_in_the_middle_is_never_cut_short() -> None:
    packets = clip(20, audio=None, sizes=(700,), key_every=100)
    wire = foreign(packets)
    stuffed = bytearray(wire[:376])
    counter = 0
    for at in range(376, len(wire), 188):
        # Every packet of payload alone is sent as two, both stuffed.
        packet = wire[at : at + 188]
        pieces = [packet]
        if packet[3] & 0x30 == 0x10:
            pieces = [
                packet[:3] + bytes((0x30, 91)) + b"\0" + b"\xff" * 90 + payload
                for payload in (packet[4:96], packet[96:])
            ]
        for piece in pieces:
            stuffed += piece[:3] + bytes((piece[3] & 0xF0 | counter,)) + piece[4:]
            counter = (counter + 1) & 15
    assert demux(bytes(stuffed), flush=True) == packets


def test_segments_of_different_muxers_join_without_loss() -> None:
    first, second = clip(5, audio=None), clip(5, audio=None, start=CLOCK_HZ + 5 * FRAME)
    joined = foreign(first) + foreign(second)
    assert demux(joined, flush=True) == first + second


def test_a_unit_without_end_is_dropped_and_memory_stays_bounded() -> None:
    demuxer = TsDemuxer()
    endless = foreign([picture(CLOCK_HZ, PES_BYTES_MAX + 1000, key=True)])
    demuxer.feed(endless)
    assert demuxer.counters.units_dropped == 1
    assert demuxer.flush() == []


def test_several_aac_frames_in_one_pes_are_told_apart_in_time() -> None:
    frames = [aac(CLOCK_HZ + n * 1920, 100 + n) for n in range(3)]
    together = replace(frames[0], data=b"".join(frame.data for frame in frames))
    assert demux(mux([together], TsMuxer(None, Codec.AAC))) == frames


def test_an_aac_frame_that_spans_two_pes_keeps_its_time() -> None:
    one, two, three = (aac(CLOCK_HZ + n * 1920) for n in range(3))
    muxer = TsMuxer(None, Codec.AAC)
    wire = muxer.mux(replace(one, data=one.data + two.data[:50]))
    wire += muxer.mux(replace(three, data=two.data[50:] + three.data))
    assert demux(wire) == [one, two, three]


def test_an_opus_packet_of_a_multiple_of_255_bytes_survives() -> None:
    packets = [opus(CLOCK_HZ, 510), opus(CLOCK_HZ + 1800, 255)]
    assert demux(mux(packets, TsMuxer(None, Codec.OPUS))) == packets
