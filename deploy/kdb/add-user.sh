#!/bin/sh
# Adds a user to the file of the history server: add-user.sh FILE NAME reader|writer, the password on stdin.
set -eu
case "${3:-}" in reader | writer) ;; *) echo "usage: add-user.sh FILE NAME reader|writer < password" >&2; exit 2 ;; esac
case "$2" in *[!a-z0-9_]* | "") echo "NAME: a-z, 0-9 and _" >&2; exit 2 ;; esac
umask 077
IFS= read -r password
salt=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
hash=$(printf '%s%s' "$salt" "$password" | sha1sum | cut -d' ' -f1)
printf '%s:%s:%s:%s\n' "$2" "$3" "$salt" "$hash" >>"$1"
