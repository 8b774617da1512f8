"""What nbval should not compare in a notebook that uses this package.

pytest --nbval notebook.ipynb --nbval-sanitize-with "$(python -m flowerlib.lesson.nbval)"
"""

from pathlib import Path

PATTERNS = Path(__file__).with_name("nbval_sanitize.cfg")

if __name__ == "__main__":
    print(PATTERNS)
