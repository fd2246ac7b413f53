"""The model process: `python -m runners.live.process`. Pixels in, pixels out, no network.

It needs the standard library, msgpack, numpy, and what its pipelines import, so that it may run
under an interpreter and environment of its own. Frames come and go through two rings, orders over
one link; a second link, on a thread of its own, is its life line to the runner.
"""

import os

# Before anything imports OpenMP: workers that spin while they wait cost a small machine more time
# than they save, ten times over for torch next to OpenCV.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import logging
import socket
import sys
from dataclasses import asdict

from runners import child, logs
from runners.link import BlockingLink
from runners.live.bench import Bench
from runners.pipelines import registry
from runners.ring import Ring

log = logging.getLogger(__name__)


def main() -> int:
    """Serves the runner until it says stop, or is gone."""
    options = _arguments()
    child.prepare()
    logs.configure(for_parent=True)
    work = BlockingLink(socket.socket(fileno=options.work_fd))
    lifeline = child.Lifeline(options.link_fd, on_stop=work.end)
    lifeline.start()
    _calm_libraries()
    names = options.pipeline.split(",")
    try:
        catalog = registry.catalog(names)
        references = registry.references(names)
    except registry.PipelineError as error:
        log.error("cannot load", extra={"problem": str(error)})  # noqa: TRY400 - no trace helps
        return 2
    bench = Bench(work, Ring(options.ring_in), Ring(options.ring_out), references)
    lifeline.ready({"pipelines": [asdict(info) for info in catalog]})
    bench.run()
    return 0


def _calm_libraries() -> None:
    """One process, one model, one core: threads of theirs would only fight over it."""
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="runners.live.process")
    parser.add_argument("--pipeline", required=True)
    for name in ("--link-fd", "--work-fd", "--ring-in", "--ring-out"):
        parser.add_argument(name, type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
