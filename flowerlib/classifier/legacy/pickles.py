"""Reads a pickle as data: nothing that it names is imported, called or run.

A pickle is a program for a small stack machine, and "import this, call it with that" are two of its
instructions; Python's own `pickle` obeys them. Here `pickletools`, which only reads, takes the
program apart, and the instructions that honest files use are followed below: naming a class puts a
`Name` on the stack, making an object puts a `StandIn` there that remembers what it was given, and
the few functions that carry data (an ordered dict, a numpy number) are the caller's own. A name
that is neither in the caller's table nor a network's class ends the reading.

A `pickle.Unpickler` whose `find_class` gives stand-ins would run nothing either, but it cannot
bound the work: it takes 2**60 steps to hash a hundred bytes of nested tuples as a key, dies of two
megabytes of them, and allocates 2**32 objects when six bytes ask for it. The work of this
machine grows with the pickle's length alone: keys are simple, and what is copied is counted.

Instructions of protocol 0 alone are left out: torch cannot load its own tensors from it.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NoReturn

from flowerlib.support.errors import InputError

MAX_STEPS = 5_000_000  # each may make a dict; a checkpoint of a large network takes about 100,000
MAX_COPIED = 1_000_000  # items
MAX_BITS = 1024  # of a whole number, which as a key is hashed at each use
MAX_NAME = 200

# Modules whose classes become stand-ins: networks, optimizers, and what students define themselves
# (in a notebook, or in the files that courses hand out).
STAND_INS = ("torch.nn.", "torch.optim.", "torchvision.models.", "torchvision.ops.")
STUDENT_MODULES = ("__main__", "fc_model", "model", "network", "classifier")

PUSHES = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 BINFLOAT BINSTRING SHORT_BINSTRING BINUNICODE "
    "SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8".split()
)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class Name:
    """The name of a class or function that a pickle mentions; never the thing itself."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, repr=False)
class StandIn:
    """What a pickle says about an object: its class, and what it was made of.

    Attributes:
        kind: the class's name.
        args: what its constructor would have been given.
        state: its attributes.
        items: what would have been put into it; keys and values in turn.
    """

    kind: Name
    args: tuple[Any, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)
    items: list[Any] = field(default_factory=list)

    def set_state(self, state: Any) -> None:
        """Remembers attributes: a dict, or a pair of dicts for a class with slots."""
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.state.update(part)


Calls = Mapping[str, Callable[..., Any] | None]


def read(stream: BinaryIO, calls: Calls, load: Callable[[Any], Any] | None = None) -> Any:
    """Reads one pickle up to its end, and leaves the stream behind it.

    Args:
        stream: gives no more bytes than it has, however many are asked for.
        calls: names with the functions of ours that take their place; None for a name that may be
            mentioned but not called.
        load: takes a persistent id, by which torch refers to its storages, and returns the object.

    Returns:
        Plain Python data, `Name`, `StandIn`, and what `calls` and `load` returned.

    Raises:
        InputError: the pickle does what no checkpoint needs; the message says what. It lacks a
            subject, since only the caller knows the file.
        ValueError, KeyError, IndexError, TypeError, ...: the pickle is damaged.
    """
    machine = _Machine(calls, load)
    for step, (code, argument, _) in enumerate(pickletools.genops(stream)):
        if step > MAX_STEPS:
            refuse("holds a pickle of absurd length")
        machine.step(code.name, argument)
    return machine.stack.pop()


