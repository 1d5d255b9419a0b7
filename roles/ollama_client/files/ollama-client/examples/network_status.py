"""Use case 1: a validator asks about the network, from the Gizzi API's live data."""

from ollama_client import OllamaClient, shown_lines

with OllamaClient() as client:
    answer = client.query_gizzi_api(
        "/api/network/status",
        "Summarize the health of the network. Any validators falling behind?",
    )
# A model can be made to write what a terminal obeys.
print(shown_lines(answer))
