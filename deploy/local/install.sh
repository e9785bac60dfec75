#!/bin/sh
# Makes .venv for this user from the locked requirements: `install.sh run`, `install.sh dev`, `install.sh browser`.
# Exit 3 where a prerequisite is missing and cannot be installed from here; the last line then says how.
set -eu
cd "$(dirname "$0")/../.."
level=${1:-run}

missing() { # what, remedy
    printf '{"error": {"code": "missing_prerequisite", "field": "%s", "value": "not found", "expected": "run: %s"}}\n' "$1" "$2"
    exit 3
}

bring() { # what, Debian packages: root installs them, anyone else is told the line
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing $2 (for $1)" >&2
        # The lists of a fresh machine are empty, and those of an old one are stale.
        { apt-get install -y --no-install-recommends $2 || { apt-get update && apt-get install -y --no-install-recommends $2; }; } \
            >&2 </dev/null || missing "$1" "apt-get update && apt-get install -y $2"
    else
        missing "$1" "sudo apt-get install -y $2"
    fi
}

usable() { # an interpreter of at least 3.11 that can make a virtual environment
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() { # the system's own first: one that lies in a home folder may be out of reach for others
    for candidate in ${PYTHON:-} /usr/bin/python3.11 /usr/bin/python3 python3.11 python3.12 python3.13 python3; do
        if usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
}

if [ "$level" = browser ]; then
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" >/dev/null 2>&1 && exit 0
    done
    bring "Chromium" "chromium"
    exit 0
fi

case $level in
    run) files="requirements.txt" ;;
    dev) files="requirements.txt requirements-dev.txt" ;;
    *) echo "usage: install.sh run|dev|browser" >&2; exit 2 ;;
esac
stamp="uid=$(id -u) folder=$(pwd -P) $(cat $files | sha256sum | cut -c1-16)"

# A stamp of dev covers run: what is installed for tests holds everything that runs.
for have in ".venv/.stamp-$level" .venv/.stamp-dev; do
    want=$stamp
    [ "$have" = .venv/.stamp-dev ] && want="uid=$(id -u) folder=$(pwd -P) $(cat requirements.txt requirements-dev.txt | sha256sum | cut -c1-16)"
    if [ -f "$have" ] && [ "$(cat "$have")" = "$want" ] && .venv/bin/python -c '' 2>/dev/null; then
        exit 0
    fi
done

if [ -d .venv ]; then
    owner=$(stat -c %u .venv)
    if [ "$owner" != "$(id -u)" ] && [ "$(id -u)" != 0 ]; then
        missing "a .venv of this user" "sudo rm -rf $(pwd -P)/.venv"
    fi
    # Made by another user, for another folder, or by an interpreter that is gone: not worth mending.
    if [ "$owner" != "$(id -u)" ] || ! .venv/bin/python -c '' 2>/dev/null ||
        ! grep -qs "$(pwd -P)/.venv" .venv/pyvenv.cfg .venv/bin/activate; then
        echo "making .venv anew: it is not this user's, or not for this folder" >&2
        rm -rf .venv
    fi
fi
if [ ! -d .venv ]; then
    python=$(find_python)
    if [ -z "$python" ]; then
        bring "Python 3.11 with venv" "python3 python3-venv"
        python=$(find_python)
        [ -n "$python" ] || missing "Python 3.11 or newer with venv" "apt-get install -y python3.11 python3.11-venv"
    fi
    echo "making .venv with $python" >&2
    "$python" -m venv .venv
fi
echo "installing $files" >&2
# Byte code is made when a module is first imported: most of what is installed never is.
set --
for file in $files; do set -- "$@" -r "$file"; done
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-compile "$@" >&2
printf '%s' "$stamp" >".venv/.stamp-$level"
