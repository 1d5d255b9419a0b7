"""The client of the user's document, with the lab's model and without the package requests."""

from __future__ import annotations

import json
import urllib.request


class OllamaClient:
    """Asks the Ollama on the Gizzi host."""

    def __init__(self, host: str = "http://gizzi:11434") -> None:
        self.host = host
        self.model = "smollm2:135m"

    def query(self, prompt: str) -> str:
        """Return the answer, or the error as text, as the document's client does."""
        body = {
            "model": self.model,
            "prompt": prompt,
            "stream": False,
            "options": {"num_predict": 16, "temperature": 0},
        }
        try:
            with urllib.request.urlopen(f"{self.host}/api/generate", json.dumps(body).encode(), timeout=60) as answer:
                return str(json.load(answer)["response"])
        except Exception as error:
            return f"Error querying Ollama: {error}"
