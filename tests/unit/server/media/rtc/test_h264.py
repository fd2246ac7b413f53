from hypothesis import given
from hypothesis import strategies as st

from server.media.rtc.h264 import ACCESS_UNIT_MAX_BYTES, PAYLOAD_MAX_BYTES, AccessUnits, payloads
from trickle.media.annexb import START_CODE, nal_units

SPS = b"\x67\x42\x00\x1f" + b"s" * 8
PPS = b"\x68" + b"p" * 4
IDR = b"\x65" + b"i" * 3000
SLICE = b"\x41" + b"d" * 500


def annexb(*units: bytes) -> bytes:
    return b"".join(START_CODE + unit for unit in units)


def feed(units: AccessUnits, packed: list[bytes], timestamp: int) -> bytes | None:
    done = None
    for place, payload in enumerate(packed):
        done = units.feed(payload, timestamp, marker=place == len(packed) - 1) or done
    return None if done is None else done.data


def test_a_picture_goes_through_the_packets_unchanged() -> None:
    picture = annexb(SPS, PPS, IDR)
    packed = payloads(picture)
    assert max(map(len, packed)) <= PAYLOAD_MAX_BYTES
    assert feed(AccessUnits(), packed, 1) == picture


def test_a_picture_leaves_with_its_last_packet() -> None:
    units = AccessUnits()
    packed = payloads(annexb(SLICE))
    done = units.feed(packed[0], 1, marker=True)
    assert done is not None
    assert not done.keyframe


def test_a_sender_without_marker_bits_loses_nothing() -> None:
    units = AccessUnits()
    done = [units.feed(SLICE, timestamp, marker=False) for timestamp in (1, 2, 3)]
    assert [unit.timestamp for unit in done if unit is not None] == [1, 2]


def test_every_keyframe_carries_its_parameter_sets() -> None:
    units = AccessUnits()
    feed(units, payloads(annexb(SPS, PPS, IDR)), 1)
    assert feed(units, payloads(annexb(IDR)), 2) == annexb(SPS, PPS, IDR)


def test_parameter_sets_that_come_alone_are_kept_for_the_keyframe() -> None:
    units = AccessUnits()
    assert feed(units, [SPS], 1) is None
    assert feed(units, [PPS], 2) is None
    assert feed(units, payloads(annexb(IDR)), 3) == annexb(SPS, PPS, IDR)


def test_half_a_pair_of_parameter_sets_is_completed_in_order() -> None:
    units = AccessUnits()
    feed(units, payloads(annexb(SPS, PPS, IDR)), 1)
    assert feed(units, payloads(annexb(PPS, IDR)), 2) == annexb(SPS, PPS, IDR)


def test_a_new_size_brings_new_parameter_sets() -> None:
    larger = SPS[:4] + b"LARGER"
    units = AccessUnits()
    feed(units, payloads(annexb(SPS, PPS, IDR)), 1)
    feed(units, payloads(annexb(larger, PPS, IDR)), 2)
    assert feed(units, payloads(annexb(IDR)), 3) == annexb(larger, PPS, IDR)


def test_several_slices_are_one_picture() -> None:
    units = AccessUnits()
    picture = annexb(SPS, PPS, IDR, IDR[:900], IDR[:40])
    assert feed(units, payloads(picture), 1) == picture


def test_a_picture_with_a_hole_is_dropped_and_the_next_is_whole() -> None:
    units = AccessUnits()
    packed = payloads(annexb(IDR))
    assert units.feed(packed[0], 1, marker=False) is None
    units.lose()
    assert units.feed(packed[2], 1, marker=True) is None
    assert units.broken == 1
    assert feed(units, payloads(annexb(SLICE)), 2) == annexb(SLICE)


def test_a_picture_whose_first_packet_may_be_lost_is_dropped() -> None:
    units = AccessUnits()
    feed(units, payloads(annexb(SLICE)), 1)
    units.lose()
    assert feed(units, payloads(annexb(SLICE)), 2) is None
    assert feed(units, payloads(annexb(SLICE)), 3) is not None


def test_a_fragment_without_its_beginning_spoils_the_picture() -> None:
    units = AccessUnits()
    assert feed(units, payloads(annexb(IDR))[1:], 1) is None


def test_a_picture_that_never_ends_does_not_fill_the_memory() -> None:
    units = AccessUnits()
    first, middle, *_ = payloads(annexb(b"\x65" + b"i" * 6000))
    units.feed(first, 1, marker=False)
    for _ in range(ACCESS_UNIT_MAX_BYTES // 1000):
        units.feed(middle, 1, marker=False)
    assert sum(len(part) for part in units._parts) < ACCESS_UNIT_MAX_BYTES
    assert units.feed(middle, 1, marker=True) is None


nal = st.binary(min_size=1, max_size=4000).map(
    lambda body: b"\x41" + body.replace(b"\0", b"\1") + b"\x80"
)


@given(units=st.lists(nal, min_size=1, max_size=12))
def test_any_units_survive_packing(units: list[bytes]) -> None:
    packed = payloads(annexb(*units))
    assert all(0 < len(payload) <= PAYLOAD_MAX_BYTES for payload in packed)
    data = feed(AccessUnits(), packed, 1)
    assert data is not None
    assert nal_units(data) == units


@given(packed=st.lists(st.binary(max_size=40), max_size=20), marks=st.integers(0, 1 << 20))
def test_any_payloads_are_survived(packed: list[bytes], marks: int) -> None:
    units = AccessUnits()
    for place, payload in enumerate(packed):
        units.feed(payload, place // 3, marker=bool(marks >> place & 1))
