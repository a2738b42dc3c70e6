#!/usr/bin/env bash
# A picture of a page, for the README:  scripts/page_picture.sh theorem.html docs/pictures/theorem.png [width height]
set -euo pipefail
page=$(realpath "$1") picture=$2 width=${3:-1280} height=${4:-1480}
browser=$(command -v chromium || command -v chromium-browser) || { echo "page_picture: chromium is not installed" >&2; exit 1; }
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
mkdir -p "$(dirname "$picture")"
"$browser" --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --hide-scrollbars \
  --user-data-dir="$profile" --window-size="$width,$height" --virtual-time-budget=3000 --screenshot="$picture" "file://$page" 2>/dev/null
