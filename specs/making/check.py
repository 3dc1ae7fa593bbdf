"""Which clauses refuse some mistakes, and which only did before: ``python -m specs.making.check NAME …``."""

import argparse

from elt_ref.conformance.alike import clause_of, refusals
from elt_ref.conformance.case import read_vectors
from elt_ref.errors import nearest
from specs.making.matrix import refused_by
from specs.making.wrong import wrong_implementations


def main() -> None:
    """Print for every mistake how many cases refuse it, of which clauses, and which clauses no longer do."""
    parser = argparse.ArgumentParser(prog="python -m specs.making.check")
    parser.add_argument("names", nargs="+", metavar="NAME", help="known mistake")
    names = parser.parse_args().names
    for name in names:
        if name not in wrong_implementations():
            parser.error(f"expected a known mistake, got '{name}'{nearest(name, wrong_implementations())}")
    vectors = read_vectors()
    for name in names:
        row = refused_by(name, vectors)
        now, before = ({clause_of(case) for case in cases} for cases in (row, refusals().get(name, ())))
        lost = f"; no longer {', '.join(sorted(before - now))}" if before - now else ""
        print(f"{name}: {len(row)} cases of {', '.join(sorted(now)) or 'no clause'}{lost}")  # noqa: T201


if __name__ == "__main__":
    main()
