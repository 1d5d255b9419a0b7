#!/usr/bin/env bash
# What the user's document does on the Gizzi host after that: network access, the open port, and the API's unit.
set -euo pipefail

sudo systemctl start ollama
sudo systemctl enable ollama
sudo mkdir -p /etc/systemd/system/ollama.service.d/
sudo tee /etc/systemd/system/ollama.service.d/override.conf > /dev/null <<'DROPIN'
[Service]
Environment="OLLAMA_HOST=0.0.0.0:11434"
DROPIN
sudo systemctl daemon-reload
sudo systemctl restart ollama

sudo iptables -I INPUT -p tcp --dport 11434 -j ACCEPT
# The document opens only the first port; without the second nobody reaches its API.
sudo iptables -I INPUT -p tcp --dport 8080 -j ACCEPT
sudo netfilter-persistent save

sudo tee /etc/systemd/system/gizzi-api.service > /dev/null <<'UNIT'
[Unit]
Description=Gizzi Network API Server
After=network.target

[Service]
Type=simple
User=ubuntu
WorkingDirectory=/opt/gizzi
ExecStart=/usr/bin/python3 /opt/gizzi/api_server.py
Restart=always

[Install]
WantedBy=multi-user.target
UNIT

sudo systemctl daemon-reload
sudo systemctl start gizzi-api
sudo systemctl enable gizzi-api
