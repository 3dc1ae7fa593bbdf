"""``elt-ref``, and ``python -m elt_ref``: little is loaded before Ctrl-C has its meaning."""

from elt_ref.run.leave import leave_on_ctrl_c


def main() -> None:
    """Load the commands, and run one."""
    leave_on_ctrl_c()
    from elt_ref.cli import main as run  # noqa: PLC0415  takes most of the time of a small command

    run()


if __name__ == "__main__":
    main()
