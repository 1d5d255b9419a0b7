"""A program of the fleet's owner that uses the document's client."""

from __future__ import annotations

from ollama_client import OllamaClient

OLLAMA_URL = "http://gizzi:11434"

if __name__ == "__main__":
    print(OllamaClient(OLLAMA_URL).query("What is the capital of France?"))
