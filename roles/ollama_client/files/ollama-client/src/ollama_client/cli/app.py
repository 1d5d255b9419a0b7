# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command gizzi: what each subcommand takes. What it does is imported when it runs, so that --help is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ollama_client import __version__

WRONG_USAGE = 2
UNKNOWN = 3

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Ask anew, and keep nothing.")]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=0.1, help="Seconds for the whole answer.", show_default="the settings'")
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def gizzi(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Ask Ollama about this validator and its network."""


@app.command()
def ask(
    prompt: Annotated[str, typer.Argument(help="The question. What comes on standard input is data for it.")],
    system: Annotated[str | None, typer.Option("--system", help="Instructions for the model.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="In place of the settings' model.")] = None,
    no_cache: NoCache = False,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Ask anything."""
    from ollama_client.cli import ask

    ask.run(prompt, system=system, model=model, fresh=no_cache, timeout=timeout, as_json=json)


@app.command()
def status(json: Json = False) -> None:
    """The state of every validator, worst first."""
    from ollama_client.cli import status

    status.run(as_json=json)


@app.command()
def analyze(
    endpoint: Annotated[str, typer.Argument(help="A path of the Gizzi API, such as /api/network/status.")],
    prompt: Annotated[str, typer.Argument(help="What to find out from its answer.")],
    no_cache: NoCache = False,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Ask about live data of the network."""
    from ollama_client.cli import analyze

    analyze.run(endpoint, prompt, fresh=no_cache, timeout=timeout, as_json=json)


@app.command()
def diagnose(
    unit: Annotated[str | None, typer.Option(help="The validator's unit.", show_default="the settings'")] = None,
    lines: Annotated[int, typer.Option(min=1, max=10_000, help="Of its journal, the latest.")] = 100,
    no_cache: NoCache = False,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Look at this validator's journal and metrics. Changes nothing."""
    from ollama_client.cli import diagnose

    diagnose.run(unit, lines, fresh=no_cache, timeout=timeout, as_json=json)


@app.command()
def peers(no_cache: NoCache = False, timeout: Timeout = None, json: Json = False) -> None:
    """Help with finding peers, from this validator's metrics."""
    from ollama_client.cli import peers

    peers.run(fresh=no_cache, timeout=timeout, as_json=json)


class Check(TyperCommand):
    """A command whose exit status is a state: called wrongly it knows nothing, and 2 would mean critical."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # Typer has no public name for its errors of usage.
            if getattr(error, "exit_code", None) != WRONG_USAGE:
                raise
            typer.echo(f"UNKNOWN: {error}")
            raise typer.Exit(UNKNOWN) from error


@app.command(cls=Check)
def health(timeout: Timeout = None, json: Json = False) -> None:
    """Check the fleet: rules, then Ollama, then Claude. Ends with 0 healthy, 1 degraded, 2 critical, 3 unknown."""
    from ollama_client.cli import health

    health.run(timeout=timeout, as_json=json)


@app.command()
def usage(
    days: Annotated[int | None, typer.Option(min=1, help="So many days, today included.", show_default="all")] = None,
    textfile: Annotated[Path | None, typer.Option(help="Write it there for Prometheus' node_exporter.")] = None,
    json: Json = False,
) -> None:
    """Calls, tokens, seconds and dollars by tier, and what was saved."""
    from ollama_client.cli import usage

    usage.run(days, textfile, as_json=json)


@app.command()
def config(json: Json = False) -> None:
    """The settings in effect, and where they are from."""
    from ollama_client.cli import config

    config.run(as_json=json)


def main() -> None:
    """Run the command."""
    app(prog_name="gizzi")
