"""`python -m flowerlib`: the command line, where scripts are not on the path."""

from flowerlib.cli import command

if __name__ == "__main__":
    command()
