"""Photos in tar shards listed by two processes beside one, started as torchrun starts them.

What is timed begins when all have imported what they need, and ends when all have the list.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import million, paired, processes

PROCESSES, PAIRS = 2, 3
PHOTOS, DRY, BYTES = 200_000, 500, 1000
NAMES = ("two processes", "one process")


def measure(start: Callable[[list[str], int], str] | None = None) -> dict:
    """Seconds of both sides in turn, and how well the work is shared.

    Args:
        start: runs `python ARGUMENTS` in so many processes, and gives what the first has printed.

    Returns:
        `paired.compare` of them; "efficiency" is 1 where two processes take half of the time.
    """
    count = DRY if paired.dry() else PHOTOS
    with tempfile.TemporaryDirectory() as folder:
        million.link_shards(Path(folder, "shards"), [bytes(BYTES)] * million.PER_SHARD, count)
        arguments = ["-m", "benchmarks.listing", str(Path(folder, "shards"))]

        def side(size: int) -> dict:
            found: dict = json.loads((start or started)(arguments, size))
            assert found.pop("photos") == count
            return found

        def block() -> dict:
            sides = (lambda: side(PROCESSES)), (lambda: side(1))
            return paired.compare(*sides, names=NAMES, pairs=PAIRS)

        found = paired.steady(block, tries=1)
    efficiency = round(found["ratio"]["median"] / PROCESSES, 3)
    return {"photos": count, "processes": PROCESSES, "efficiency": efficiency, **found}


def started(arguments: list[str], size: int) -> str:
    """What the first of so many processes prints."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        port = some.getsockname()[1]
    running = []
    for rank in range(size):
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
        place = {**numbers, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        running.append(
            subprocess.Popen(
                [sys.executable, *arguments],
                env={**os.environ, **{name: str(value) for name, value in place.items()}},
                cwd=processes.ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    said = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        sys.exit("a process that lists photos has failed")
    return said[0]


def main() -> None:
    """What each process does."""
    from flowerlib.data.records import packed
    from flowerlib.support import distributed

    with distributed.started():
        distributed.barrier()
        start = time.perf_counter()
        photos = distributed.from_main(lambda: packed.pictures(sys.argv[1]))
        distributed.barrier()
        seconds = time.perf_counter() - start
        if distributed.is_main():
            print(json.dumps({"seconds": round(seconds, 3), "photos": len(photos)}))


if __name__ == "__main__":
    main()
