"""Stand-ins for Substrate validators: ``flare_node`` is one, ``fleet`` many with a real Prometheus, on loopback."""
