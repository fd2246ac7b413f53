#!/usr/bin/env sh
# What the tests use and Python packages do not bring: ffmpeg, chromium, node and npm; and OBS,
# without which the rest still runs. Installs them from apt when root; says how otherwise.
set -eu
missing="" wanted="" hints=""
has() { command -v "$1" >/dev/null 2>&1; }
need() {  # command, Debian packages, Homebrew's words
    has "$1" && return
    missing="$missing $2"
    hints="$hints  $1: apt-get install $2   (macOS: brew install $3)
"
}
need ffmpeg ffmpeg ffmpeg
need node nodejs node
need npm npm node
if ! has google-chrome && ! [ -d "/Applications/Google Chrome.app" ] \
    && ! [ -d "/Applications/Chromium.app" ]; then
    need chromium chromium "--cask chromium"
fi
if ! has obs || ! has Xvfb; then
    wanted="obs-studio xvfb"
fi
[ -z "$missing$wanted" ] && exit 0
if [ "$(id -u)" = 0 ] && has apt-get; then
    echo "Installing with apt:$missing $wanted"
    apt-get update -qq
    install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
    # shellcheck disable=SC2086 - lists of packages
    [ -z "$missing" ] || install $missing
    # shellcheck disable=SC2086
    [ -z "$wanted" ] || install $wanted || echo "OBS could not be installed: its tests will be skipped"
elif [ -n "$missing" ]; then
    printf 'The tests need programs that are not here:\n%s' "$hints" >&2
    exit 2
else
    echo "No OBS under Xvfb here, so its tests will be skipped: apt-get install $wanted"
fi
