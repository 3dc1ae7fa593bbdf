"""The terms of ILSD, one change a file, in the form of ``--idea``: what study 9 compares."""
