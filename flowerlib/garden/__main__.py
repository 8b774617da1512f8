"""`python -m flowerlib.garden`: a worker of `painter`; order (JSON) in, raw pixels out."""

import json
import sys

from flowerlib.garden.painter import draw_many

if __name__ == "__main__":
    sys.stdout.buffer.write(draw_many(**json.load(sys.stdin)).tobytes())
