"""FFmpeg's own WHIP muxer publishes to us: another DTLS library, no trickle, no PLI.

The muxer comes with PyAV's FFmpeg. The certificate that it makes for itself is on a curve that
OpenSSL refuses, so it is given one.
"""

import asyncio
import datetime as dt
import json
import sys
import textwrap
from pathlib import Path

import av
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.interop.test_whip_media import decoded
from tests.support.waiting import until
from tests.support.webrtc import number_in, running_node
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


# PyAV holds the interpreter while the muxer talks to us, so it talks from another process.
PUBLISHER = """
    import json, sys, time
    from fractions import Fraction
    import av
    from tests.support.webrtc import numbered

    url, options, count = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    with av.open(url, "w", format="whip", options=options) as whip:
        video = whip.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.options = {
            "profile": "baseline", "preset": "ultrafast", "tune": "zerolatency", "g": "15",
        }
        began = time.monotonic()
        for number in range(1, count + 1):
            time.sleep(max(0, began + number / 30 - time.monotonic()))
            frame = numbered(number)
            frame.pts, frame.time_base = number, Fraction(1, 30)
            whip.mux(video.encode(frame))
        whip.mux(video.encode(None))
"""


@pytest.mark.parametrize("flags", [{}, {"whip_flags": "dtls_active"}])
async def test_ffmpeg_publishes_in_either_dtls_role(tmp_path: Path, flags: dict[str, str]) -> None:
    async with running_node() as node:
        room = node.room("cam")
        publisher = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            textwrap.dedent(PUBLISHER),
            f"{node.url}/cam/whip",
            json.dumps({**write_certificate(tmp_path), **flags}),
            "60",
        )
        try:
            async with asyncio.timeout(20):
                await publisher.wait()
        finally:
            if publisher.returncode is None:
                publisher.kill()
                await publisher.wait()
        numbers = [number_in(frame) for frame in decoded(room.packets)]
        assert len(numbers) >= 40
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert room.packets[0].codec is Codec.H264
        # It says goodbye, one way or the other.
        await until(lambda: node.endpoint.sessions == 0, within_s=10)
