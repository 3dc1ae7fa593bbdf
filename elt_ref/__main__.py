"""``python -m elt_ref`` is ``elt-ref``."""

from elt_ref.cli import main

if __name__ == "__main__":
    main()
