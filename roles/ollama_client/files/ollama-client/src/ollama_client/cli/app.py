# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command gizzi: what each subcommand takes. What it does is imported when it runs, so that --help is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from ollama_client import __version__

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


def main() -> None:
    """Run the command."""
    app(prog_name="gizzi")
