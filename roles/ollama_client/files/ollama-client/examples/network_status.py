"""Use case 1: a validator asks about the network, from the Gizzi API's live data."""

from ollama_client import OllamaClient

with OllamaClient() as client:
    print(
        client.query_gizzi_api(
            "/api/network/status",
            "Summarize the health of the network. Any validators falling behind?",
        )
    )
