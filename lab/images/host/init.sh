#!/bin/sh
# Each systemd needs its own cgroup tree, which Docker mounts read-only: mount it again with write access. The
# machine's tree is no replacement: all hosts would share it, and a systemd that stops would remove the others' folders.
for folder in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    ! mountpoint -q "$folder" || mount -o remount,bind,rw,nosuid,nodev,noexec "$folder"
done
exec /lib/systemd/systemd
