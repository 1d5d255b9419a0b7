# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Claude costs: by the settings, and else by the list that comes with genai-prices, without a network."""

from __future__ import annotations

from ollama_client.errors import ClaudeUnsetError
from ollama_client.settings import Claude


def price(claude: Claude, tokens_in: int, tokens_out: int) -> float:
    """Return what so many tokens cost, in dollars.

    Errors: ClaudeUnsetError for a model that neither the settings nor the list have a price of.
    """
    if claude.price_in is not None and claude.price_out is not None:
        return (tokens_in * claude.price_in + tokens_out * claude.price_out) / 1_000_000
    try:
        import genai_prices  # slow to import, and needed by few
    except ImportError as error:
        raise _unknown(claude) from error
    used = genai_prices.Usage(input_tokens=tokens_in, output_tokens=tokens_out)
    try:
        found = genai_prices.calc_price(used, claude.model, provider_id="anthropic")
    except (LookupError, ValueError) as error:
        raise _unknown(claude) from error
    if not found.input_price or not found.output_price:
        raise _unknown(claude)
    return float(found.total_price)


def saved(claude: Claude, tokens_in: int, tokens_out: int) -> float:
    """Return what so many tokens would have cost, in dollars; 0.0 where the price is not known."""
    try:
        return price(claude, tokens_in, tokens_out)
    except ClaudeUnsetError:
        return 0.0


def _unknown(claude: Claude) -> ClaudeUnsetError:
    hint = "Set claude.price_in and claude.price_out, in dollars per million tokens."
    return ClaudeUnsetError(f"the price of {claude.model} is not known", hint=hint)
