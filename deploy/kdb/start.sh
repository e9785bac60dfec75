#!/bin/sh
# Starts the history server on kdb+ in the foreground: start.sh HOME USERS [HOST:PORT]. See README.md.
set -eu
if [ $# -lt 2 ]; then
    echo "usage: start.sh HOME USERS [HOST:PORT]" >&2
    exit 2
fi
command -v q >/dev/null || { echo "q is missing: install kdb+ and its licence (https://kx.com)" >&2; exit 3; }
mkdir -p "$1/db" "$1/daily" "$1/staging"
home=$(cd "$1" && pwd)
users=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
cd "$(dirname "$0")"
# -T: no question takes longer than a minute; -g 1: memory goes back at once; no console
exec q main.q -home "$home" -users "$users" -p "${3:-127.0.0.1:5000}" -T 60 -g 1 ${KDB_TEST:+-test 1} </dev/null
