"""What RTMP carries as audio and video, made into packets: FLV tags, and Enhanced RTMP's.

Pure. One `FlvReader` per publisher; the RTMP edge feeds it message bodies. H.264, HEVC, AAC and
Opus go through. AV1 and VP9 do not, since MPEG-TS, in which everything travels from here on, has no
place for them that demuxers agree on.

Configurations (avcC, hvcC, AudioSpecificConfig) are read in `server.media.codec_config`.
"""

from typing import Final, NamedTuple

from server.media.codec_config import AudioConfig, VideoConfig, parse_asc, parse_avcc, parse_hvcc
from server.media.errors import CodecNotTaken, FlvError
from trickle.media.annexb import (
    H264_FILLER,
    H264_IDR,
    H264_SPS,
    HEVC_FILLER,
    HEVC_IRAP_FIRST,
    HEVC_IRAP_LAST,
    HEVC_SPS,
    START_CODE,
)
from trickle.media.packets import CLOCK_HZ, Codec, Packet
from trickle.media.stamps import Unwrapper

_TICKS_PER_MS: Final = CLOCK_HZ // 1000

# A picture in more pieces than this is not one.
_UNITS_MAX: Final = 1024

_AVC: Final = 7
_HEVC_UNOFFICIAL: Final = 12  # what encoders sent before Enhanced RTMP
_AAC: Final = 10
_EXTENDED_AUDIO: Final = 9
_VIDEO_NAMES: Final = {2: "Sorenson H.263", 3: "screen video", 4: "VP6", 5: "VP6", 6: "screen 2"}
_AUDIO_NAMES: Final = {
    0: "PCM",
    1: "ADPCM",
    2: "MP3",
    3: "PCM",
    7: "A-law",
    8: "mu-law",
    11: "Speex",
}
_FOURCC_NAMES: Final = {b"av01": "AV1", b"vp09": "VP9", b"vp08": "VP8", b"vvc1": "H.266"}

_SEQUENCE_START: Final = 0
_CODED_FRAMES: Final = 1
_CODED_FRAMES_WITHOUT_TIME: Final = 3
_MULTITRACK: Final = 6
_MOD_EX: Final = 7
_AUDIO_MULTITRACK: Final = 5
_ONE_TRACK: Final = 0

_COMMAND_FRAME: Final = 5


class _Tag(NamedTuple):
    """A video tag, whichever way it was written."""

    codec: Codec
    kind: int
    shift_ms: int
    payload: bytes


class FlvReader:
    """Turns the audio and video messages of one publisher into packets.

    Attributes:
        skipped: Messages that held nothing for us, or came before their configuration.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self._clock = Unwrapper(32)
        self._video: VideoConfig | None = None
        self._audio: AudioConfig | None = None

    def video(self, timestamp_ms: int, body: bytes) -> list[Packet]:
        """Takes a video message; returns the picture in it, if there is one.

        Raises:
            CodecNotTaken: It is of a codec that cannot be carried on.
            FlvError: It is malformed.
        """
        tag = _video_tag(body)
        if tag is None:
            self.skipped += 1
            return []
        if tag.kind == _SEQUENCE_START:
            self._video = (parse_avcc if tag.codec is Codec.H264 else parse_hvcc)(tag.payload)
            return []
        config = self._video
        if tag.kind not in (_CODED_FRAMES, _CODED_FRAMES_WITHOUT_TIME):
            self.skipped += 1
            return []
        if config is None or config.codec is not tag.codec:
            self.skipped += 1
            return []
        data, keyframe = _annex_b(tag.payload, config)
        if not data:
            self.skipped += 1
            return []
        dts = self._clock.unwrap(timestamp_ms) * _TICKS_PER_MS
        pts = dts + tag.shift_ms * _TICKS_PER_MS
        return [Packet(tag.codec, data, pts, dts, keyframe)]

    def audio(self, timestamp_ms: int, body: bytes) -> list[Packet]:
        """Takes an audio message; returns the frame in it, if there is one.

        Raises:
            CodecNotTaken: It is of a codec that cannot be carried on.
            FlvError: It is malformed.
        """
        if not body:
            self.skipped += 1
            return []
        sound_format = body[0] >> 4
        if sound_format == _EXTENDED_AUDIO:
            codec, kind, payload = _extended_audio(body)
        elif sound_format == _AAC:
            codec, kind, payload = Codec.AAC, body[1] if len(body) > 1 else -1, body[2:]
        else:
            name = _AUDIO_NAMES.get(sound_format, f"format {sound_format}")
            raise CodecNotTaken(f"{name} audio is not taken here; send AAC (ffmpeg: -c:a aac)")
        if kind == _SEQUENCE_START:
            if codec is Codec.AAC:
                self._audio = parse_asc(payload)
            return []
        if kind != _CODED_FRAMES or not payload:
            self.skipped += 1
            return []
        if codec is Codec.AAC:
            if self._audio is None:
                self.skipped += 1
                return []
            payload = self._audio.adts_header(len(payload)) + payload
        stamp = self._clock.unwrap(timestamp_ms) * _TICKS_PER_MS
        return [Packet(codec, payload, stamp, stamp, keyframe=True)]


def _video_tag(body: bytes) -> _Tag | None:
    """Reads a video tag's header; None where the tag holds no picture."""
    if not body:
        return None
    if body[0] & 0x80:
        return _extended_video(body)
    frame_type, codec_id = body[0] >> 4, body[0] & 15
    if frame_type == _COMMAND_FRAME:
        return None
    if codec_id not in (_AVC, _HEVC_UNOFFICIAL):
        name = _VIDEO_NAMES.get(codec_id, f"format {codec_id}")
        raise CodecNotTaken(f"{name} video is not taken here; send H.264 (ffmpeg: -c:v libx264)")
    if len(body) < 5:
        return None
    codec = Codec.H264 if codec_id == _AVC else Codec.HEVC
    return _Tag(codec, body[1], int.from_bytes(body[2:5], "big", signed=True), body[5:])


