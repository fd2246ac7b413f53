#!/usr/bin/env sh
# Makes a virtual environment with the given Python, or says what is missing and how to get it.
set -eu
python=$1
venv=$2

if ! command -v "$python" >/dev/null 2>&1; then
    echo "Python 3.11 or newer is needed and '$python' was not found." >&2
    echo "  Debian:  apt-get install python3 python3-venv" >&2
    echo "  macOS:   brew install python@3.12" >&2
    echo "  another: make PYTHON=/path/to/python3.11 ..." >&2
    exit 2
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or newer is needed; '$python' is $("$python" -V). Try: make PYTHON=python3.11 ..." >&2
    exit 2
fi
rm -rf "$venv"
if "$python" -m venv "$venv" >/dev/null 2>&1; then
    exit 0
fi
rm -rf "$venv"
# Debian keeps venv in a package of its own.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
    "$python" -m venv "$venv"
else
    echo "This Python cannot make virtual environments. On Debian: apt-get install python3-venv" >&2
    exit 2
fi
