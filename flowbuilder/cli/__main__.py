"""`python -m flowbuilder.cli`."""

from flowbuilder.cli import main

if __name__ == "__main__":
    main()
