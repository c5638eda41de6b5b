"""`python -m tests.planted [NAME...] [--jobs N]`: plants the faults, and says which of them no test sees."""

from __future__ import annotations

import sys

import click

from tests.planted.planting import ALL, look_at


@click.command()
@click.argument("names", nargs=-1)
@click.option("--jobs", default=1, show_default=True, help="So many tests at once.")
@click.option("--whole", is_flag=True, help="Run the tests without the faults; all of them must pass.")
def main(names: tuple[str, ...], jobs: int, whole: bool) -> None:
    """Break the named safety lines, or all of them, one at a time, and run the test that must fail."""
    if unknown := set(names) - {one.name for one in ALL}:
        raise click.UsageError(f"there is no fault {', '.join(sorted(unknown))}")
    chosen = [one for one in ALL if not names or one.name in names]
    right = 0
    for look in look_at(chosen, jobs=jobs, whole=whole):
        good = look.failed is not None and look.failed is not whole
        right += good
        became = {True: "failed", False: "passed", None: "did not run"}[look.failed]
        click.echo(
            f"{'' if good else 'NOT '}{'passed' if whole else 'seen'}: {look.what.name}\n"
            f"    {look.what.seen_by} {became}: {look.how}"
        )
    click.echo(f"{right} of {len(chosen)} {'pass without the faults' if whole else 'seen'}")
    sys.exit(0 if right == len(chosen) else 1)


if __name__ == "__main__":
    main()
