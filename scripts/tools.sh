#!/usr/bin/env sh
# What the tests use and Python packages do not bring: ffmpeg, chromium, node and npm.
# Installs them from apt when root; says how to get them otherwise.
set -eu
missing=""
need() {  # command, Debian packages, Homebrew's words
    command -v "$1" >/dev/null 2>&1 && return
    missing="$missing $2"
    hints="${hints:-}  $1: apt-get install $2   (macOS: brew install $3)
"
}
need ffmpeg ffmpeg ffmpeg
need node nodejs node
need npm npm node
if ! command -v chromium >/dev/null 2>&1 && ! command -v google-chrome >/dev/null 2>&1 \
    && ! [ -d "/Applications/Google Chrome.app" ] && ! [ -d "/Applications/Chromium.app" ]; then
    need chromium chromium "--cask chromium"
fi
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing with apt:$missing"
    apt-get update -qq
    # shellcheck disable=SC2086 - a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    printf 'The tests need programs that are not here:\n%s' "$hints" >&2
    exit 2
fi
