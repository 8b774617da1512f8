"""Several processes: who is main, what they exchange, and what happens when one of them fails."""

from __future__ import annotations

import json

import pytest

from flowerlib.support import distributed, torchrun
from flowerlib.support.errors import InputError
from tests.warm import together

EXCHANGE = """
import json
import torch
from flowerlib.support import distributed
from flowerlib.support.errors import InputError

with distributed.started():
    rank = distributed.rank()

    def fails():
        if rank == 1:
            raise InputError("the second is wrong.")

    try:
        distributed.from_each(fails)
    except InputError as problem:
        refusal = str(problem)
    numbers = torch.tensor([rank, 10 + rank], dtype=torch.bfloat16)
    found = {
        "rank": rank,
        "main": distributed.is_main(),
        "gathered": distributed.gather(rank * 2),
        "from_each": distributed.from_each(lambda: rank + 1),
        "refusal": refusal,
        "from_main": distributed.from_main(lambda: f"from {rank}"),
        "sum": distributed.all_reduce_sum(torch.tensor([1.0, rank])).tolist(),
        "second's": distributed.broadcast(numbers, 1).float().tolist(),
        "share": list(distributed.share(5)),
        "run": list(distributed.share(5, together=True)),
        "first": distributed.first_to_fail() if rank == 1 else None,
    }
    distributed.barrier()
    found["second"] = distributed.first_to_fail() if rank == 0 else None
print(json.dumps([found, distributed.size(), torch.get_num_threads()]))
"""

ONE_DIES = """
import os, signal, sys
from flowerlib.support import distributed

with distributed.started():
    if distributed.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        distributed.barrier()
    except RuntimeError as problem:
        print(distributed.lost(problem), distributed.first_to_fail())
        sys.exit(2)
"""


HELP = """
import json
from flowerlib.support import distributed
from flowerlib.support.errors import InputError
from tests.support.test_distributed import DONE, doubled

def refused(numbers):
    try:
        distributed.by_all(doubled, numbers)
    except InputError as problem:
        return str(problem)

with distributed.started():
    found = distributed.from_main(lambda: [distributed.by_all(doubled, range(5)), 7])
    nested = distributed.from_main(
        lambda: [distributed.from_main(lambda: distributed.by_all(doubled, range(some)))
                 for some in (0, 1, 4)]
    )
    one, two = (distributed.from_main(lambda: refused(some)) for some in ([1, -6, -5], [-4, 2, -3]))
    together = len(DONE)
    by_itself = distributed.by_all(doubled, range(3))  # each of them, as everywhere else
    print(json.dumps([found, nested, one, two, together, by_itself, len(DONE) - together]))
"""
DONE: list[int] = []


def doubled(number: int) -> int:
    """What the processes of `HELP` do together."""
    if number < 0:
        raise InputError(f"{number} is below zero.")
    DONE.append(number)
    return 2 * number


@pytest.mark.parametrize("size", [1, 2, 3])
def test_within_from_main_the_others_help(size: int) -> None:
    ended = together(["-c", HELP], size)
    assert [one.code for one in ended] == [0] * size, ended
    found = [json.loads(one.out) for one in ended]
    for listed, nested, one, two, *_ in found:
        assert listed == [[0, 2, 4, 6, 8], 7]
        assert nested == [[], [0], [0, 2, 4, 6]]
        assert (one, two) == ("-6 is below zero.", "-4 is below zero.")
    assert [done for *_, done, _, _ in found] == {
        1: [11],
        2: [3 + 3 + 1, 2 + 2 + 1],
        3: [2 + 3 + 1, 2 + 1 + 1, 1 + 1],
    }[size]
    assert [one[-2:] for one in found] == [[[0, 2, 4], 3]] * size


def test_two_processes_exchange_what_they_have() -> None:
    both = together(["-c", EXCHANGE])
    assert [ended.code for ended in both] == [0, 0], both
    (first, size, threads), (second, *_) = (json.loads(ended.out) for ended in both)
    assert size == 1 and threads >= 1  # outside of `started`
    assert (first["rank"], second["rank"]) == (0, 1)
    assert (first["main"], second["main"]) == (True, False)
    assert (first["share"], second["share"]) == ([0, 2, 4], [1, 3])
    assert (first["run"], second["run"]) == ([0, 1], [2, 3, 4])
    assert (second["first"], first["second"]) == (True, False)
    for found in (first, second):
        assert found["gathered"] == [0, 2]
        assert found["from_each"] == [1, 2]
        assert found["refusal"] == "the second is wrong."
        assert found["from_main"] == "from 0"
        assert found["sum"] == [2.0, 1.0]
        assert found["second's"] == [1.0, 11.0]


def test_a_process_that_dies_is_noticed_by_the_others() -> None:
    first, second = together(["-c", ONE_DIES])
    assert second.code == -9
    assert (first.code, first.out.split()) == (2, ["True", "True"]), first


def test_alone_nothing_is_exchanged() -> None:
    assert (distributed.rank(), distributed.size(), distributed.is_main()) == (0, 1, True)
    with distributed.started():
        assert distributed.size() == 1
    assert distributed.gather(7) == distributed.from_each(lambda: 7) == [7]
    assert distributed.from_main(lambda: 7) == 7
    assert distributed.by_all(str, range(2)) == ["0", "1"]
    assert list(distributed.share(3)) == [0, 1, 2]
    assert distributed.first_to_fail()
    assert not distributed.lost(RuntimeError("Connection closed by peer"))


def test_an_incomplete_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match=r"2 processes, but RANK, .*torchrun.*WORLD_SIZE"):
        with distributed.started():
            pass


@pytest.mark.parametrize(
    ("given", "local_size", "expected"), [(None, 2, 4), ("1", 4, 2), ("3", 4, 3), (None, 64, 1)]
)
def test_processes_share_the_processors(
    given: str | None, local_size: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert torchrun.threads(local_size) == expected
