"""`python -m wardrobe`: the command `wardrobe` of this Python."""

from wardrobe.cli import main

main()
