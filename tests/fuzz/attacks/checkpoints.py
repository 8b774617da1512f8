"""Old checkpoints of every spelling: honest ones come back bit for bit, hostile ones run nothing.

The files come from `tests.fuzz.checkpoints` and `tests.fuzz.pickles`. Of a full run, 78 are honest
(every form six times, of four networks, in both formats), 86 hostile (every attack in both
formats), 31 claim what they do not hold, and 5 are honest ones cut short.
"""

from __future__ import annotations

import itertools
import random
import re
from pathlib import Path

from flowerlib.classifier import legacy
from flowerlib.support.errors import InputError
from tests.fuzz import Outcome, checkpoints, is_sentence, pickles
from tests.fuzz.memory import growth

FULL = 200
HONEST, BROKEN, CUT = 78, 31, 5  # of a full run; the others are hostile


def attack(count: int, seed: int, folder: Path) -> Outcome:
    """Imports `count` files; see the module. A sample has one network, which is quickly written."""
    outcome, dice, canary = Outcome(), random.Random(seed), folder / "canary"
    places = {name: folder / name for name in ("honest", "hostile", "broken")}
    for place in places.values():
        place.mkdir()
    honest, broken, cut = (count * share // FULL for share in (HONEST, BROKEN, CUT))
    hostile = count - honest - broken - cut
    networks = checkpoints.ARCHITECTURES if count == FULL else ("resnet18",)
    most = 0

    def note(end: str, fault: str | None, name: str) -> None:
        if canary.exists():
            fault = "code of the file was run"
            canary.unlink()
        outcome.ends[end] += 1
        outcome.failures += [f"{name}: {fault}"] if fault else []

    written = checkpoints.honest(places["honest"], honest + cut, networks)
    for number, (name, path, expected) in enumerate(written):
        if number < honest:
            with growth() as grown:
                imported = legacy.read(path, **expected.options)
            files = [path, *([weights] if (weights := expected.options.get("weights")) else [])]
            size = sum(file.stat().st_size for file in files)
            most = max(most, grown.bytes - 2 * size)
            fault = checkpoints.difference(imported, expected)
            note("read, equal", fault and f"differs in {fault}", name)
        else:
            content = path.read_bytes()
            path.write_bytes(content[: dice.randrange(len(content))])
            note("refused", refusal(path, "", **expected.options), f"{name}, cut")
        path.unlink()
    claims = itertools.cycle(pickles.broken(places["broken"]))
    for name, path, reason in itertools.islice(claims, broken):
        note("refused", refusal(path, re.escape(reason)), name)
    attacks = list(pickles.attacks(canary))
    chosen = attacks if count == FULL else dice.sample(attacks, -(-hostile // 2))
    for number, attacked in enumerate(chosen):
        files = pickles.hostile(places["hostile"], canary, [attacked])
        by_format: dict[str, list] = {"zip": [], "stream": []}
        for name, path, found in files:
            by_format[name.split()[-2]].append((name, path, found))
        for same in list(by_format.values())[: 2 if 2 * number + 1 < hostile else 1]:
            name, path, found = same[number % len(same)]  # one of pickle's protocols
            note("refused", refusal(path, found.named), name)
    outcome.facts |= {
        "executed": sum("was run" in line for line in outcome.failures),
        "most_memory_beyond_twice_the_files_mb": round(most / 1e6, 1),
    }
    return outcome


def refusal(path: Path, named: str, **options: object) -> str | None:
    """What is wrong with how reading the file ends; None if one sentence names what it must."""
    try:
        legacy.read(path, **options)
    except InputError as problem:
        text = str(problem)
        if not is_sentence(text):
            return f"the refusal is not one sentence: {text!a:.200}"
        return None if re.search(named, text) else f"the refusal does not name it: {text!a:.200}"
    except Exception as problem:
        return f"{type(problem).__name__}: {problem!s:.200}"
    return "it was read"
