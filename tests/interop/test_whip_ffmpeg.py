"""FFmpeg's own WHIP muxer publishes to us: another DTLS library, no trickle, no PLI.

The muxer comes with PyAV's FFmpeg. The certificate that it makes for itself is on a curve that
OpenSSL refuses, so it is given one.
"""

import asyncio
import datetime as dt
import threading
from fractions import Fraction
from pathlib import Path

import av
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.interop.test_whip_media import decoded
from tests.support.waiting import until
from tests.support.webrtc import number_in, numbered, running_node
from trickle.media.packets import Codec

pytestmark = pytest.mark.skipif(
    "whip" not in av.formats_available, reason="this FFmpeg has no whip muxer"
)


def write_certificate(folder: Path) -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "publisher")])
    now = dt.datetime.now(tz=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = {"cert_file": folder / "cert.pem", "key_file": folder / "key.pem"}
    files["cert_file"].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files["key_file"].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return {name: str(path) for name, path in files.items()}


def publish(url: str, options: dict[str, str], stop: threading.Event) -> None:
    """Thirty numbered pictures a second, until told to stop."""
    with av.open(url, "w", format="whip", options=options) as whip:
        video = whip.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.options = {
            "profile": "baseline", "preset": "ultrafast", "tune": "zerolatency", "g": "15",
        }  # fmt: skip
        number = 0
        while not stop.wait(1 / 30):
            number += 1
            frame = numbered(number)
            frame.pts, frame.time_base = number, Fraction(1, 30)
            whip.mux(video.encode(frame))
        whip.mux(video.encode(None))


@pytest.mark.parametrize("flags", [{}, {"whip_flags": "dtls_active"}])
async def test_ffmpeg_publishes_in_either_dtls_role(tmp_path: Path, flags: dict[str, str]) -> None:
    stop = threading.Event()
    async with running_node() as node:
        room = node.room("cam")
        options = {**write_certificate(tmp_path), **flags}
        publisher = asyncio.create_task(
            asyncio.to_thread(publish, f"{node.url}/cam/whip", options, stop)
        )
        try:
            await until(lambda: publisher.done() or len(room.packets) >= 40, within_s=20)
        finally:
            stop.set()
            await publisher
        numbers = [number_in(frame) for frame in decoded(room.packets)]
        assert len(numbers) >= 40
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert room.packets[0].codec is Codec.H264
        # It says goodbye by HTTP.
        await until(lambda: node.endpoint.sessions == 0, within_s=10)
