# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command gizzi: what each subcommand takes. What it does is imported when it runs, so that --help is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ollama_client import __version__
from ollama_client.shown import shown

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
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say which server answered, in what time, with how many tokens.")
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def gizzi(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Ask Ollama about this validator and its network.

    Commands end with 0, with 1 and the reason on standard error, or with 2 when they are called wrongly; Ctrl-C with
    130. Health has statuses of its own: gizzi health --help.
    """


@app.command()
def ask(
    prompt: Annotated[
        list[str] | None,
        typer.Argument(help="The question, with or without quotes. What comes on standard input is data for it."),
    ] = None,
    system: Annotated[str | None, typer.Option("--system", help="Instructions for the model.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="In place of the settings' model.")] = None,
    no_cache: NoCache = False,
    timeout: Timeout = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Ask the model a question.

    Without one here, the question itself comes on standard input.

    \b
    For example:
      gizzi ask what is finality lag
      journalctl -u flare-node -n 100 | gizzi ask "What is wrong?"
    """
    from ollama_client.cli import ask

    words = " ".join(prompt or ())
    ask.run(words, system=system, model=model, fresh=no_cache, timeout=timeout, verbose=verbose, as_json=json)


@app.command()
def status(
    validator: Annotated[
        str | None, typer.Argument(help="One of them in detail, by its number or its name.", show_default="all")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=1, max=3600, help="Seconds between two looks of --watch.")] = 5,
    json: Json = False,
) -> None:
    """Show the state of every validator, worst first, or of one.

    The Gizzi API tells it. In a pipe --watch prints one table after another, with --json one line for each look.

    \b
    For example:
      gizzi status
      gizzi status 7
      gizzi status --watch --every 10
    """
    from ollama_client.cli import status

    status.run(validator, watch=watch, every=every, as_json=json)


@app.command()
def analyze(
    endpoint: Annotated[str, typer.Argument(help="A path of the Gizzi API, such as /api/network/status.")],
    prompt: Annotated[list[str], typer.Argument(help="What to find out from its answer.")],
    no_cache: NoCache = False,
    timeout: Timeout = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Ask about live data of the network.

    \b
    For example:
      gizzi analyze /api/network/status which validators fall behind
    """
    from ollama_client.cli import analyze

    analyze.run(endpoint, " ".join(prompt), fresh=no_cache, timeout=timeout, verbose=verbose, as_json=json)


@app.command()
def diagnose(
    unit: Annotated[str | None, typer.Option(help="The validator's unit.", show_default="the settings'")] = None,
    lines: Annotated[int, typer.Option(min=1, max=10_000, help="Of its journal, the latest.")] = 100,
    no_cache: NoCache = False,
    timeout: Timeout = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Look for trouble in this validator's journal and metrics. Changes nothing.

    \b
    For example:
      gizzi diagnose --lines 500
    """
    from ollama_client.cli import diagnose

    diagnose.run(unit, lines, fresh=no_cache, timeout=timeout, verbose=verbose, as_json=json)


@app.command()
def peers(no_cache: NoCache = False, timeout: Timeout = None, verbose: Verbose = False, json: Json = False) -> None:
    """Help with finding peers, from this validator's metrics.

    It names each address in the answer that nobody knows.

    \b
    For example:
      gizzi peers
    """
    from ollama_client.cli import peers

    peers.run(fresh=no_cache, timeout=timeout, verbose=verbose, as_json=json)


@app.command()
def models(json: Json = False) -> None:
    """Show which server has which models, and which are loaded.

    A model made from another shares its weights, and may be loaded under that one's name. Ends with 1 if a server does
    not answer.

    \b
    For example:
      gizzi models
    """
    from ollama_client.cli import models

    models.run(as_json=json)


class Check(TyperCommand):
    """A command whose exit status is a state: called wrongly it knows nothing, and 2 would mean critical."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # Typer has no public name for its errors of usage.
            if getattr(error, "exit_code", None) != WRONG_USAGE:
                raise
            typer.echo(f"UNKNOWN: {shown(str(error))}")
            raise typer.Exit(UNKNOWN) from error


@app.command(cls=Check)
def health(timeout: Timeout = None, json: Json = False) -> None:
    """Check the health of the fleet, for cron and Nagios.

    Rules first, then Ollama, then Claude. Ends with 0 healthy, 1 degraded, 2 critical, 3 unknown.

    \b
    For example:
      gizzi health --timeout 50
    """
    from ollama_client.cli import health

    health.run(timeout=timeout, as_json=json)


@app.command()
def usage(
    days: Annotated[int | None, typer.Option(min=1, help="So many days, today included.", show_default="all")] = None,
    textfile: Annotated[Path | None, typer.Option(help="Write it there for Prometheus' node_exporter.")] = None,
    json: Json = False,
) -> None:
    """Show what was asked, what it cost and what it saved.

    Calls, tokens in and out, seconds and dollars for each tier and model.

    \b
    For example:
      gizzi usage --days 7
    """
    from ollama_client.cli import usage

    usage.run(days, textfile, as_json=json)


@app.command()
def config(json: Json = False) -> None:
    """Show the settings in effect, and where each is from.

    That is the file, the environment, or the program's default.

    \b
    For example:
      gizzi config
    """
    from ollama_client.cli import config

    config.run(as_json=json)


def main() -> None:
    """Run the command."""
    app(prog_name="gizzi")
