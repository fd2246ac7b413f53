"""MPEG-TS, the container of every media channel: `TsMuxer` writes it, `TsDemuxer` reads it.

Both are pure and pass on each packet as soon as it is whole. FFmpeg's own muxer and demuxer are not
used on the live path, because they hold packets back to interleave and to probe.
"""

from trickle.media.ts_demux import PES_BYTES_MAX, TsCounters, TsDemuxer
from trickle.media.ts_mux import TsMuxer

__all__ = ["PES_BYTES_MAX", "TsCounters", "TsDemuxer", "TsMuxer"]
