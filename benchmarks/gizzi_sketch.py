"""The API server of the user's document, as written there, but for where Prometheus is and which port is its own."""

import os

import requests
from flask import Flask, jsonify

app = Flask(__name__)


@app.route("/api/network/status")
def network_status():
    """Network-wide status"""
    # Query Prometheus
    prom_url = os.environ["PROMETHEUS"] + "/api/v1/query"

    validators = []
    for i in range(1, 22):
        # Get metrics for each validator
        block_height = requests.get(f'{prom_url}?query=substrate_block_height{{validator="{i}"}}')
        peers = requests.get(f'{prom_url}?query=substrate_peers_count{{validator="{i}"}}')

        validators.append(
            {
                "number": i,
                "block_height": block_height.json()["data"]["result"][0]["value"][1],
                "peers": peers.json()["data"]["result"][0]["value"][1],
            }
        )

    return jsonify({"validators": validators})


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