def _extended_video(body: bytes) -> _Tag | None:
    """Enhanced RTMP's video header (v2, ExVideoTagHeader)."""
    kind = body[0] & 15
    if (body[0] >> 4) & 7 == _COMMAND_FRAME and kind != _SEQUENCE_START:
        return None
    kind, at = _skip_mod_ex(body, kind)
    fourcc, kind, payload = _track(body, at, kind, _MULTITRACK)
    codec = {b"avc1": Codec.H264, b"hvc1": Codec.HEVC}.get(fourcc)
    if codec is None:
        name = _FOURCC_NAMES.get(fourcc, fourcc.decode("ascii", "replace"))
        raise CodecNotTaken(f"{name} video is not taken here; send H.264 or HEVC")
    shift_ms = 0
    if kind == _CODED_FRAMES:
        shift_ms = int.from_bytes(payload[:3], "big", signed=True)
        payload = payload[3:]
    return _Tag(codec, kind, shift_ms, payload)


def _extended_audio(body: bytes) -> tuple[Codec, int, bytes]:
    """Enhanced RTMP's audio header (v2, ExAudioTagHeader)."""
    kind, at = _skip_mod_ex(body, body[0] & 15)
    fourcc, kind, payload = _track(body, at, kind, _AUDIO_MULTITRACK)
    codec = {b"mp4a": Codec.AAC, b"Opus": Codec.OPUS}.get(fourcc)
    if codec is None:
        name = fourcc.decode("ascii", "replace")
        raise CodecNotTaken(f"{name} audio is not taken here; send AAC or Opus")
    return codec, kind, payload


def _skip_mod_ex(body: bytes, kind: int) -> tuple[int, int]:
    """Passes over modifiers in front of a tag; returns the packet type behind them and where."""
    at = 1
    while kind == _MOD_EX:
        size = body[at] + 1 if at < len(body) else 0
        at += 1
        if size == 256:
            size = int.from_bytes(body[at : at + 2], "big") + 1
            at += 2
        at += size
        if at >= len(body):
            raise FlvError("a tag ends in its modifiers")
        kind = body[at] & 15
        at += 1
    return kind, at


def _track(body: bytes, at: int, kind: int, multitrack: int) -> tuple[bytes, int, bytes]:
    """FourCC, packet type and payload of a tag; of several tracks, those of the first."""
    shape = -1
    if kind == multitrack and at < len(body):
        shape, kind = body[at] >> 4, body[at] & 15
        at += 1
    fourcc = body[at : at + 4]
    at += 4
    if len(fourcc) < 4:
        raise FlvError("a tag ends before its FourCC")
    if shape < 0:
        return fourcc, kind, body[at:]
    at += 1  # the track's number; each track may name its own codec, and the first one has
    if shape == _ONE_TRACK:
        return fourcc, kind, body[at:]
    size = int.from_bytes(body[at : at + 3], "big")
    return fourcc, kind, body[at + 3 : at + 3 + size]


def _annex_b(payload: bytes, config: VideoConfig) -> tuple[bytes, bool]:
    """Rewrites length-prefixed NAL units with start codes; also says whether it is a keyframe.

    Filler, which encoders add to hold a constant bit rate, is left out. A keyframe without
    parameter sets of its own gets those of the configuration.
    """
    h264 = config.codec is Codec.H264
    size_bytes = config.length_bytes
    parts: list[bytes] = []
    keyframe = False
    has_sets = False
    at = 0
    end = len(payload)
    while at + size_bytes <= end:
        size = int.from_bytes(payload[at : at + size_bytes], "big")
        at += size_bytes
        if size > end - at:
            raise FlvError(f"a NAL unit of {size} bytes in a tag that has {end - at} left")
        if not size:
            continue
        head = payload[at]
        kind = head & 0x1F if h264 else (head >> 1) & 0x3F
        if kind != (H264_FILLER if h264 else HEVC_FILLER):
            if kind == (H264_SPS if h264 else HEVC_SPS):
                has_sets = True
            elif kind == H264_IDR if h264 else HEVC_IRAP_FIRST <= kind <= HEVC_IRAP_LAST:
                keyframe = True
            parts.append(START_CODE)
            parts.append(payload[at : at + size])
        at += size
        if len(parts) > 2 * _UNITS_MAX:
            raise FlvError(f"a picture in more than {_UNITS_MAX} NAL units")
    if keyframe and not has_sets:
        parts.insert(0, config.annex_b)
    return b"".join(parts), keyframe
