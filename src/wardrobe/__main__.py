"""`python -m wardrobe`: the command `wardrobe` of this Python."""

from wardrobe.cli import main

if __name__ == "__main__":
    main()
