"""Stands in for the user's document's API: the lab has no flask."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer


class Api(BaseHTTPRequestHandler):
    """Answers every question in the same way."""

    def do_GET(self) -> None:
        """Send no validators."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"validators": []}).encode())


if __name__ == "__main__":
    HTTPServer(("0.0.0.0", 8080), Api).serve_forever()
