"""What computes a classifier's features: made when first needed, and never copied along."""

from __future__ import annotations

from flowerlib.features import engine
from flowerlib.models import Backbone, fingerprint
from flowerlib.support.locks import ProcessLock
from flowerlib.transforms import Preprocessing


class Engines:
    """One engine for each device and precision; a pickled or copied `Engines` is empty.

    Threads may ask at the same time: the first makes the engine, the others wait for it.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[object, engine.Engine]] = {}
        self._lock = ProcessLock()

    def get(
        self, backbone: Backbone, preprocessing: Preprocessing, device: str, precision: str
    ) -> engine.Engine:
        """The engine; made once, and again after anything that it uses changed.

        Args:
            device, precision: as in `features.extract`.
        """
        key = (engine.choose_device(device), precision)
        state = fingerprint.current(backbone.body), preprocessing
        with self._lock():
            known = self._made.get(key)
            if known is None or known[0] != state:
                made = engine.Engine(backbone, preprocessing, device=device, precision=precision)
                known = self._made[key] = (state, made)
        return known[1]

    def __reduce__(self) -> tuple[type[Engines], tuple[()]]:
        return Engines, ()
