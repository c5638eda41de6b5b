"""`python -m bot deploy`: ways to run the bot and to watch it, as files that one prints, reads and adapts.

They come with the installed bot, so that they fit the version that runs.
"""

from __future__ import annotations

from importlib import resources

import click

from bot.leaving import written_or_exit

FILES = {
    "Containerfile": "an image, for Podman or Docker",
    "compose.yaml": "two instances and their PostgreSQL, for Docker Compose",
    "invoice-payment-bot.service": "a sandboxed service, for systemd",
    "nginx.conf": "what stands in front of HTTP mode, for nginx",
    "Caddyfile": "the same for Caddy",
    "alerts.yml": "five alerts, for Prometheus",
    "dashboard.json": "a dashboard, for Grafana",
    "env.example": "every variable, explained: fill it in as .env",
    "requirements.txt": "everything it needs, by version and hash as it was tested, for pip",
}
"""What each is for."""


def file(name: str) -> str:
    """One of FILES, as it stands."""
    return (resources.files("bot.deploy") / name).read_text(encoding="utf-8")


class _WithFiles(click.Command):
    """Ends its help with the files that there are."""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List them."""
        with formatter.section("Files"):
            formatter.write_dl(list(FILES.items()))


@click.command("deploy", cls=_WithFiles)
@click.argument("name", required=False, type=click.Choice(list(FILES)), metavar="[NAME]")
def command(name: str | None) -> None:
    """Print a file that runs or watches the bot.

    NAME is one of those below; without it they are listed. Write it to a file, read what stands at its
    head, and adapt it.
    """
    with written_or_exit():
        if name is not None:
            click.echo(file(name), nl=False)
            return
        width = max(map(len, FILES))
        for each, about in FILES.items():
            click.echo(f"{each:{width}}  {about}")
