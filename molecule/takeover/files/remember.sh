#!/bin/sh
# Writes into /root/before what the tests compare with: files, the models' digests, and the rules.
set -eu
mkdir /root/before
cd /root/before

for file in /etc/systemd/system/ollama.service /etc/systemd/system/ollama.service.d/*.conf /usr/local/bin/ollama \
    /etc/systemd/system/gizzi-api.service /opt/gizzi/api_server.py /opt/validator/ollama_client.py; do
    [ ! -e "$file" ] || sha256sum "$file"
done >files
if [ -e /usr/local/bin/ollama ]; then
    curl --silent --fail http://127.0.0.1:11434/api/tags >tags
    find /usr/share/ollama/.ollama/models -type f -printf '%p %i %s\n' | sort >store
fi
[ ! -e /etc/iptables/rules.v4 ] || cp /etc/iptables/rules.v4 .
if command -v ufw >/dev/null; then ufw show added >ufw-added; fi
iptables-save -t filter >iptables
