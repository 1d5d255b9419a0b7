"""Use case 3: a validator with few peers asks for help. What `gizzi peers` does, with the known bootnodes."""

from ollama_client import OllamaClient, shown_lines
from ollama_client.node import metrics

with OllamaClient() as client:
    page = metrics(client.settings.node)
    print("Peers:", page.facts()["peers"])
    question = "I have few peers. How can I improve peer discovery? Name no address that is not in the data."
    print(shown_lines(client.query(question, data=[page.data()])))
