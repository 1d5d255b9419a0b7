"""The worker of ai_dev_workers.py with Ollama for its quick checks: the same constructor, method and keys."""

import os

from ollama_client import OllamaClient, shown_lines
from ollama_client.monitoring import AIDevWorker

client = OllamaClient()
worker = AIDevWorker(
    aidev_id="consensus-dev01",
    anthropic_api_key=os.environ.get("ANTHROPIC_API_KEY"),
    monitor=None,
    ollama_url=client.settings.endpoints[0].address,
)
result = worker.quick_health_check(client.network_status())
print(shown_lines(f"[{worker.aidev_id}] {result['health']} ({result['tier']}): {result['summary']}"))
for action in result["actions"]:
    print(shown_lines(f"  to do: {action}"))
for reason in result["reasons"]:
    print(shown_lines(f"  because {reason}"))
