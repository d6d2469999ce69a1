#!/bin/sh
# Install Chromium for the browser tests, unless it is installed: from the system's packages, or Playwright's build.
#   sh scripts/install_chromium.sh PYTHON
set -eu

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done

if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then root=""; else root="sudo -n"; fi
    if $root apt-get update -qq && $root apt-get install -y -qq chromium fonts-noto-cjk >/dev/null; then exit 0; fi
fi

if "$1" -m playwright install --with-deps chromium; then exit 0; fi
echo "No Chromium could be installed for the browser tests; please install one and run 'make test' again." >&2
exit 1
