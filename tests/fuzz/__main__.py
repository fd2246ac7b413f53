"""`python -m tests.fuzz`: FUZZ_S seconds of it (60), from FUZZ_SEED or a seed that it tells."""

import asyncio
import os
import sys
import time

import uvloop

from tests.fuzz.trickle_http import fuzz

# After so long it begins anew with another seed, and looks at what the last one left.
ROUND_S = 20.0


def main() -> int:
    left_s = float(os.environ.get("FUZZ_S", "60"))
    seed = int(os.environ.get("FUZZ_SEED", str(time.time_ns() % 1_000_000)))
    requests = 0
    while left_s > 0:
        loops = (asyncio.SelectorEventLoop, uvloop.new_event_loop)
        with asyncio.Runner(loop_factory=loops[seed % 2]) as runner:
            outcome = runner.run(fuzz(min(left_s, ROUND_S), seed))
        requests += outcome.answered
        print(
            f"seed {seed}: {outcome.requests} requests over {outcome.connections} connections, "
            f"{outcome.answered} understood"
        )
        if outcome.escaped or outcome.left:
            print("\n".join([*outcome.escaped, *outcome.left]), file=sys.stderr)
            print(f"again with FUZZ_SEED={seed}", file=sys.stderr)
            return 1
        left_s -= ROUND_S
        seed += 1
    print(f"{requests} requests understood, nothing escaped, nothing stayed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
