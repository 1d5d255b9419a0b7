#!/usr/bin/env bash
# The commands of the user's document that put Ollama on a host, with the lab's model. It logs in as a user with sudo.
set -euo pipefail

curl -fsSL https://ollama.com/install.sh | sh
# The document takes it that the server answers at once.
until ollama list >/dev/null 2>&1; do sleep 0.1; done
ollama pull smollm2:135m 2>/dev/null
# Of this model the inventory does not know.
ollama cp smollm2:135m own-notes:latest