class _Machine:
    """The stack machine: one list of values, and those that lie below each mark."""

    def __init__(self, calls: Calls, load: Callable[[Any], Any] | None) -> None:
        self.calls, self.load = calls, load
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0

    def step(self, code: str, argument: Any) -> None:
        """Follows one instruction."""
        stack = self.stack
        if code in PUSHES:
            if isinstance(argument, int) and argument.bit_length() > MAX_BITS:
                raise ValueError("a number of absurd size")
            stack.append(argument)
        elif code in CONSTANTS:
            stack.append(CONSTANTS[code])
        elif code in EMPTY:
            stack.append(EMPTY[code]())
        elif code in TUPLES:
            items = [stack.pop() for _ in range(TUPLES[code])]
            stack.append(tuple(reversed(items)))
        elif code in ("TUPLE", "FROZENSET"):
            items = self.above_mark()
            self.stack.append(tuple(items) if code == "TUPLE" else fill(set(), items))
        elif code in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif code == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif code in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif code == "MARK":
            self.below.append(stack)
            self.stack = []
        elif code == "POP_MARK":
            self.above_mark()
        elif code == "POP":
            stack.pop()
        elif code in ("APPENDS", "ADDITEMS", "SETITEMS"):
            items = self.above_mark()
            fill(self.stack[-1], items)
        elif code in ("APPEND", "SETITEM"):
            items = stack[-1:] if code == "APPEND" else stack[-2:]
            del stack[-len(items) :]
            fill(stack[-1], items)
        elif code not in ("PROTO", "FRAME", "STOP"):
            self.object_step(code, argument)

    def object_step(self, code: str, argument: Any) -> None:
        """Follows an instruction that would import, make or call something."""
        stack = self.stack
        if code == "GLOBAL":
            stack.append(self.name(*argument.split(" ", 1)))
        elif code == "STACK_GLOBAL":
            name, module = stack.pop(), stack.pop()
            stack.append(self.name(module, name))
        elif code == "OBJ":
            items = self.above_mark()
            self.stack.append(self.make(items[0], tuple(items[1:])))
        elif code in ("NEWOBJ", "REDUCE"):
            arguments, kind = stack.pop(), stack.pop()
            stack.append(self.make(kind, arguments))
        elif code == "NEWOBJ_EX":
            _, arguments, kind = stack.pop(), stack.pop(), stack.pop()
            stack.append(self.make(kind, arguments))
        elif code == "BUILD":
            state = stack.pop()
            self.count(state, *(state if isinstance(state, tuple) else ()))
            self.build(stack[-1], state)
        elif code == "BINPERSID" and self.load is not None:
            stack.append(self.load(stack.pop()))
        else:
            refuse(f"uses the pickle instruction {code}, which no checkpoint needs")

    def above_mark(self) -> list[Any]:
        """The values since the last mark, which are taken away with it."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def name(self, module: Any, name: Any) -> Name:
        """A name that may be mentioned; any other ends the reading here."""
        if not (isinstance(module, str) and isinstance(name, str)):
            raise TypeError("a name that is no text")
        full_name = f"{module[:MAX_NAME]}.{name[:MAX_NAME]}"
        stand_in = module in STUDENT_MODULES or module.startswith(STAND_INS)
        plain = full_name.replace(".", "_").isidentifier() and "." not in name and name[:2] != "__"
        if len(full_name) > MAX_NAME or not (full_name in self.calls or (stand_in and plain)):
            refuse(f"asks for {ascii(full_name[:80])[1:-1]}, which no checkpoint needs")
        return Name(module, name)

    def make(self, kind: Any, arguments: Any) -> Any:
        """Calls our own function of that name, or records what would have been called."""
        if not isinstance(kind, Name) or not isinstance(arguments, tuple):
            refuse("calls something that is not a named class or function")
        self.count(*arguments)
        if str(kind) not in self.calls:
            return StandIn(kind, arguments)
        if call := self.calls[str(kind)]:
            return call(*arguments)
        refuse(f"calls {kind}, which no checkpoint does")

    def build(self, target: Any, state: Any) -> None:
        """Gives an object its attributes; plain data and tensors have none that matter."""
        if isinstance(target, Name):
            refuse(f"changes {target}, which no checkpoint does")
        if set_state := getattr(target, "set_state", None):
            set_state(state)

    def count(self, *given: Any) -> None:
        """Adds to what was copied: a list of a million items, used a million times, is a bomb."""
        self.copied += sum(
            len(item) for item in given if isinstance(item, (list, tuple, dict, set))
        )
        if self.copied > MAX_COPIED:
            refuse("holds data that unfolds to an absurd size")


def refuse(what: str) -> NoReturn:
    """Ends the reading.

    Raises:
        InputError: always.
    """
    raise InputError(f"{what}; nothing of it was run")


def key(value: Any) -> Any:
    """A value as a key of a dict; nested tuples could take forever to hash."""
    if value is None or isinstance(value, (str, bytes, int, float, StandIn, Name)):
        return value
    if type(value) is tuple and len(value) < 9:
        if all(isinstance(item, (str, int, float)) for item in value):
            return value
    if type(value).__name__ == "Tensor":  # old optimizers keep their state by parameter
        return f"tensor {id(value)}"
    refuse("uses something other than a text or a number as a key")


def fill(target: Any, items: list[Any]) -> Any:
    """Puts items into a container, in place; into a dict, keys and values in turn."""
    if isinstance(target, StandIn):
        target.items += items
    elif isinstance(target, list):
        target += items
    elif isinstance(target, set):
        target |= {key(item) for item in items}
    elif isinstance(target, dict):
        target.update(zip(map(key, items[::2]), items[1::2], strict=True))
    else:
        raise TypeError("items for something that holds none")
    return target
