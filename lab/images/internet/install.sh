#!/bin/sh
# Stands in for https://ollama.com/install.sh: it leaves on a host what upstream's script leaves there, with the same
# paths, user, groups and unit. It is for the lab's hosts only: no other processor, and no graphics card.
set -eu

archive=https://ollama.com/download/ollama-linux-amd64
root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

root rm -rf /usr/local/lib/ollama
root install -d -o 0 -g 0 -m 755 /usr/local/bin /usr/local/lib/ollama
# Releases before 0.14 have the other format.
if curl --silent --fail --head --output /dev/null "$archive.tar.zst"; then
    curl --silent --show-error --fail "$archive.tar.zst" | zstd --decompress | root tar -xf - -C /usr/local
else
    curl --silent --show-error --fail "$archive.tgz" | root tar -xzf - -C /usr/local
fi

id ollama >/dev/null 2>&1 || root useradd -r -s /bin/false -U -m -d /usr/share/ollama ollama
for group in render video; do
    ! getent group $group >/dev/null || root usermod -a -G $group ollama
done
root usermod -a -G ollama "$(id -un)"

root tee /etc/systemd/system/ollama.service >/dev/null <<UNIT
[Unit]
Description=Ollama Service
After=network-online.target

[Service]
ExecStart=/usr/local/bin/ollama serve
User=ollama
Group=ollama
Restart=always
RestartSec=3
Environment="PATH=$PATH"

[Install]
WantedBy=default.target
UNIT
root systemctl daemon-reload
root systemctl enable ollama
root systemctl restart ollama
