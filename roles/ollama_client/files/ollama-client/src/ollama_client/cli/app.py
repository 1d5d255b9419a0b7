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

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Do not read or write the cache of answers.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        min=0.1,
        help="How many seconds the whole answer may take.",
        show_default="the value in the settings",
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print which server answered, how long it took and the tokens.")
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def gizzi(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Ask a local AI model about this validator and its network.

    \b
    For example:
      gizzi ask what is finality lag

    Exit status: 0 for success; 1 for an error, with the reason on standard error; 2 for a wrong option or argument; 130
    after Ctrl-C. The command health has other ones: see gizzi health --help.
    """


@app.command()
def ask(
    prompt: Annotated[
        list[str] | None,
        typer.Argument(help="The question, with or without quotes. Standard input is data that belongs to it."),
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", help="Instructions to the model, before the question.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Ask this model, not the one in the settings.")] = None,
    no_cache: NoCache = False,
    timeout: Timeout = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Ask the model a question, and print its answer.

    Without a question on the command line, the question is read from standard input.

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
        str | None, typer.Argument(help="Number or name of one validator, to see more of it.", show_default="all")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=1, max=3600, help="With --watch: seconds between two tables.")] = 5,
    json: Json = False,
) -> None:
    """Show the state of all validators, worst first, or of one.

    It is read from the Gizzi API. With --watch in a pipe, one table is printed after another; with --watch and --json,
    one line each time.

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
    endpoint: Annotated[str, typer.Argument(help="A path of the Gizzi API, for instance /api/network/status.")],
    prompt: Annotated[list[str], typer.Argument(help="The question about the data from this path.")],
    no_cache: NoCache = False,
    timeout: Timeout = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Ask the model a question about live data of the network.

    The data comes from a path of the Gizzi API.

    \b
    For example:
      gizzi analyze /api/network/status which validators fall behind
    """
    from ollama_client.cli import analyze

    analyze.run(endpoint, " ".join(prompt), fresh=no_cache, timeout=timeout, verbose=verbose, as_json=json)


@app.command()
def diagnose(
    unit: Annotated[
        str | None, typer.Option(help="The validator's systemd unit.", show_default="the value in the settings")
    ] = None,
    lines: Annotated[int, typer.Option(min=1, max=10_000, help="How many of the newest journal lines to read.")] = 100,
    no_cache: NoCache = False,
    timeout: Timeout = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Find problems in this validator's journal and metrics.

    It reads them, asks the model what is wrong, and changes nothing.

    \b
    For example:
      gizzi diagnose --lines 500
    """
    from ollama_client.cli import diagnose

    diagnose.run(unit, lines, fresh=no_cache, timeout=timeout, verbose=verbose, as_json=json)


@app.command()
def peers(no_cache: NoCache = False, timeout: Timeout = None, verbose: Verbose = False, json: Json = False) -> None:
    """Ask the model how this validator can get more peers.

    The model sees the validator's metrics and the bootnodes of the settings. If its answer has an address that is in
    neither, a warning names it.

    \b
    For example:
      gizzi peers
    """
    from ollama_client.cli import peers

    peers.run(fresh=no_cache, timeout=timeout, verbose=verbose, as_json=json)


@app.command()
def models(json: Json = False) -> None:
    """Show the models of each server, and which are loaded.

    A derived model has the weights of another model: when those are in memory, both are shown as loaded. The exit
    status is 1 if a server does not answer.

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

    First fixed rules judge it, then Ollama. Claude is asked only when these find a problem or cannot decide. Exit
    status: 0 healthy, 1 degraded, 2 critical, 3 unknown.

    \b
    For example:
      gizzi health --timeout 50
    """
    from ollama_client.cli import health

    health.run(timeout=timeout, as_json=json)


@app.command()
def usage(
    days: Annotated[
        int | None, typer.Option(min=1, help="How many days to show, today included.", show_default="all")
    ] = None,
    textfile: Annotated[Path | None, typer.Option(help="Write metrics for node_exporter to this file.")] = None,
    json: Json = False,
) -> None:
    """Show how much was asked, what it cost and what it saved.

    For each tier and model: calls, tokens in and out, seconds and dollars.

    \b
    For example:
      gizzi usage --days 7
    """
    from ollama_client.cli import usage

    usage.run(days, textfile, as_json=json)


@app.command()
def config(json: Json = False) -> None:
    """Show the settings that are used, and where each comes from.

    That is the settings file, the environment, or the program's default.

    \b
    For example:
      gizzi config
    """
    from ollama_client.cli import config

    config.run(as_json=json)


def main() -> None:
    """Run the command."""
    app(prog_name="gizzi")
