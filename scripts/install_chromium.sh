#!/bin/sh
# Install Chromium for the browser tests from the system's packages, or else Playwright's build. Preferred is its headless
# shell, which only root, as in a container, gets where another Chromium is installed.
#   sh scripts/install_chromium.sh PYTHON
set -eu

if [ "$(id -u)" = 0 ]; then root=""; else root="sudo -n"; fi

installed() {
    for name in "$@"; do
        if command -v "$name" >/dev/null; then return 0; fi
    done
    return 1
}

browser_installed() {
    installed chromium chromium-browser google-chrome
}

install_package() {
    installed apt-get && $root apt-get update -qq && $root apt-get install -y -qq "$1" fonts-noto-cjk >/dev/null
}

if installed chromium-headless-shell; then exit 0; fi
if [ -z "$root" ] || ! browser_installed; then
    if install_package chromium-headless-shell; then exit 0; fi
fi
if browser_installed || install_package chromium || "$1" -m playwright install --with-deps chromium; then exit 0; fi
echo "No Chromium could be installed for the browser tests; please install one and run 'make test' again." >&2
exit 1
