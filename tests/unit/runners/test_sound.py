"""AAC becomes Opus, and keeps its time."""

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from av.audio.codeccontext import AudioCodecContext

from runners.errors import Undecodable
from runners.sound import OpusMaker
from trickle.media.packets import CLOCK_HZ, Codec, Packet

RATE = 44_100
AAC_SAMPLES = 1024


def adts(payload: bytes, channels: int) -> bytes:
    """One raw AAC-LC frame at 44.1 kHz behind the header that says so."""
    size = len(payload) + 7
    header = bytes(
        (
            *(0xFF, 0xF1, 0x40 | 4 << 2 | channels >> 2),
            *((channels & 3) << 6 | size >> 11, size >> 3 & 0xFF, (size & 7) << 5 | 0x1F, 0xFC),
        )
    )
    return header + payload


def tone(count: int, *, channels: int = 2, click_at: int | None = None) -> list[Packet]:
    """AAC frames of silence; from the frame `click_at` on, of a loud tone."""
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.format = RATE, "fltp"
    encoder.layout = "stereo" if channels == 2 else "mono"
    encoder.time_base = Fraction(1, RATE)
    packets: list[Packet] = []
    wave = np.sin(np.arange(AAC_SAMPLES) * 2 * np.pi * 8 / AAC_SAMPLES).astype(np.float32)
    for index in range(count):
        loud = click_at is not None and index >= click_at
        samples = np.tile(wave * (0.8 if loud else 0.0), (channels, 1))
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=encoder.layout.name)
        frame.sample_rate, frame.pts = RATE, index * AAC_SAMPLES
        for coded in encoder.encode(frame):
            pts = round(len(packets) * AAC_SAMPLES * CLOCK_HZ / RATE)
            packets.append(Packet(Codec.AAC, adts(bytes(coded), channels), pts, pts, True))
    return packets


def loud_from(packets: list[Packet], decoder: AudioCodecContext) -> float:
    """The time in seconds at which the sound begins, as a player would hear it."""
    for packet in packets:
        for frame in decoder.decode(av.Packet(packet.data)):
            samples = np.abs(frame.to_ndarray().astype(np.float32)).reshape(-1)
            if frame.format.name.startswith("s16"):
                samples /= 32768
            if samples.max() > 0.3:
                per_channel = len(samples) // frame.layout.nb_channels
                place = int(np.argmax(samples > 0.3)) % per_channel / frame.sample_rate
                return float(packet.pts / CLOCK_HZ + place)
    raise AssertionError("it stayed silent")


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_begins_when_it_began(channels: int) -> None:
    given = tone(60, channels=channels, click_at=30)
    maker = OpusMaker()
    made = [packet for each in given for packet in maker.convert(each)]
    assert (
        abs(
            loud_from(made, av.CodecContext.create("libopus", "r"))
            - loud_from(given, av.CodecContext.create("aac", "r"))
        )
        < 0.03
    )


def test_packets_are_twenty_milliseconds_apart_and_none_is_missing() -> None:
    given = tone(100)
    maker = OpusMaker()
    made = [packet for each in given for packet in maker.convert(each)]
    steps = {after.pts - before.pts for before, after in itertools.pairwise(made)}
    assert steps == {CLOCK_HZ // 50}
    assert {packet.codec for packet in made} == {Codec.OPUS}
    lasts_s = (made[-1].pts - made[0].pts) / CLOCK_HZ
    assert lasts_s == pytest.approx(100 * AAC_SAMPLES / RATE, abs=0.08)


def test_where_the_input_jumps_so_does_the_output() -> None:
    given = tone(40)
    later = [Packet(p.codec, p.data, p.pts + 10 * CLOCK_HZ, p.dts, True) for p in given[20:]]
    maker = OpusMaker()
    before = [packet for each in given[:20] for packet in maker.convert(each)]
    after = [packet for each in later for packet in maker.convert(each)]
    assert after[0].pts - before[-1].pts > 9 * CLOCK_HZ


def test_damage_is_told_and_does_not_last() -> None:
    given = tone(40)
    maker = OpusMaker()
    with pytest.raises(Undecodable, match="sound could not be decoded"):
        for packet in given[:3]:
            maker.convert(Packet(Codec.AAC, packet.data[:7] + b"\xff" * 40, packet.pts, 0, True))
    assert [packet for each in given for packet in maker.convert(each)]
